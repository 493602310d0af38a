"""Hard negatives within a bound and a band of ranks, against loops over all candidates that share no code with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_embedder.config.compose import load_config
from one_embedder.config.schema import MiningConfig
from one_embedder.embedding import embedder as embedder_module
from one_embedder.errors import ConfigError
from one_embedder.instructions.template import Instruction
from one_embedder.medi.build import build
from one_embedder.medi.mining.candidates import CandidateTask, LabelTask, OutputTask, PairTask, RelationTask
from one_embedder.medi.mining.negatives import HardNegatives
from one_embedder.medi.mining.rules import mine
from one_embedder.medi.row import MediRow
from one_embedder.medi.store import load_medi
from tests.composed import composed
from tests.medi.test_build import HashEmbedder
from tests.medi.toy import compact_super_ni, row_of

ASK = Instruction("question")
SIZE = 14
NAMES = [f"t{i}" for i in range(SIZE)]
PAIRS = [(f"t{i}", f"y{i % 11}", f"g{i % 9}") for i in range(SIZE)]  # some documents twice, some groups of several
OUTPUTS = [(f"t{i}", f"y{i}") for i in range(SIZE)]
LABELS = {name: "abc"[i % 3] for i, name in enumerate(NAMES)}
LINKS = {NAMES[i]: {NAMES[i - 1], NAMES[i - 2]} for i in range(SIZE)}
TASKS: Mapping[str, CandidateTask] = {
    "pairs": PairTask("pairs", ASK, ASK, tuple(PAIRS)),
    "outputs": OutputTask("outputs", ASK, tuple(OUTPUTS)),
    "labels": LabelTask("labels", ASK, tuple(LABELS.items())),
    "links": RelationTask("links", ASK, {n: n for n in NAMES}, {n: frozenset(linked) for n, linked in LINKS.items()}),
}


@dataclass(frozen=True)
class World:
    """Embeddings, and what the rules say of them by hand."""

    vectors: Mapping[str, list[float]]

    @classmethod
    def of(cls, seed: int) -> World:
        rng = np.random.default_rng(seed)
        vectors = rng.normal(size=(2 * SIZE, 3)) + 0.4
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return cls(dict(zip([*NAMES, *(f"y{i}" for i in range(SIZE))], vectors.tolist(), strict=True)))

    def cos(self, a: str, b: str) -> float:
        return round(sum(x * y for x, y in zip(self.vectors[a], self.vectors[b], strict=True)), 7)

    def candidates(self, kind: str, query: str, positive: str) -> dict[str, float]:
        """Each text that the task does not exclude as a row's negative -> the score by which the task ranks it."""
        if kind == "pairs":
            (group,) = (group for text, _, group in PAIRS if text == query)
            scores: dict[str, float] = {}
            for text, document, other in PAIRS:
                if other != group and document != positive and self.cos(document, positive) <= 0.95:
                    score = round(self.cos(query, text) - self.cos(positive, document), 7)
                    scores[document] = max(score, scores.get(document, -9.0))
            return scores
        if kind == "outputs":
            out = dict(OUTPUTS)
            return {
                text: round(self.cos(query, text) - self.cos(out[query], out[text]), 7)
                for text in NAMES
                if text != query and self.cos(query, text) <= 0.95 and self.cos(out[query], out[text]) <= 0.95
            }
        barred = {query, *LINKS[query]} if kind == "links" else {t for t in NAMES if LABELS[t] == LABELS[query]}
        return {text: self.cos(query, text) for text in NAMES if text not in barred and self.cos(query, text) <= 0.95}

    def positives(self, kind: str, query: str) -> set[str]:
        """The positives that a query may have; of most kinds just one."""
        if kind == "pairs":
            return {document for text, document, _ in PAIRS if text == query}
        if kind == "outputs":
            out, others = dict(OUTPUTS), [text for text in NAMES if text != query]
            return {max(others, key=lambda t: round(self.cos(query, t) + self.cos(out[query], out[t]), 7))}
        return LINKS[query] if kind == "links" else {t for t in NAMES if t != query and LABELS[t] == LABELS[query]}


def mined(kind: str, world: World, chosen: MiningConfig) -> tuple[list[MediRow], HardNegatives]:
    negatives = HardNegatives(chosen)
    vectors = {text: np.array(vector) for text, vector in world.vectors.items()}
    return mine(TASKS[kind], 0, vectors, 999, negatives), negatives


def bound_of(chosen: MiningConfig, positive: float) -> float:
    if chosen.max_share_of_positive is not None:
        share = chosen.max_share_of_positive
        return positive * share if positive >= 0 else positive * (2 - share)
    return 9.0 if chosen.positive_margin is None else positive - chosen.positive_margin


@st.composite
def mining_settings(draw: st.DrawFn) -> MiningConfig:
    bound = draw(st.sampled_from(["none", "share", "margin"]))
    first = draw(st.integers(1, 12))
    last = first + draw(st.integers(0, 5))
    return MiningConfig(
        max_share_of_positive=draw(st.integers(5, 100)) / 100 if bound == "share" else None,
        positive_margin=draw(st.integers(0, 100)) / 100 if bound == "margin" else None,
        first_rank=first,
        last_rank=last,
        negatives=draw(st.integers(1, last - first + 1)),
        seed=draw(st.integers(0, 3)),
        none_left=draw(st.sampled_from(["least_similar", "drop"])),
    )


@pytest.mark.parametrize("kind", TASKS)
@given(seed=st.integers(0, 10**6), chosen=mining_settings())
@settings(max_examples=60, deadline=None)
def test_every_negative_lies_within_bound_and_band_or_is_the_least_similar_where_nothing_does(
    kind: str, seed: int, chosen: MiningConfig
) -> None:
    world = World.of(seed)
    rows, negatives = mined(kind, world, chosen)
    found = {(row.query[1], row.positive[1]): row for row in rows}
    assert len(found) == len(rows)
    missed = 0
    for query in NAMES:
        positives = world.positives(kind, query)
        if kind == "labels":  # one of several, by a draw of its own; rows that are dropped do not tell which
            positives = {positive for asked, positive in found if asked == query}
        for positive in positives:
            allowed = world.candidates(kind, query, positive)
            bound = bound_of(chosen, world.cos(query, positive))
            within = [text for text in allowed if world.cos(query, text) <= bound + 1e-12]
            ranked = sorted(within, key=lambda text: -allowed[text])
            band = ranked[chosen.first_rank - 1 : chosen.last_rank]
            missed += not band
            row = found.get((query, positive))
            got = [text for _, text in row.negatives] if row else []
            if band:
                expected = set(band) - {positive}
                assert set(got) <= expected
                assert len(set(got)) == len(got) >= min(chosen.negatives, len(band)) - (positive in band)
                assert got == sorted(got, key=band.index)
                assert all(world.cos(query, text) <= bound + 1e-12 for text in got)
            elif allowed and chosen.none_left == "least_similar":
                least = min(allowed, key=lambda text: world.cos(query, text))
                assert got == ([least] if least != positive else [])
            else:
                assert got == []
    if kind != "labels":
        assert negatives.missed == missed


@pytest.mark.parametrize("kind", TASKS)
def test_without_settings_the_first_candidate_by_the_papers_rule_is_the_only_negative(kind: str) -> None:
    rows = 0
    for seed in range(20):
        world = World.of(seed)
        for row in mined(kind, world, MiningConfig())[0]:
            scores = world.candidates(kind, row.query[1], row.positive[1])
            assert [text for _, text in row.negatives] == [max(scores, key=lambda text: scores[text])]
            assert row.further_negative_labels == ()
            rows += 1
    assert rows > 150


def test_labels_of_all_negatives_are_those_of_their_texts() -> None:
    rows, _ = mined("labels", World.of(0), MiningConfig(last_rank=4, negatives=3))
    assert len(rows) == SIZE
    for row in rows:
        assert row.negative_labels == tuple(LABELS[text] for _, text in row.negatives)
        assert len(row.negatives) == 3 and row.label == LABELS[row.query[1]] not in row.negative_labels


def test_a_bound_moves_hard_negatives_away_and_is_not_vacuous() -> None:
    world = World.of(1)
    for kind in TASKS:
        plain, bounded = mined(kind, world, MiningConfig()), mined(kind, world, MiningConfig(positive_margin=0.2))
        assert plain[0] != bounded[0], kind
    strict = MiningConfig(positive_margin=1.9)
    kept, negatives = mined("links", world, strict)
    dropped, _ = mined("links", world, replace(strict, none_left="drop"))
    assert negatives.missed > 0 and len(kept) - len(dropped) == negatives.missed


def test_the_share_of_a_negative_cosine_lies_below_it() -> None:
    bound = HardNegatives(MiningConfig(max_share_of_positive=0.9)).bound
    assert bound(0.5) == pytest.approx(0.45)
    assert bound(-0.5) == pytest.approx(-0.55)
    assert HardNegatives(MiningConfig(positive_margin=0.1)).bound(0.5) == pytest.approx(0.4)
    assert HardNegatives().bound(0.5) == np.inf


def chosen_ranks(config: MiningConfig, row: str, count: int = 60) -> list[int]:
    """Ranks from 1 among candidates of falling scores."""
    score = -np.arange(count, dtype=np.float64)
    return [1 + k for k in HardNegatives(config).choose(score, score, 1.0, np.arange(count), row)]


def test_ranks_of_the_band_are_drawn_equally_often_and_no_others() -> None:
    band = MiningConfig(first_rank=10, last_rank=50, negatives=4)
    drawn = Counter(rank for row in range(4000) for rank in chosen_ranks(band, str(row)))
    assert set(drawn) == set(range(10, 51))
    assert all(abs(count - 4000 * 4 / 41) < 5 * 20 for count in drawn.values())  # five standard deviations


def test_the_draw_depends_on_its_seed_and_the_row_alone() -> None:
    band = MiningConfig(first_rank=10, last_rank=50, negatives=2)
    rows = [f"row {i}" for i in range(20)]
    drawn = [chosen_ranks(band, row) for row in rows]
    assert [chosen_ranks(band, row) for row in reversed(rows)] == drawn[::-1]
    assert len({tuple(ranks) for ranks in drawn}) > 15
    assert [chosen_ranks(replace(band, seed=1), row) for row in rows] != drawn


def test_a_text_counts_once_however_often_it_stands_among_the_candidates() -> None:
    texts = np.array([0, 0, 1, 1, 2])
    score = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    negatives = HardNegatives(MiningConfig(first_rank=2, last_rank=3, negatives=2))
    assert negatives.choose(score, score, 9.0, texts, "row") == [2, 4]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"max_share_of_positive": 0.95, "positive_margin": 0.05}, "two bounds; choose one"),
        ({"first_rank": 10}, "first_rank=10 to medi.mining.last_rank=1; raise last_rank"),
        ({"negatives": 2}, "negatives=2 cannot be drawn"),
        ({"last_rank": 0}, "negatives=1 cannot be drawn"),
        ({"max_share_of_positive": 0}, "max_share_of_positive=0.0 must be above 0"),
        ({"max_share_of_positive": 95}, "max_share_of_positive=95.0 must be above 0 and at most 1"),
        ({"positive_margin": -0.1}, "positive_margin=-0.1 must be between 0 and 2"),
        ({"first_rank": 0}, "first_rank=0 must be at least 1"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
        ({"none_left": "skip"}, "none_left='skip' must be one of least_similar, drop"),
    ],
)
def test_settings_that_cannot_work_are_told_before_the_build(overrides: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("build_medi", [f"medi.mining.{key}={value}" for key, value in overrides.items()])
    assert said in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_mining_is_refused_where_nothing_is_mined() -> None:
    with pytest.raises(ConfigError, match=r"medi\.mining has no effect with medi\.source=file"):
        load_config("build_medi", ["medi=file", "medi.path=rows.json", "medi.mining.positive_margin=0.1"])


def test_the_configuration_repeats_the_schemas_default() -> None:
    assert load_config("build_medi").medi.mining == MiningConfig()


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Builds a compact copy of Super-NaturalInstructions with some settings of mining."""
    monkeypatch.setattr(embedder_module, "InstructionEmbedder", HashEmbedder)
    root = compact_super_ni(tmp_path / "compact")

    def of(**mining: object) -> Path:
        place = tmp_path / f"out-{len(mining)}"  # data of other settings are not replaced
        overrides = ["medi=super_ni", f"medi.root={root}", f"output={place}", "medi.min_rows_per_task=10"]
        return build(composed("build_medi", [*overrides, *(f"medi.mining.{k}={v}" for k, v in mining.items())]))

    return of


def test_a_build_draws_as_configured_and_says_what_it_did(
    built: Callable[..., Path],
) -> None:
    plain = load_medi(built() / "medi")
    asked = {"max_share_of_positive": 0.9, "first_rank": 2, "last_rank": 9, "negatives": 3, "none_left": "drop"}
    medi = load_medi(built(**asked) / "medi")
    assert (plain.negatives_per_row, medi.negatives_per_row) == (1, 3) and medi.sha256 != plain.sha256
    assert medi.manifest["about"]["mining"].items() >= asked.items()
    assert plain.manifest["about"]["mining"] == {**vars(MiningConfig()), "missed": 0}
    for row in map(row_of, medi.dataset):
        texts = [text for _, text in row.negatives]
        assert len(set(texts)) == len(texts) and not {row.query[1], row.positive[1]} & set(texts)
        assert row.label is None or (None not in row.negative_labels and row.label not in row.negative_labels)
    assert load_medi(built() / "medi").sha256 == plain.sha256
