"""``loss.other_instruction_negatives``: which instruction is drawn, what is contrasted, and that training reads it."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.functional import normalize

from one_embedder.config.checks import check
from one_embedder.config.schema import Config, LossConfig, OptimizerConfig, SamplerConfig
from one_embedder.encoder.checkpoint import load_encoder
from one_embedder.errors import ConfigError
from one_embedder.instructions.detail import at_detail
from one_embedder.medi.batches.collate import ContrastiveBatch, LabelNumbers, TextNumbers
from one_embedder.medi.batches.datamodule import MediDataModule
from one_embedder.medi.row import MediRow
from one_embedder.medi.store import load_medi, write_medi
from one_embedder.reproduction.steps.configs import training_config
from one_embedder.tracking.manifest import read_manifest
from one_embedder.training import run as run_module
from one_embedder.training.loss import SPELLINGS, ContrastiveLoss, Sides
from one_embedder.training.module import InstructorModule
from one_embedder.training.run import CHECKPOINT, train
from one_embedder.training.trainer import build_trainer
from tests.medi.toy import instruction_tokenizer, toy_rows
from tests.reference.other_instructions import loss_with_other_instructions
from tests.training.tiny import tiny_config, tiny_encoder

Gradients = dict[str, Tensor]


def instruction(task: int) -> str:
    return f"q{task}_0 for retrieval: "


def instructed_rows(rows_by_task: dict[int, int]) -> list[MediRow]:
    """Toy rows whose queries have an instruction of their own for each task."""
    return [replace(row, query=(instruction(row.task_id), row.query[1])) for row in toy_rows(rows_by_task)]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with ``data/medi``: three tasks, and the same query text in two of them."""
    rows = instructed_rows({1: 16, 2: 16, 3: 16})
    rows[20] = replace(rows[20], query=(instruction(2), rows[0].query[1]))
    write_medi(rows, tmp_path / "data" / "medi", about={})
    return tmp_path


def make_data(
    place: Path, *, seed: int = 0, detail: str = "detailed", batch: int = 4, **sampler: Any
) -> MediDataModule:
    return MediDataModule(
        load_medi(place / "data" / "medi"),
        instruction_tokenizer(),
        sampler=SamplerConfig(global_batch_size=batch, **sampler),
        with_instructions=True,
        seed=seed,
        instruction_detail=detail,
        other_instruction_negatives=True,
    )


def drawn(data: MediDataModule) -> list[str]:
    """Of every row."""
    assert data.collator.other_instructions is not None
    return [data.collator.other_instructions(row) for row in data.medi.dataset.to_list()]


def test_each_row_draws_an_instruction_of_another_task_and_all_of_them_come_up(place: Path) -> None:
    data = make_data(place)
    pairs = Counter(zip(data.medi.task_ids.tolist(), drawn(data), strict=True))
    assert set(pairs) == {(task, instruction(other)) for task in (1, 2, 3) for other in (1, 2, 3) if other != task}


def test_the_draw_follows_the_seed_and_nothing_else(place: Path) -> None:
    assert drawn(make_data(place)) == drawn(make_data(place, batch=8)) != drawn(make_data(place, seed=1))


def test_only_tasks_that_are_trained_on_are_drawn_from(place: Path) -> None:
    data = make_data(place, tasks=["task 1", "task 3"])
    found = {row["task_id"]: data.collator.other_instructions(row) for row in data.medi.dataset if row["task_id"] != 2}  # type: ignore[misc, index, call-overload]
    assert found == {1: instruction(3), 3: instruction(1)}


def test_instructions_are_told_apart_as_they_are_read(place: Path) -> None:
    tags = {at_detail(instruction(1), "tag", f"task {task}") for task in (1, 2, 3)}
    assert set(drawn(make_data(place, detail="tag"))) == tags


@pytest.mark.parametrize("rows", [{1: 8}, {1: 8, 2: 8}])
def test_tasks_of_one_instruction_are_refused(tmp_path: Path, rows: dict[int, int]) -> None:
    write_medi(toy_rows(rows), tmp_path / "data" / "medi", about={})
    with pytest.raises(ConfigError, match=r"other_instruction_negatives: no training task has .* task 1 \(task 1\)"):
        make_data(tmp_path)


def test_a_batch_holds_the_queries_texts_under_the_drawn_instructions_and_counts_them(place: Path) -> None:
    data = make_data(place)
    rows = data.medi.dataset.__getitems__([0, 1, 2])
    batch, plain = data.collator(rows), replace_other(data)(rows)
    assert data.collator.other_instructions is not None
    expected = instruction_tokenizer()(
        [data.collator.other_instructions(row) for row in rows], [row["query_text"] for row in rows]
    )
    assert torch.equal(batch.other_query.input_ids, expected.input_ids)
    assert torch.equal(batch.other_query.pooling_mask, expected.pooling_mask)
    assert batch.tokens == plain.tokens + int(expected.attention_mask.sum())
    assert batch.truncation.texts == plain.truncation.texts + 3 and len(plain.other_query) == 0
    assert batch.to("meta").other_query.input_ids.device.type == "meta"


def replace_other(data: MediDataModule) -> Any:
    return MediDataModule(
        data.medi, instruction_tokenizer(), sampler=data.settings, with_instructions=True, seed=0
    ).collator


def leaves(rows: int = 5, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, 4, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(4)]


def sides(of: Sequence[Tensor]) -> Sides:
    """Of unit length; every row has the texts and the class of every other."""
    query, positive, negative, other = (normalize(leaf, dim=-1) for leaf in of)
    rows = torch.arange(len(query))
    texts, labels = TextNumbers(rows, rows + 100, rows + 200), LabelNumbers(rows, rows + 100)
    return Sides(query, positive, negative, texts, labels, other)


@pytest.mark.parametrize("spelling", sorted(SPELLINGS))
@pytest.mark.parametrize("temperature", [0.05, 1.0])
@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("guarded", [False, True])
def test_value_and_gradient_equal_the_literal_loops(
    spelling: str, temperature: float, rows: int, guarded: bool
) -> None:
    """Neither guard leaves out the other query: it has the own query's text and class on purpose."""
    of = leaves(rows)
    loss = ContrastiveLoss(
        SPELLINGS[spelling], other_instruction_negatives=True, mask_same_text=guarded, mask_same_label=guarded
    )
    ours = loss.compare(sides(of)).loss(temperature)
    literal = loss_with_other_instructions(
        *(normalize(leaf, dim=-1) for leaf in of), temperature=temperature, spelling=spelling
    )
    torch.testing.assert_close(ours, literal, rtol=0, atol=1e-10)
    for mine, its in zip(torch.autograd.grad(ours, of), torch.autograd.grad(literal, of), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-10)
        assert mine.abs().max() > 1e-9
    assert ours > ContrastiveLoss(SPELLINGS[spelling]).compare(sides(of)).loss(temperature)


def test_parts_of_a_batch_average_to_the_whole_although_the_other_queries_are_not_gathered() -> None:
    of, loss = leaves(4), ContrastiveLoss(in_batch_positives=True, other_instruction_negatives=True)
    whole = sides(of)
    assert whole.other_query is not None
    parts = [
        loss.compare(
            Sides(whole.query[s], whole.positive[s], whole.negative[s], other_query=whole.other_query[s]),
            replace(whole, other_query=None),
            s.start,
        )
        for s in (slice(0, 2), slice(2, 4))
    ]
    halves = sum(part.loss(0.1) for part in parts) / 2
    expected = loss.compare(whole)
    ours = torch.autograd.grad(halves, of, retain_graph=True)
    for mine, its in zip(ours, torch.autograd.grad(expected.loss(0.1), of), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-10)
    means = [part.metrics(0.1)["instruction_accuracy"] for part in parts]
    assert sum(means) / 2 == expected.metrics(0.1)["instruction_accuracy"]


def test_a_margin_leaves_out_an_other_query_that_is_more_similar_than_the_own_one() -> None:
    query = torch.eye(2)[:1]
    own = Sides(query, torch.tensor([[0.6, 0.8]]), query[:0], other_query=torch.tensor([[0.0, 1.0]]))
    for margin, candidates in ((0.1, 1), (0.3, 2)):
        loss = ContrastiveLoss(True, hard_negatives=False, other_instruction_negatives=True, mask_margin=margin)
        compared = loss.compare(own)
        assert compared.to_other_query is not None
        assert 1 + int(torch.isfinite(compared.to_other_query).sum()) == candidates


def test_instruction_accuracy_counts_positives_that_are_nearer_to_the_own_instruction() -> None:
    positive = torch.eye(4)
    other = torch.stack([-positive[0], positive[1], -positive[2], -positive[3]])  # a tie in row 1 tells nothing
    own = Sides(positive, positive, -positive, other_query=other)
    metrics = ContrastiveLoss(other_instruction_negatives=True).compare(own).metrics(0.1)
    assert metrics["instruction_accuracy"] == 0.75
    assert "instruction_accuracy" not in ContrastiveLoss().compare(own).metrics(0.1)


def test_instructions_cannot_be_contrasted_without_the_other_queries() -> None:
    with pytest.raises(ValueError, match="needs the queries under other instructions"):
        ContrastiveLoss(other_instruction_negatives=True).compare(replace(sides(leaves()), other_query=None))


def test_settings_that_cannot_go_with_it_are_refused_and_table_1_trains_its_other_model_without() -> None:
    cfg = Config()
    cfg.loss.other_instruction_negatives = True
    check(cfg)
    assert training_config(cfg, with_instructions=True, seed=0).loss.other_instruction_negatives
    assert not training_config(cfg, with_instructions=False, seed=0).loss.other_instruction_negatives
    cfg.loss.bidirectional = False
    with pytest.raises(ConfigError, match=r"use it with loss\.bidirectional=true"):
        check(cfg)


def test_a_training_without_instructions_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    cfg = tiny_config(tmp_path, tmp_path / "no encoder")
    cfg.loss.other_instruction_negatives, cfg.with_instructions = True, False
    with pytest.raises(ConfigError, match="with_instructions=false reads none"):
        train(cfg)


class Watch(Callback):
    """Keeps the gradient of each step and what was logged, and may press Ctrl-C after a step."""

    def __init__(self, press_after: int = 0) -> None:
        self.press_after = press_after
        self.gradients: list[Gradients] = []
        self.logged: list[dict[str, float]] = []
        self.read: list[list[list[int]]] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        grads = {name: weight.grad for name, weight in pl_module.named_parameters()}
        self.gradients.append({name: grad.clone() for name, grad in grads.items() if grad is not None})

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.read.append(batch.other_query.input_ids.tolist())
        self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})
        if trainer.global_step == self.press_after:
            os.kill(os.getpid(), signal.SIGINT)


def watched(monkeypatch: pytest.MonkeyPatch, cfg: Config, press_after: int = 0) -> tuple[Path, Watch]:
    watch = Watch(press_after)

    def build(cfg: Config, folder: Path, *, callbacks: Any) -> Trainer:
        return build_trainer(cfg, folder, callbacks=[watch, *callbacks])

    monkeypatch.setattr(run_module, "build_trainer", build)
    if press_after:
        with pytest.raises(KeyboardInterrupt):
            train(cfg)
        return Path(), watch
    return train(cfg), watch


@pytest.fixture
def cfg(place: Path, encoder_folder: Path) -> Config:
    cfg = tiny_config(place, encoder_folder)
    cfg.loss.other_instruction_negatives = True
    return cfg


@pytest.mark.parametrize("chunk", [1, 3, 100])
@pytest.mark.parametrize("hard_negatives", [True, False])
def test_cached_gradients_are_the_plain_ones(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, chunk: int, hard_negatives: bool
) -> None:
    cfg.optimizer.dropout, cfg.trainer.max_steps, cfg.trainer.gradient_clip_val = False, 1, None
    cfg.loss.hard_negatives, cfg.loss.spelling, cfg.loss.mask_same_text = hard_negatives, "paper", True
    _, plain = watched(monkeypatch, cfg)
    _, cached = watched(monkeypatch, replace(cfg, trainer=replace(cfg.trainer, mini_batch_size=chunk)))
    for name, gradient in plain.gradients[0].items():
        torch.testing.assert_close(cached.gradients[0][name], gradient, rtol=1e-3, atol=1e-6)
    assert cached.logged[0]["loss"] == pytest.approx(plain.logged[0]["loss"], abs=1e-5)


@pytest.mark.parametrize("family", ["t5", "bert", "mpnet"])
def test_the_unpadded_path_embeds_the_other_queries_as_the_padded_one_with_the_same_gradient(
    place: Path, family: str
) -> None:
    """Row 0 and row 20 have one query text, and rows 0 and 1 here are one row: every occurrence has its own vector."""
    encoder = tiny_encoder(family, dropout=0.0)
    loss = LossConfig(temperature=0.1, other_instruction_negatives=True)
    module = InstructorModule(encoder, Config(loss=loss, optimizer=OptimizerConfig(dropout=False)))
    data = make_data(place, strategy="mixed")
    batch: ContrastiveBatch = data.collator(data.medi.dataset.__getitems__([0, 0, 20, 3]))
    found = []
    for skip_padding in (True, False):
        encoder.skip_padding = skip_padding
        encoder.zero_grad()
        embeddings = module.embed(batch)
        module.compare(embeddings, batch).loss(0.1).backward()
        grads = {name: weight.grad.clone() for name, weight in encoder.named_parameters() if weight.grad is not None}
        found.append((torch.cat(embeddings).detach(), grads))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=1e-6)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-3, atol=1e-5)
    other = embeddings[-1]
    assert torch.allclose(other[0], other[1]) and not torch.allclose(other[0], embeddings[0][0], atol=1e-3)


def test_an_interrupted_and_resumed_run_draws_and_learns_as_a_straight_one(
    cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, straight = watched(monkeypatch, replace(cfg, output=f"{cfg.paths.experiments}/straight"))
    _, first = watched(monkeypatch, cfg, press_after=7)
    folder, second = watched(monkeypatch, cfg)
    assert straight.read == first.read + second.read
    ours, theirs = (load_encoder(each / CHECKPOINT).state_dict() for each in (folder, place))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_training_with_it_makes_the_encoder_tell_instructions_apart_and_without_it_does_not(
    cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg.trainer.max_steps, cfg.optimizer.dropout = 60, False
    folder, watch = watched(monkeypatch, cfg)
    first, last = (
        sum(step["instruction_accuracy"] for step in part) / 10 for part in (watch.logged[:10], watch.logged[-10:])
    )
    assert last > 0.9 > first
    plain, _ = watched(monkeypatch, replace(cfg, loss=replace(cfg.loss, other_instruction_negatives=False)))
    told = [told_apart(load_encoder(run / CHECKPOINT), cfg) for run in (folder, plain)]
    assert told[0] > 0.9 > 0.75 > told[1]
    assert read_manifest(folder)["batch"]["queries_per_positive"] == 4 + 1
    assert read_manifest(plain)["batch"]["queries_per_positive"] == 4


def told_apart(encoder: Any, cfg: Config) -> float:
    """Of all rows, how many positives are nearer to their query than to its text under another instruction."""
    data = make_data(Path(cfg.medi.folder).parent, strategy="mixed")
    batch = data.collator(data.medi.dataset.to_list())
    with torch.no_grad():
        query, positive, other = (encoder(side) for side in (batch.query, batch.positive, batch.other_query))
    return float(((query * positive).sum(-1) > (other * positive).sum(-1)).float().mean())
