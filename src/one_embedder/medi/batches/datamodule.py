"""MEDI as Lightning reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from one_embedder.config.schema import SamplerConfig
from one_embedder.encoder.tokenize import InstructionTokenizer
from one_embedder.medi.batches.chosen_tasks import selected_rows
from one_embedder.medi.batches.collate import ContrastiveBatch, ContrastiveCollator
from one_embedder.medi.batches.other_instructions import OtherInstructions
from one_embedder.medi.batches.sampler import SameTaskBatchSampler, mixes_tasks
from one_embedder.medi.batches.strategies import Rows
from one_embedder.medi.store import Medi, load_medi


class MediDataModule(LightningDataModule):
    """Same-task batches of a MEDI folder.

    The sampler knows its rank, so the trainer must be made with ``use_distributed_sampler=False``; this is checked.
    Batches are tokenized in the training process: it costs milliseconds beside seconds, and worker processes would
    take cores from the matrix products.
    """

    def __init__(
        self,
        folder: Path | Medi,
        tokenizer: InstructionTokenizer,
        *,
        sampler: SamplerConfig,
        with_instructions: bool,
        seed: int,
        instruction_detail: str = "detailed",
        hard_negatives: bool = True,
        other_instruction_negatives: bool = False,
    ) -> None:
        """Open the data.

        Args:
            folder: a folder written by ``write_medi``, or what ``load_medi`` made of it.
            tokenizer: with the training length as its ``max_length``.
            sampler: rows of a batch over all devices, which tasks they come from, and which rows share one.
            with_instructions: whether the encoder reads the instructions.
            seed: order of the batches.
            instruction_detail: how much of an instruction it reads then.
            hard_negatives: whether the batches hold the rows' own negatives.
            other_instruction_negatives: whether they hold the queries under another task's instruction.

        Raises:
            ConfigError: the data have none of the tasks that are asked for, or no other instruction for one of them.
            DataError: the folder cannot be read.
        """
        super().__init__()
        self.medi = folder if isinstance(folder, Medi) else load_medi(folder)
        self.collator = ContrastiveCollator(
            tokenizer,
            with_instructions,
            mixed_tasks=mixes_tasks(sampler.strategy),
            instruction_detail=instruction_detail,
            hard_negatives=hard_negatives,
        )
        self.settings = sampler
        self.rows = selected_rows(self.medi, sampler)
        self.seed = seed
        if other_instruction_negatives:
            self.collator.other_instructions = OtherInstructions(self.medi, self.rows, self.collator.read, seed=seed)

    def sampler(self, rank: int = 0, world_size: int = 1) -> SameTaskBatchSampler:
        """The batches of one rank."""
        return self._sampler(self.rows, rank, world_size)

    def share_of_batches(self) -> float:
        """Part of an epoch over all tasks that the chosen ones have, above 0 and at most 1."""
        if self.rows is None:
            return 1.0
        every = self._sampler(None).summary()
        chosen = set(self.medi.task_ids[self.rows].tolist())
        return sum(share.batches for share in every if share.task_id in chosen) / sum(share.batches for share in every)

    def train_dataloader(self) -> DataLoader[ContrastiveBatch]:
        """This rank's batches; the loader carries its position in Lightning's checkpoints."""
        rank, world_size = 0, 1
        if self.trainer is not None:
            rank, world_size = self.trainer.global_rank, self.trainer.world_size
            if self.trainer._accelerator_connector.use_distributed_sampler:
                raise ValueError(
                    "MediDataModule needs Trainer(use_distributed_sampler=False): it knows the rank itself"
                )
        return ResumableLoader(self.medi.dataset, self.sampler(rank, world_size), self.collator)

    def _sampler(self, rows: Rows | None, rank: int = 0, world_size: int = 1) -> SameTaskBatchSampler:
        return SameTaskBatchSampler(
            self.medi.task_ids,
            self.settings.global_batch_size,
            rank=rank,
            world_size=world_size,
            seed=self.seed,
            strategy=self.settings.strategy,
            temperature=self.settings.temperature,
            cap=self.settings.cap,
            rows=rows,
        )


class ResumableLoader(DataLoader[ContrastiveBatch]):
    """A loader whose position Lightning saves and restores, so that a resumed run continues within its epoch."""

    def __init__(self, dataset: Dataset, sampler: SameTaskBatchSampler, collator: ContrastiveCollator) -> None:
        """Read ``dataset`` in the sampler's order.

        The generator is the loader's own: torch draws a number from it at each epoch, which would otherwise come from
        the stream that dropout uses and make a resumed run differ.
        """
        self._position = sampler
        super().__init__(
            dataset, batch_sampler=sampler, collate_fn=collator, num_workers=0, generator=torch.Generator()
        )

    def state_dict(self) -> dict[str, Any]:
        """Position, saved with Lightning's loops."""
        return self._position.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where the state was saved."""
        self._position.load_state_dict(state)
