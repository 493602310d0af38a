"""A task folder's rows as prompt retrieval uses them: drawn, worded and labelled by the task's settings."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, TypeVar

from one_embedder.config.schema import PromptTaskConfig
from one_embedder.errors import DataError
from one_embedder.evaluation.tasks.folder import TaskFolder
from one_embedder.files.json_lines import SUFFIXES, JsonLines

T = TypeVar("T")

LAYOUTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("input",), "output"),
    (("premise", "hypothesis"), "label_text"),
    (("sentence1", "sentence2"), "label_text"),
    (("title", "content"), "label_text"),
    (("text",), "label_text"),
    (("question",), "query"),
)
"""(input fields, output field) of the formats in use: ours first, then those of the paper's data sets."""

_OF_EVAL = ("keep", "group", "groups", "group_size")


@dataclass(frozen=True)
class Example:
    """One row.

    Attributes:
        retrieval_text: what is embedded.
        prompt: the input as the learner sees it.
        output: the right output.
        options: the answers to choose from; None: any text.
    """

    retrieval_text: str
    prompt: str
    output: str
    options: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Examples:
    """A task's pool and test inputs.

    Attributes:
        pool: the demonstrations to choose from.
        test: the inputs that are asked.
        test_rows: the file of ``test``; for messages.
        test_index: the row of each of ``test`` in it.
        groups: number of the group of each of ``test``; None: there are none.
        notes: what of the settings could not be applied to this data.
    """

    pool: list[Example]
    test: list[Example]
    test_rows: JsonLines
    test_index: list[int]
    groups: list[int] | None
    notes: list[str]


def read_examples(folder: TaskFolder, settings: PromptTaskConfig) -> Examples:
    """Read ``train`` and ``eval``, or ``all`` and divide it, and draw as many rows as the settings say.

    Drawing repeats the released scripts' (Python's ``random.sample``, one generator for both draws, the pool first; of
    one file, the evaluation set first); a file that holds no more rows than asked for is used whole and in order.

    Raises:
        DataError: if a file, row or field is unusable, there are too few rows, or the settings choose among the rows
            of a file ``eval`` and there is one file.
    """
    rng = random.Random(settings.seed)
    notes: list[str] = []
    if _is_one_file(folder):
        train = test = JsonLines.read(folder.path, "all")
        asked, pool = _divide(test, settings, rng)
        groups = None
    else:
        train, test = JsonLines.read(folder.path, "train"), JsonLines.read(folder.path, "eval")
        pool = _draw(rng, range(len(train)), settings.pool_size)
        kept = _kept(test, settings, notes)
        by_group = _by_group(test, kept, settings, rng, notes)
        groups = None if by_group is None else [number for number, rows in enumerate(by_group) for _ in rows]
        asked = _draw(rng, kept, settings.eval_size) if by_group is None else [row for rows in by_group for row in rows]
    wording = _Wording(settings)
    shown, tested = [wording.example(train, row) for row in pool], [wording.example(test, row) for row in asked]
    return Examples(shown, tested, test, asked, groups, notes)


def _is_one_file(folder: TaskFolder) -> bool:
    files = {path.name for path in folder.path.iterdir()}
    whole, divided = (
        [name for stem in stems for suffix in SUFFIXES if (name := f"{stem}{suffix}") in files]
        for stems in (("all",), ("train", "eval"))
    )
    if whole and divided:
        raise DataError(f"{folder.path}: holds {whole[0]}, which is divided, and {divided[0]}; keep what is meant")
    return bool(whole)


def _divide(rows: JsonLines, settings: PromptTaskConfig, rng: random.Random) -> tuple[list[int], list[int]]:
    task = rows.path.parent.name
    if unread := [key for key in _OF_EVAL if getattr(settings, key)]:
        raise DataError(
            f"{rows.path}: prompt_retrieval.tasks.{task} sets {', '.join(unread)}, which are read of the rows of a "
            "file eval; write the files train and eval, or leave them out"
        )
    if settings.eval_size is None or len(rows) <= settings.eval_size:
        raise DataError(
            f"{rows.path}: {len(rows)} rows are divided into a pool and test inputs, and eval_size is "
            f"{settings.eval_size}; set prompt_retrieval.tasks.{task}.eval_size to less than {len(rows)}, or write the "
            "files train and eval"
        )
    test = rng.sample(range(len(rows)), settings.eval_size)
    return test, _draw(rng, sorted(set(range(len(rows))) - set(test)), settings.pool_size)


def _draw(rng: random.Random, population: Sequence[T], size: int | None) -> list[T]:
    return list(population) if size is None or len(population) <= size else rng.sample(population, size)


def _by_group(
    test: JsonLines, kept: Sequence[int], settings: PromptTaskConfig, rng: random.Random, notes: list[str]
) -> list[list[int]] | None:
    """The rows drawn of each group drawn; None where the settings or, with a note, the file know no groups."""
    if settings.group is None:
        return None
    if not any(settings.group in row for row in test.rows):
        notes.append(f"no field {settings.group!r}: scored over all test inputs instead of by group")
        return None
    groups: dict[str, list[int]] = {}
    for row in kept:
        groups.setdefault(test.key(row, settings.group), []).append(row)
    names = _draw(rng, sorted(groups), settings.groups)  # the scripts draw from an unordered set
    return [_draw(rng, groups[name], settings.group_size) for name in names]


def _kept(test: JsonLines, settings: PromptTaskConfig, notes: list[str]) -> list[int]:
    """The rows that the settings keep; all of them, with a note, where no row has one of the fields."""
    absent = [field for field in settings.keep if not any(field in row for row in test.rows)]
    if absent:
        notes.append(f"no field {', '.join(map(repr, absent))}: all rows count, not only those of {settings.keep}")
        return list(range(len(test)))
    columns = {field: [str(value) for value in test.values(field)] for field in settings.keep}
    kept = [row for row in range(len(test)) if all(columns[f][row] == value for f, value in settings.keep.items())]
    if not kept:
        raise DataError(f"{test.path}: no row has {settings.keep}; correct the file or keep of the task's settings")
    return kept


class _Wording:
    """Rows to examples."""

    def __init__(self, settings: PromptTaskConfig) -> None:
        self.settings = settings
        self.words = tuple(dict.fromkeys(settings.labels.values())) or None

    def example(self, rows: JsonLines, row: int) -> Example:
        settings = self.settings
        if settings.retrieval_text is None or settings.prompt is None or settings.output is None:
            text, prompt, output = _by_layout(rows, row)
        else:
            text = self._filled(rows, row, settings.retrieval_text)
            prompt, output = self._filled(rows, row, settings.prompt), self._filled(rows, row, settings.output)
        options = self.words if settings.options is None else tuple(rows.text_list(row, settings.options))
        return Example(text, prompt, self._word(rows, row, output), options)

    def _filled(self, rows: JsonLines, row: int, template: str) -> str:
        """The template over the row's fields, each of which has to be text, a whole number or a list of texts."""
        fields: dict[str, Any] = {}
        for field in template_fields(template):
            value = rows.value(row, field)
            if isinstance(value, list):
                value = rows.text_list(row, field)
            elif isinstance(value, bool) or not isinstance(value, int):
                value = rows.text(row, field).removeprefix(self.settings.remove_prefix.get(field, ""))
                value = value.strip() if field in self.settings.remove_prefix else value
            fields[field] = value
        try:
            return template.format_map(fields)
        except (IndexError, KeyError, TypeError) as error:
            raise rows.error(
                row, f"the template {template!r} cannot be filled ({error}); correct it or the row"
            ) from error

    def _word(self, rows: JsonLines, row: int, output: str) -> str:
        labels = self.settings.labels
        if not labels:
            return output
        if output not in labels:
            raise rows.error(row, f"label {output!r} is none of {sorted(labels)} (prompt_retrieval.tasks.*.labels)")
        return labels[output]


def template_fields(template: str) -> list[str]:
    """The fields that a template names, ``endings`` for ``{endings[0]}``."""
    names = [name for _, name, _, _ in Formatter().parse(template) if name]
    return list(dict.fromkeys(name.split("[")[0] for name in names))


def _by_layout(rows: JsonLines, row: int) -> tuple[str, str, str]:
    """Texts of the first of ``LAYOUTS`` that fits; several input fields become one text, a line each."""
    for fields, output in LAYOUTS:
        if {*fields, output} <= set(rows.rows[0]):
            text = "\n".join(rows.text(row, field) for field in fields)
            return text, text, rows.text(row, output)
    known = [" + ".join(fields) + " -> " + output for fields, output in LAYOUTS]
    raise DataError(f"{rows.path}: fields {sorted(rows.rows[0])} fit none of the layouts {known}")
