from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from one_embedder.config.schema import Config, LossConfig, OptimizerConfig, SamplerConfig, TrainerConfig
from one_embedder.errors import OneEmbedderError
from one_embedder.medi.batches.datamodule import MediDataModule
from one_embedder.medi.store import load_medi
from one_embedder.training.callbacks import RandomState, Speed
from one_embedder.training.module import InstructorModule
from tests.medi.toy import instruction_tokenizer
from tests.training.tiny import tiny_encoder


def make_module(*, max_steps: int = 30, clip: float | None = 1.0, **loss: Any) -> InstructorModule:
    return InstructorModule(
        tiny_encoder(),
        Config(
            loss=LossConfig(**{"temperature": 0.1, **loss}),
            optimizer=OptimizerConfig(learning_rate=5e-3),
            trainer=TrainerConfig(max_steps=max_steps, gradient_clip_val=clip),
        ),
    )


@pytest.mark.parametrize("dropout", [True, False])
def test_dropout_is_active_exactly_when_asked_for(dropout: bool) -> None:
    encoder = tiny_encoder(dropout=0.5)
    InstructorModule(encoder, Config(optimizer=OptimizerConfig(dropout=dropout)))
    batch = encoder.tokenizer(["", ""], ["alpha beta", "gamma"])
    assert torch.equal(encoder(batch), encoder(batch)) is not dropout


@pytest.mark.parametrize("family", ["t5", "bert", "mpnet"])
@pytest.mark.parametrize("dropout", [False, True])
def test_sides_embedded_together_are_those_embedded_one_by_one(workplace: Path, family: str, dropout: bool) -> None:
    """Texts that stand in several rows included, and each of those with dropout of its own."""
    encoder = tiny_encoder(family, dropout=0.5 if dropout else 0.0)
    module = InstructorModule(encoder, Config(optimizer=OptimizerConfig(dropout=dropout)))
    data = make_data(workplace)
    batch = data.collator([data.medi.dataset[row] for row in (0, 1, 2, 3, 0, 1)])
    together = torch.cat(module.embed(batch))
    if dropout:
        assert not torch.equal(together[0], together[4])
    else:
        encoder.skip_padding = False
        torch.testing.assert_close(together, torch.cat(module.embed(batch)), rtol=0, atol=1e-6)
        assert torch.equal(together[0], together[4])


def make_data(workplace: Path, *, batch: int = 8) -> MediDataModule:
    medi = load_medi(workplace / "data" / "medi")
    return MediDataModule(
        medi, instruction_tokenizer(), sampler=SamplerConfig(global_batch_size=batch), with_instructions=True, seed=0
    )


class Watch(Callback):
    """Remembers what was logged."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.seen.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def fit(module: InstructorModule, data: MediDataModule, *callbacks: Callback, log_every: int = 1) -> Trainer:
    trainer = Trainer(
        max_steps=module.cfg.trainer.max_steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        log_every_n_steps=log_every,
        callbacks=[Speed(), *callbacks],
    )
    torch.manual_seed(0)
    trainer.fit(module, data)
    return trainer


def test_the_loss_falls_and_the_own_positive_is_found_within_thirty_steps(workplace: Path) -> None:
    watch = Watch()
    trainer = fit(make_module(), make_data(workplace), watch)
    assert trainer.global_step == len(watch.seen) == 30
    first, last = (sum(step["loss"] for step in part) / 5 for part in (watch.seen[:5], watch.seen[-5:]))
    assert last < 0.75 * first


def test_what_is_logged_is_complete_and_consistent(workplace: Path) -> None:
    watch = Watch()
    fit(make_module(max_steps=4), make_data(workplace), watch)
    for step in watch.seen:
        assert step["loss"] == pytest.approx(step["loss_query_to_document"] + step["loss_document_to_query"], rel=1e-5)
        assert {"accuracy", "learning_rate", "gradient_norm", "tokens_per_s"} <= set(step)
        assert step["gradient_norm"] > 0 and step["tokens_per_s"] > 0
    rates = [step["learning_rate"] for step in watch.seen]
    assert rates == pytest.approx([5e-3, 5e-3, 5e-3 * 2 / 3, 5e-3 / 3])


def test_nothing_is_computed_for_the_log_between_its_intervals(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(
        "one_embedder.training.loss.Comparison.metrics", lambda *a: calls.append(1) or {"accuracy": torch.ones(())}
    )
    fit(make_module(max_steps=6), make_data(workplace), log_every=3)
    assert len(calls) == 2


def test_dropout_is_active_while_training_although_encoders_are_loaded_without(workplace: Path) -> None:
    module = make_module()
    batch = next(iter(make_data(workplace).train_dataloader()))
    once, again = (module.embed(batch)[0] for _ in range(2))
    assert not torch.equal(once, again)


def test_every_weight_gets_a_gradient(workplace: Path) -> None:
    module = make_module()
    batch = next(iter(make_data(workplace).train_dataloader()))
    module.measure(module.embed(batch), batch).loss.backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in module.encoder.parameters())


@pytest.mark.parametrize(("clip", "bound"), [(0.01, 0.0101), (None, float("inf"))])
def test_gradients_are_clipped_to_the_configured_norm(workplace: Path, clip: float | None, bound: float) -> None:
    norms: list[Tensor] = []

    class Norms(Callback):
        def on_before_zero_grad(self, trainer: Trainer, module: Any, optimizer: Any) -> None:
            grads = [p.grad for p in module.parameters() if p.grad is not None]
            if grads:
                norms.append(torch.linalg.vector_norm(torch.stack([g.norm() for g in grads])))

    fit(make_module(max_steps=3, clip=clip), make_data(workplace), Norms())
    assert norms and max(norms) < bound
    if clip is None:
        assert max(norms) > 0.01


def test_a_loss_that_is_not_a_number_stops_the_run_with_a_remedy(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)  # a trainer without a folder keeps here what broke
    module = make_module(max_steps=3)
    with torch.no_grad():
        next(module.encoder.parameters()).fill_(float("nan"))
    with pytest.raises(OneEmbedderError, match=r"loss is nan at step 1; lower optimizer\.learning_rate"):
        fit(module, make_data(workplace))


def test_bf16_autocast_trains_with_gradients_and_weights_in_float32(workplace: Path) -> None:
    module = make_module()
    batch = next(iter(make_data(workplace, batch=2).train_dataloader()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embeddings = module.embed(batch)
        loss = module.measure(embeddings, batch).loss
    loss.backward()
    assert {embedding.dtype for embedding in embeddings} == {torch.float32}
    assert all(weight.grad.dtype == torch.float32 for weight in module.encoder.parameters())


def test_similarities_are_computed_in_full_precision_under_bf16_autocast(workplace: Path) -> None:
    module = make_module()
    batch = next(iter(make_data(workplace).train_dataloader()))
    with torch.no_grad():
        embeddings = module.embed(batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = module.measure(embeddings, batch).loss
            assert (embeddings[0] @ embeddings[2].T).dtype == torch.bfloat16  # what autocast would have done
        assert torch.equal(loss, module.measure(embeddings, batch).loss)


def test_random_state_is_restored_before_the_first_step_only() -> None:
    saved = RandomState().state_dict()
    expected = torch.rand(3)
    callback = RandomState()
    callback.load_state_dict(saved)
    torch.rand(5)
    callback.on_train_batch_start(None, None, None, 0)  # type: ignore[arg-type]
    assert torch.equal(torch.rand(3), expected)
    callback.on_train_batch_start(None, None, None, 1)  # type: ignore[arg-type]
    assert not torch.equal(torch.rand(3), expected)
