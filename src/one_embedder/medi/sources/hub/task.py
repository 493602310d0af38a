"""One data set of the hub as a task of the training data: drawn, read, and given hard negatives."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from one_embedder.config.schema import HubDatasetConfig, MiningConfig
from one_embedder.errors import DataError
from one_embedder.medi.mining import rules as mining
from one_embedder.medi.mining.candidates import PairTask
from one_embedder.medi.mining.leakage import BenchmarkTexts
from one_embedder.medi.mining.miner import Miner
from one_embedder.medi.mining.negatives import HardNegatives
from one_embedder.medi.row import MediRow
from one_embedder.medi.sources.build_key import build_key
from one_embedder.medi.sources.hub.chosen_datasets import instructions
from one_embedder.medi.sources.hub.files import HubFiles, Listings
from one_embedder.medi.sources.hub.formats import Example, read_example

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class HubTask:
    """A data set that is not built yet; see ``one_embedder.medi.sources.parts.TaskBuilder``.

    Attributes:
        name: of the task.
        dataset: what the configuration says of it.
        cap: rows at most.
        seed: of the draw.
        encoder: settings of the mining encoder.
        mining: which candidates become hard negatives, in data without.
        benchmark: whose texts are left out, if any.
        listings: asks the hub for the files.
        miner: for data without negatives.
    """

    name: str
    dataset: HubDatasetConfig
    cap: int
    seed: int
    encoder: Mapping[str, Any]
    mining: MiningConfig
    benchmark: BenchmarkTexts | None
    listings: Listings
    miner: Miner

    @property
    def key(self) -> str:
        """Everything that the rows depend on; encoder and mining only where negatives are mined."""
        mined = self.dataset.negatives == "mined"
        return build_key(
            "data set of the hub",
            name=self.name,
            dataset=asdict(self.dataset),
            cap=self.cap,
            seed=self.seed,
            encoder=dict(self.encoder) if mined else None,
            mining=asdict(self.mining) if mined else None,
            benchmark=None if self.benchmark is None else self.benchmark.sha256,
        )

    def files(self) -> HubFiles:
        """What is read.

        Raises:
            DataError: the hub does not have it.
        """
        return self.listings.files_of(self.dataset)

    def build(self) -> tuple[Sequence[MediRow], Mapping[str, Any]]:
        """Draw, read, find negatives.

        Raises:
            DataError: a file or a row cannot be read, or no row is left.
        """
        files = self.files()
        logger.info("%s: reading %s", self.name, files.place)
        drawn, read = draw(files.rows(), self.cap, f"{self.seed}|{self.name}")
        examples = [read_example(raw.decoded(), self.dataset, f"{self.name}: {raw.where}") for raw in drawn]
        kept, lost = self._usable(examples)
        kept, overlapping = self._without_benchmark(kept)
        negatives = HardNegatives(self.mining)
        rows = self._given(kept) if self.dataset.negatives == "given" else self._mined(kept, negatives)
        if not rows:
            raise DataError(f"{files.place}: none of {len(drawn)} rows drawn can be used ({_told(lost, overlapping)})")
        lost["without a hard negative"] += len(kept) - len(rows)
        logger.info(
            "%s: %d rows of %d drawn from %d; left out: %s",
            self.name,
            len(rows),
            len(drawn),
            read,
            _told(lost, overlapping),
        )
        about = {"commit": files.commit, "files": dict(files.sizes), "read": read, "drawn": len(drawn), "lost": lost}
        if self.dataset.negatives == "mined":
            about["mining"] = negatives.facts
        return rows, {**about, "overlapping": overlapping, "licence": self.dataset.licence}

    def _usable(self, examples: Sequence[Example]) -> tuple[list[Example], Counter[str]]:
        lost: Counter[str] = Counter()
        kept: dict[tuple[str, str], Example] = {}
        for example in examples:
            if not example.is_pair:
                lost["empty or the same text twice"] += 1
            elif self.dataset.negatives == "given" and not example.has_negative:
                lost["without a usable negative of their own"] += 1
            elif kept.setdefault((example.query, example.positive), example) is not example:
                lost["repeated"] += 1
        return list(kept.values()), lost

    def _without_benchmark(self, examples: Sequence[Example]) -> tuple[list[Example], int]:
        """Those of which no text stands in the benchmark, and how many were left out."""
        benchmark = self.benchmark
        if benchmark is None:
            return list(examples), 0
        kept = [example for example in examples if not any(map(benchmark.overlaps, example.texts()))]
        return kept, len(examples) - len(kept)

    def _given(self, examples: Sequence[Example]) -> list[MediRow]:
        query, document = (instruction.render() for instruction in instructions(self.dataset))
        return [
            MediRow(0, self.name, (query, example.query), (document, example.positive), (document, example.negative))
            for example in examples
        ]

    def _mined(self, examples: Sequence[Example], negatives: HardNegatives) -> list[MediRow]:
        """By the paper's rule for text-output data; rows of the same query are never each other's negatives."""
        query, document = instructions(self.dataset)
        pairs = tuple((example.query, example.positive, example.query.lower()) for example in examples)
        task = PairTask(self.name, query, document, pairs)
        rows = mining.mine(task, 0, mining.embed_texts([task], self.miner.encode), len(pairs), negatives)
        self.miner.forget()
        return rows


def draw(rows: Iterable[T], size: int, seed: str) -> tuple[list[T], int]:
    """At most ``size`` rows, each row of all with the same chance, in their own order: Vitter's algorithm R, seeded.

    Args:
        rows: read once; only ``size`` of them are held.
        size: at least 1.
        seed: any text.

    Returns:
        The rows drawn, and how many there were.
    """
    rng = random.Random(seed)
    kept: list[tuple[int, T]] = []
    count = 0
    for count, row in enumerate(rows, start=1):
        if count <= size:
            kept.append((count, row))
        elif (place := rng.randrange(count)) < size:
            kept[place] = (count, row)
    return [row for _, row in sorted(kept, key=lambda numbered: numbered[0])], count


def _told(lost: Mapping[str, int], overlapping: int) -> str:
    told = [f"{count} {why}" for why, count in {**lost, "in the benchmark": overlapping}.items() if count]
    return ", ".join(told) or "none"
