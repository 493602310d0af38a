"""Source files -> documented objects, by reading (``ast``), never by importing."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import docstring_parser
from docstring_parser.common import Docstring, DocstringStyle, ParseError

from one_embedder.medi.sources.documentation.packages import Package, package_root, source_files
from one_embedder.medi.sources.documentation.text import first_sentence, plain

_UNDERLINE = re.compile(r"^([A-Z][A-Za-z ]+)\n([ \t]*)={3,}[ \t]*$", re.MULTILINE)
_GENERIC_AREAS = frozenset({"core", "algorithms", "src", "lib", "models", "internal", "python"})
_GOOGLE = re.compile(r"^\s*(Args|Arguments|Returns|Raises|Attributes|Example|Examples|Yields):\s*$", re.MULTILINE)
_NUMPY = re.compile(r"^\s*(Parameters|Returns|Raises|See Also|Examples|Notes|Attributes)\n\s*[-=]{3,}", re.MULTILINE)

Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Parameter:
    """One documented parameter: its name, declared type ("" if none) and description."""

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class DocObject:
    """One documented function, method, class or property, its docstring split into sections.

    Attributes:
        package, module, qualname: where it stands; ``module`` starts with the package's name.
        area: the package's part that it belongs to ("stats"), "" at the top.
        kind: ``function``, ``method``, ``property`` or ``class``.
        arguments: names of its arguments, ``self`` left out.
        summary, details, notes, example: plain text, "" where absent; ``example`` keeps code on one line.
        parameters, returns, raises, related: sections; ``raises`` holds (exception, condition), ``related`` the names
            in See Also.
    """

    package: str
    domain: str
    side: str
    module: str
    qualname: str
    area: str
    kind: str
    arguments: tuple[str, ...]
    summary: str
    details: str
    notes: str
    example: str
    parameters: tuple[Parameter, ...]
    returns: tuple[str, ...]
    raises: tuple[tuple[str, str], ...]
    related: tuple[str, ...]

    @property
    def name(self) -> str:
        """The last part of the qualified name."""
        return self.qualname.rsplit(".", 1)[-1]

    @property
    def owner(self) -> str:
        """The class a method belongs to, as ``package.module.Class``; "" for a module's own objects."""
        head, _, _ = self.qualname.rpartition(".")
        return f"{self.module}.{head}" if head else ""

    @property
    def key(self) -> str:
        """Unique name: ``package.module.Class.method``."""
        return f"{self.module}.{self.qualname}"


def extract(packages: Sequence[Package], workers: int) -> list[DocObject]:
    """Every public documented object of the packages, in a fixed order; one per distinct summary within a package.

    Raises:
        DataError: if a package is not installed.
    """
    jobs = [(package, part) for package in packages for part in _parts(source_files(package))]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        found = [obj for part in pool.map(_extract_files, *zip(*jobs, strict=True)) for obj in part]
    by_summary = {(obj.package, obj.summary): obj for obj in reversed(found)}  # the first of each stays
    by_key = {obj.key: obj for obj in reversed(by_summary.values())}  # a property's setter has its getter's name
    return list(by_key.values())


def _parts(files: list[Path], size: int = 60) -> list[list[Path]]:
    return [files[start : start + size] for start in range(0, len(files), size)]


def _extract_files(package: Package, files: list[Path]) -> list[DocObject]:
    root = package_root(package.name)
    return [obj for path in files for obj in _extract_file(package, root, path)]


def _extract_file(package: Package, root: Path, path: Path) -> Iterator[DocObject]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in foreign code are not ours to report
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # templates and files for other Python versions
        return
    parts = path.relative_to(root).with_suffix("").parts
    module = ".".join([package.name, *(part for part in parts if part != "__init__")])
    for qualname, node in _public(tree.body, ""):
        obj = _read(package, module, qualname, node)
        if obj is not None:
            yield obj


def _public(body: Sequence[ast.stmt], prefix: str) -> Iterator[tuple[str, Documented]]:
    for node in body:
        if isinstance(node, Documented) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body, f"{prefix}{node.name}.")


def _read(package: Package, module: str, qualname: str, node: Documented) -> DocObject | None:
    raw = ast.get_docstring(node)
    if not raw:
        return None
    try:
        doc = docstring_parser.parse(_UNDERLINE.sub(_dashes, raw), style=_style(raw))
    except ParseError:
        return None
    summary, details = _summary_and_details(doc)
    if not summary:
        return None
    sections = _sections(doc)
    return DocObject(
        package=package.name,
        domain=package.domain,
        side=package.side,
        module=module,
        qualname=qualname,
        area=_area(module),
        kind=_kind(node, qualname),
        arguments=_arguments(node),
        summary=summary,
        details=details,
        notes=plain(sections.get("notes")),
        example=_example(raw),
        parameters=_parameters(doc),
        returns=tuple(text for item in doc.many_returns if (text := plain(item.description))),
        raises=tuple(
            (item.type_name, text) for item in doc.raises if item.type_name and (text := plain(item.description))
        ),
        related=_related(sections.get("see_also", "")),
    )


def _summary_and_details(doc: Docstring) -> tuple[str, str]:
    """The first sentence of the first paragraph, and what follows it before the first section."""
    separator = "\n\n" if doc.blank_after_short_description else "\n"
    opening, _, rest = f"{doc.short_description or ''}{separator}{doc.long_description or ''}".partition("\n\n")
    opening = plain(opening, 100)
    summary = first_sentence(opening)
    return plain(summary, 32), plain(f"{opening.removeprefix(summary)} {rest}")


def _dashes(match: re.Match[str]) -> str:
    return f"{match[1]}\n{match[2]}{'-' * len(match[1])}"


def _style(raw: str) -> DocstringStyle:
    if _NUMPY.search(raw):
        return DocstringStyle.NUMPYDOC
    return DocstringStyle.GOOGLE if _GOOGLE.search(raw) else DocstringStyle.REST


def _sections(doc: Docstring) -> dict[str, str]:
    return {meta.args[0]: meta.description or "" for meta in doc.meta if meta.args}


def _parameters(doc: Docstring) -> tuple[Parameter, ...]:
    found = []
    for item in doc.params:
        description = plain(item.description)
        if description and item.args[0] == "param":
            found.append(Parameter(item.arg_name, plain(item.type_name), description))
    return tuple(found)


def _related(section: str) -> tuple[str, ...]:
    """Names in a See Also section: ``name : text`` lines, or comma-separated names."""
    names: list[str] = []
    for line in section.splitlines():
        if line.startswith((" ", "\t")):
            continue  # a description that goes on
        head = line.split(" : ")[0]
        names += (
            re.findall(r"[A-Za-z_][\w.]*", re.sub(r":[a-z]+:", " ", head))
            if " " not in head.strip(", ") or "," in head or " : " in line
            else []
        )
    return tuple(dict.fromkeys(names))


def _example(raw: str) -> str:
    lines = [line.strip()[4:] for line in raw.splitlines() if line.strip().startswith(">>> ")]
    code = [line for line in lines if not re.match(r"(import|from|print)\b|#", line)]
    return " ; ".join(code)[:160]


def _arguments(node: Documented) -> tuple[str, ...]:
    if isinstance(node, ast.ClassDef):
        return ()
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return tuple(arg.arg for arg in every if arg.arg not in ("self", "cls"))


def _kind(node: Documented, qualname: str) -> str:
    if isinstance(node, ast.ClassDef):
        return "class"
    decorators = {ast.unparse(item).rsplit(".", 1)[-1] for item in node.decorator_list}
    if decorators & {"property", "cached_property", "cache_readonly", "setter"}:
        return "property"
    return "method" if "." in qualname else "function"


def _area(module: str) -> str:
    parts = [part.strip("_") for part in module.split(".")[1:]]
    return next((part for part in parts if part and part not in _GENERIC_AREAS), "")
