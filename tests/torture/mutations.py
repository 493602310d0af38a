"""Small faults that somebody could have written: each changes one place of a module's syntax tree.

Messages are left alone (what stands in an f-string, a ``raise`` or a call of the log), and so are annotations and
decorators, which say what is meant and compute nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.RShift: ast.LShift,
    ast.LShift: ast.RShift,
}
_NAMED = {"min": "max", "max": "min", "any": "all", "all": "any"}
_NEUTRAL = {"strict", "device", "non_blocking", "encoding"}
"""Arguments that guard against what cannot come, or show on other machines only."""
_NO_CODE = {"annotation", "returns", "decorator_list", "bases", "format_spec"}
_LEFT_ALONE = (ast.JoinedStr, ast.Raise, ast.Import, ast.ImportFrom)


@dataclass(frozen=True)
class Site:
    """One place and what it is changed to.

    Attributes:
        parent: the node that holds it.
        field: where in ``parent``.
        place: the same, where the field is a list.
        new: what is put there.
        scope: class and function, as ``Comparison.loss``.
        line: in the file.
        change: both in source, for readers.
    """

    parent: ast.AST
    field: str
    place: int | None
    new: ast.AST
    scope: str
    line: int
    change: str

    def apply(self) -> None:
        """Change the tree that the site was found in."""
        if self.place is None:
            setattr(self.parent, self.field, self.new)
        else:
            getattr(self.parent, self.field)[self.place] = self.new


def sites(tree: ast.AST, scope: str = "", within: str = "") -> Iterator[Site]:
    """Every place of a tree with every change of it, in the order of the source.

    Args:
        tree: of a module, or a part of it.
        scope: class and function that the part stands in.
        within: source of what holds the part.
    """
    for field, place, node in _children(tree):
        inner = scope
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            inner = f"{scope}.{node.name}".lstrip(".")
        for new in _changes(node, is_global=isinstance(tree, ast.Module)):
            line = getattr(node, "lineno", getattr(tree, "lineno", 0))
            ast.copy_location(new, node if hasattr(node, "lineno") else tree)
            change = _shown(node, new, within)
            yield Site(tree, field, place, ast.fix_missing_locations(new), inner, line, change)
        if not isinstance(node, _LEFT_ALONE) and not _is_logged(node):
            holds = within if isinstance(node, ast.keyword) or not isinstance(node, ast.expr) else ast.unparse(node)
            yield from sites(node, inner, holds)


def _children(tree: ast.AST) -> Iterator[tuple[str, int | None, ast.AST]]:
    for field, value in ast.iter_fields(tree):
        if field in _NO_CODE:
            continue
        if isinstance(value, ast.AST):
            yield field, None, value
        elif isinstance(value, list):
            yield from ((field, place, node) for place, node in enumerate(value) if isinstance(node, ast.AST))


def _is_logged(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith("log.")


def _shown(old: ast.AST, new: ast.AST, within: str) -> str:
    """A number or a name alone would not say which of several it is, nor the beginning of a long call what it lacks."""
    if isinstance(old, ast.Call) and isinstance(new, ast.Call) and len(new.keywords) < len(old.keywords):
        (gone,) = [ast.unparse(keyword) for keyword in old.keywords if keyword not in new.keywords]
        return f"{ast.unparse(old.func)}(...) without {gone}"
    before, after, around = (" ".join(text.split())[:100] for text in (ast.unparse(old), ast.unparse(new), within))
    return f"{before} -> {after}" + (f" in {around}" if around and isinstance(old, ast.Constant | ast.Name) else "")


def _changes(node: ast.AST, *, is_global: bool) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(left, ops, right):
            for place, op in enumerate(ops):
                yield ast.Compare(left, [*ops[:place], _COMPARED[type(op)](), *ops[place + 1 :]], right)
        case ast.BinOp(left, op, right) if type(op) in _COMPUTED:
            yield ast.BinOp(left, _COMPUTED[type(op)](), right)
        case ast.AugAssign(target, op, value) if type(op) in _COMPUTED:
            yield ast.AugAssign(target, _COMPUTED[type(op)](), value)
            yield ast.Pass()
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(_, operand) if not isinstance(operand, ast.Constant):  # -1 changes as 1 does
            yield operand
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
            if value >= 1:
                yield ast.Constant(value - 1)
        case ast.Name(id) if id in _NAMED:
            yield ast.Name(_NAMED[id], node.ctx)
        case ast.Attribute(value, attr) if attr in _NAMED:
            yield ast.Attribute(value, _NAMED[attr], node.ctx)
        case ast.Slice(low, high, step) if low or high:
            yield from (ast.Slice(*kept, step) for kept in ((None, high), (low, None)) if kept != (low, high))
        case ast.Call():
            yield from _changed_calls(node)
        case ast.If() | ast.IfExp() | ast.comprehension():
            yield from _changed_conditions(node)
        case ast.stmt() if not is_global:
            yield from _changed_statements(node)


def _changed_calls(call: ast.Call) -> Iterator[ast.AST]:
    args, keywords = call.args, call.keywords
    first = {ast.unparse(arg) for arg in args[:2]}
    starred = any(isinstance(arg, ast.Starred) for arg in args[:2])
    if len(first) > 1 and not starred and ast.unparse(call.func) not in {"min", "max", "isinstance"}:
        yield ast.Call(call.func, [args[1], args[0], *args[2:]], keywords)
    for place, keyword in enumerate(keywords):
        if keyword.arg is not None and keyword.arg not in _NEUTRAL:
            yield ast.Call(call.func, args, [*keywords[:place], *keywords[place + 1 :]])


def _changed_conditions(node: ast.If | ast.IfExp | ast.comprehension) -> Iterator[ast.AST]:
    """The opposite, where the condition is no comparison: those are changed by themselves."""
    if isinstance(node, ast.comprehension):
        for place in range(len(node.ifs)):
            yield ast.comprehension(node.target, node.iter, [*node.ifs[:place], *node.ifs[place + 1 :]], node.is_async)
    elif not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp):
        opposite = ast.UnaryOp(ast.Not(), node.test)
        if isinstance(node, ast.If):
            yield ast.If(opposite, node.body, node.orelse)
        else:
            yield ast.IfExp(opposite, node.body, node.orelse)


def _changed_statements(node: ast.stmt) -> Iterator[ast.AST]:
    match node:
        case ast.Return(value) if value is not None:
            yield ast.Return(None)
        case ast.Raise():
            yield ast.Pass()
        case ast.Expr(value) if not isinstance(value, ast.Constant) and not _is_logged(node):
            yield ast.Pass()
        case ast.Assign(targets) if not isinstance(targets[0], ast.Name):
            yield ast.Pass()
