"""Reading source files: sections, markup, labels, links; and the benchmark made of one real package."""

from __future__ import annotations

import random
import sys
from collections import Counter

import pytest

from one_embedder.errors import DataError
from one_embedder.medi.sources.documentation import extract as extraction
from one_embedder.medi.sources.documentation.benchmark import corruptions, documentation_benchmark
from one_embedder.medi.sources.documentation.extract import DocObject, extract
from one_embedder.medi.sources.documentation.labels import action, related_links, type_label
from one_embedder.medi.sources.documentation.packages import PACKAGES, Package, package_root, source_files
from one_embedder.medi.sources.documentation.text import first_sentence, is_prose, plain, spelled_out
from one_embedder.medi.sources.documentation.training_tasks import FULL, LABEL_KINDS, PAIR_KINDS

SOURCE = '''
"""A module."""
raise RuntimeError("this file must be read, never imported")

def mean(values, axis=None):
    """Return the arithmetic mean of
    the `values`. It is quick.

    Longer words about :func:`mean` follow here.

    Parameters
    ----------
    values : array_like
        Numbers to average over.
    axis : int, optional
        Axis along which to average.

    Returns
    -------
    float
        The mean of all numbers.

    Raises
    ------
    ValueError
        If there are no values at all.

    See Also
    --------
    Box.total : Sum of a box's contents.

    Examples
    --------
    >>> mean([1, 2])
    1.5
    """

class Box:
    """Holds things for later use.

    See Also
    ========
    mean
    """

    def total(self, *, scale=1):
        """Compute the sum of the contents.

        Args:
            scale (float): Factor that multiplies the sum.

        Raises:
            TypeError: if the contents cannot be added.
        """

    @property
    def size(self):
        """Number of things in the box."""

    @size.setter
    def size(self, value):
        """Change the number of things."""

    def _hidden(self):
        """Not public at all."""

def undocumented(x):
    pass
'''


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DocObject]:
    root = tmp_path_factory.mktemp("made_up")
    (root / "core").mkdir()
    (root / "core" / "things.py").write_text(SOURCE)
    (root / "broken.py").write_text("def (:\n")
    package = Package("made_up", "toy")
    found = [obj for path in sorted(root.rglob("*.py")) for obj in extraction._extract_file(package, root, path)]
    return {obj.qualname: obj for obj in reversed(found)}


def test_public_documented_objects_are_found_without_importing(objects: dict[str, DocObject]) -> None:
    assert set(objects) == {"mean", "Box", "Box.total", "Box.size"}
    assert {name: obj.kind for name, obj in objects.items()} == {
        "mean": "function", "Box": "class", "Box.total": "method", "Box.size": "property",
    }  # fmt: skip
    assert objects["mean"].key == "made_up.core.things.mean"
    assert objects["mean"].area == "things"


def test_numpy_docstring_is_split_into_sections(objects: dict[str, DocObject]) -> None:
    mean = objects["mean"]
    assert mean.summary == "Return the arithmetic mean of the values."
    assert mean.details == "It is quick. Longer words about mean follow here."
    assert [(p.name, p.type, p.description) for p in mean.parameters] == [
        ("values", "array_like", "Numbers to average over."),
        ("axis", "int", "Axis along which to average."),
    ]
    assert mean.returns == ("The mean of all numbers.",)
    assert mean.raises == (("ValueError", "If there are no values at all."),)
    assert mean.example == "mean([1, 2])"
    assert mean.arguments == ("values", "axis")


def test_google_docstring_is_split_into_sections(objects: dict[str, DocObject]) -> None:
    total = objects["Box.total"]
    assert [(p.name, p.type) for p in total.parameters] == [("scale", "float")]
    assert total.raises == (("TypeError", "if the contents cannot be added."),)
    assert total.arguments == ("scale",)


def test_see_also_links_go_both_ways_under_either_underline(objects: dict[str, DocObject]) -> None:
    links = related_links(list(objects.values()))
    things = "made_up.core.things"
    assert links == {
        f"{things}.mean": {f"{things}.Box.total", f"{things}.Box"},
        f"{things}.Box.total": {f"{things}.mean"},
        f"{things}.Box": {f"{things}.mean"},
    }


def test_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(DataError, match=r"'no_such_package'.*make setup"):
        package_root("no_such_package")


def test_sides_share_no_package_and_every_side_has_some() -> None:
    names = [package.name for package in PACKAGES]
    assert len(names) == len(set(names))
    assert Counter(package.side for package in PACKAGES).keys() == {"train", "dev", "test"}
    assert len({package.domain for package in PACKAGES if package.side == "train"}) >= 6


def test_kinds_that_get_all_their_rows_exist() -> None:
    assert FULL <= {kind.name for kind in PAIR_KINDS} | {kind.name for kind in LABEL_KINDS}


def test_test_folders_are_not_read() -> None:
    files = source_files(Package("networkx", "graph"))
    assert len(files) > 100
    assert not [path for path in files if "tests" in path.parts[-3:]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Use :func:`~numpy.mean` or ``x``.", "Use numpy.mean or x."),
        ("A *strong*   word\n\nand `code`", "A strong word and code"),
        (".. versionadded:: 1.0\nText stays.", "Text stays."),
        (None, ""),
    ],
)
def test_markup_becomes_plain_text(text: str | None, expected: str) -> None:
    assert plain(text) == expected


def test_small_text_measures() -> None:
    assert first_sentence("One thing. Another thing.") == "One thing."
    assert first_sentence("See e.g. this. Then that.") == "See e.g. this."
    assert spelled_out("read_csvFile.now") == "read csv file now"
    assert is_prose("four words are here")
    assert not is_prose("x = f(1, 2) ** 3")


@pytest.mark.parametrize(
    ("declared", "label"),
    [
        ("int, optional", "integer"),
        ("array_like of int", "array"),
        ("{'a', 'b'}", "choice"),
        ("bool", "bool"),
        ("", ""),
    ],
)
def test_declared_types_fall_into_families(declared: str, label: str) -> None:
    assert type_label(declared) == label


@pytest.mark.parametrize(
    ("summary", "verb"),
    [("Returns the mean.", "return"), ("Compute it.", "compute"), ("The mean of x.", ""), ("x", "")],
)
def test_action_is_the_opening_verb(summary: str, verb: str) -> None:
    assert action(summary) == verb


def test_corruptions_keep_less_and_less_of_the_text() -> None:
    text = " ".join(f"w{i}" for i in range(20))
    graded = dict(corruptions(text, "other words entirely", random.Random(0)))
    kept = [len(set(text.split()) & set(graded[grade].split())) for grade in (4.0, 3.0, 2.0, 1.0, 0.0)]
    assert kept == [20, 16, 10, 10, 0]
    assert len(graded[1.0].split()) == 20


@pytest.fixture(scope="module")
def networkx_benchmark() -> dict[str, dict[str, list[dict[str, object]]]]:
    return documentation_benchmark(extract([Package("networkx", "graph", side="test")], workers=1), "test")


def test_benchmark_covers_all_nine_categories(
    networkx_benchmark: dict[str, dict[str, list[dict[str, object]]]],
) -> None:
    places = Counter(folder.rsplit("/", 1)[0] for folder in networkx_benchmark)
    assert places == {
        "eval/Retrieval": 4, "eval/Reranking": 2, "eval/Clustering": 3, "eval/PairClassification": 3,
        "eval/Classification": 3, "eval/STS": 2, "eval/Summarization": 1, "prompt_retrieval": 3, "billboard": 2,
    }  # fmt: skip


def test_benchmark_splits_share_no_text(networkx_benchmark: dict[str, dict[str, list[dict[str, object]]]]) -> None:
    for folder, files in networkx_benchmark.items():
        train = {str(row.get("text", row.get("input"))) for row in files.get("train", [])}
        held_out = {str(row.get("text", row.get("input"))) for row in files.get("test", files.get("eval", []))}
        if train:
            assert held_out, folder
            assert not train & held_out, folder


def test_every_query_has_an_answer_in_the_corpus(
    networkx_benchmark: dict[str, dict[str, list[dict[str, object]]]],
) -> None:
    for folder, files in networkx_benchmark.items():
        if "/Retrieval/" in folder:
            documents = {row["_id"] for row in files["corpus"]}
            assert len(documents) == len(files["corpus"]), folder
            assert {row["query-id"] for row in files["qrels_test"]} == {row["_id"] for row in files["queries"]}
            assert {row["corpus-id"] for row in files["qrels_test"]} <= documents


def test_pair_tasks_disagree_about_the_same_kind_of_text(
    networkx_benchmark: dict[str, dict[str, list[dict[str, object]]]],
) -> None:
    by_function = networkx_benchmark["eval/PairClassification/SameFunctionPairs"]["test"]
    by_type = networkx_benchmark["eval/PairClassification/SameTypePairs"]["test"]
    assert Counter(row["label"] for row in by_function) == Counter(row["label"] for row in by_type)
    positives = [{(row["sent1"], row["sent2"]) for row in rows if row["label"]} for rows in (by_function, by_type)]
    assert not positives[0] & positives[1]


def test_reading_packages_does_not_import_them() -> None:
    before = set(sys.modules)
    source_files(Package("networkx", "graph"))
    assert not {name for name in set(sys.modules) - before if name.startswith("networkx")}


def test_missing_material_leaves_a_task_out() -> None:
    assert documentation_benchmark([], "test") == {}
