"""One training run, from MEDI on disk to a checkpoint folder and a run record; interrupted ones resume."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from one_embedder.config.checks import check
from one_embedder.config.relations import require_trainable
from one_embedder.config.schema import Config
from one_embedder.encoder.checkpoint import save_encoder, weights_sha256
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import InstructionTokenizer
from one_embedder.errors import ConfigError, DataError
from one_embedder.files.disk import writing
from one_embedder.files.location import inside_project
from one_embedder.files.lock import holding
from one_embedder.medi.batches.datamodule import MediDataModule
from one_embedder.medi.store import Medi, load_medi
from one_embedder.tracking.identity import resolved, run_id
from one_embedder.tracking.manifest import (
    MANIFEST,
    NewerManifest,
    RunRecord,
    is_complete,
    read_manifest,
    write_atomically,
)
from one_embedder.tracking.wandb_run import upload_checkpoint
from one_embedder.training.callbacks import CutTexts, RandomState, Speed
from one_embedder.training.card import write_card
from one_embedder.training.checkpoint_io import LAST, resumable
from one_embedder.training.checkpointed_layers import checkpoint_layers, require_checkpointable
from one_embedder.training.curves import TASK_LOSSES, Curves
from one_embedder.training.divergence import require_usable
from one_embedder.training.early_stopping import DevScore, EarlyStopping
from one_embedder.training.export import exported, load_backbone_of, renewed_prompts, saved_prompts
from one_embedder.training.interruption import StopOnSignal
from one_embedder.training.lineage import how_to_extend, parent_of
from one_embedder.training.memory import keep_freed_memory
from one_embedder.training.module import InstructorModule
from one_embedder.training.objective import Loss, objective
from one_embedder.training.optimizer import layer_factors, require_freezable
from one_embedder.training.outcome import BEST, CHECKPOINT, Trained
from one_embedder.training.plan import TASK_TABLE, batch_facts, left_out_tasks, start_report, task_table
from one_embedder.training.sharding import WholeWeights
from one_embedder.training.trainer import build_trainer, is_main_process, quiet_lightning, require_accelerator

__all__ = ["BEST", "CHECKPOINT", "DEV", "Run", "train"]

log = logging.getLogger(__name__)

DEV = "dev"


@dataclass(frozen=True)
class Run:
    """One run's settings, inputs and place.

    Attributes:
        cfg: the configuration.
        identity: the run id, a function of all that determines the result.
        folder: the run folder.
        medi: the training data.
        encoder: what learns.
        revision: hash of the encoder's weights before training.
        loss: what is minimized, and so what of a row is needed; the Lightning module makes its own.
        dev: what is watched while training; None: nothing.
    """

    cfg: Config
    identity: str
    folder: Path
    medi: Medi
    encoder: InstructionEncoder
    revision: str
    loss: Loss
    dev: DevScore | None = None

    @property
    def world_size(self) -> int:
        """Processes of the run."""
        return self.cfg.trainer.devices * self.cfg.trainer.num_nodes


def train(cfg: Config, dev: DevScore | None = None, *, wait: bool = False) -> Path:
    """Finetune ``cfg.encoder`` on ``cfg.medi.folder``/medi.

    The run folder is ``cfg.output`` or ``<experiments>/runs/<run id>``. A completed run with the same id is not
    repeated, only given the prompts of ``cfg.instructions``. An interrupted one continues from its ``last.ckpt``: on
    one CPU process bit for bit as if it had never stopped. A finished one is extended by a run that starts from its
    checkpoint: see ``lineage``.

    Args:
        cfg: the configuration.
        dev: the score that ``trainer.early_stopping`` watches; needed if that is on.
        wait: for another process that trains the same, whose result is then taken, instead of refusing. For callers
            that go on with the result: they cannot train on several devices, whose processes would all go on.

    Returns:
        The run folder: ``checkpoint/`` (sentence-transformers format, with a model card), ``metrics.csv``,
        ``manifest.yaml`` and ``config.yaml``; with early stopping also ``best/``, like ``checkpoint/``, and ``dev/``.

    Raises:
        ConfigError: a setting is out of range, or ``cfg.output`` holds another run.
        DataError: the training data cannot be used.
        CheckpointError: the encoder cannot be loaded.
        OneEmbedderError: a loss, a gradient or a weight is not finite; what was saved before stays.
        KeyboardInterrupt, Terminated: Ctrl-C or SIGTERM, after ``last.ckpt`` was saved; running the same command again
            continues.
        LockedError: another process writes the run folder.
    """
    run = _open(cfg, dev)
    with holding(run.folder, wait=wait) if is_main_process() else nullcontext(), writing(run.folder):
        if _is_trained(run.folder, run.identity):
            log.info("%s is already trained: %s", run.identity, run.folder)
            _renew_prompts(run)
        else:
            if wait and run.world_size > 1:
                raise ConfigError(
                    f"trainer.devices={cfg.trainer.devices} on each of trainer.num_nodes={cfg.trainer.num_nodes}: only "
                    "train takes several devices; first run python -m one_embedder.train "
                    f"with_instructions={str(cfg.with_instructions).lower()} seed={cfg.seed} and the other settings "
                    "of this training, then this command again, which finds it"
                )
            _train(run)
    return run.folder


def _is_trained(folder: Path, identity: str) -> bool:
    return is_complete(folder, identity) and (folder / CHECKPOINT).is_dir()


def _renew_prompts(run: Run) -> None:
    """``instructions=`` is no part of a run's id: give what was trained before the prompts that are asked for now."""
    prompts = saved_prompts(run.cfg, run.medi.prompts)
    for folder in (run.folder / CHECKPOINT, run.folder / BEST):
        if is_main_process() and renewed_prompts(folder, prompts, run.encoder.tokenizer.joining):
            log.info("%s: its prompts are now those of instructions=%s", folder, run.cfg.instructions.name)


def _train(run: Run) -> None:
    cfg = run.cfg
    checkpoint = _checkpoint_to_resume(run)
    data = _data(run)
    with _record(run, data) as record:
        sized = replace(run, cfg=_with_own_steps(cfg, data))
        _announce(sized, data, checkpoint)
        trained = _fit(sized, data, checkpoint)
        if record is not None:
            encoder = exported(cfg, run.encoder, run.revision, trained.sharded)
            require_usable(encoder, f"the end, step {trained.trainer.global_step}")
            save_encoder(encoder, run.folder / CHECKPOINT, saved_prompts(cfg, run.medi.prompts))
            for folder, steps in trained.checkpoints():
                write_card(run.encoder, run.folder / folder, record.manifest, resolved(cfg), steps)
            record.complete(trained.metrics(), trained.cost())
            upload_checkpoint(cfg, run.folder, CHECKPOINT, record.manifest["outcome"]["metrics"])
            (run.folder / LAST).unlink(missing_ok=True)  # three times the size of the model, and of no more use
            log.info("%s", trained.sentence(cfg, run.folder))


def _open(cfg: Config, dev: DevScore | None = None) -> Run:
    check(cfg)  # before anything is read; a caller of ours may have set what no command line was asked for
    loss = objective(cfg.loss)
    require_trainable(cfg)
    medi = load_medi(Path(cfg.medi.folder) / "medi")
    encoder = load_backbone_of(cfg)
    require_freezable(encoder, cfg.optimizer.frozen_layers)
    layer_factors(encoder, cfg.optimizer.layer_decay)  # refuses a backbone whose layers it does not know
    if cfg.trainer.gradient_checkpointing:
        require_checkpointable(encoder)
    revision = weights_sha256(encoder)  # a local folder can change under its name
    name = "with_instructions" if cfg.with_instructions else "without_instructions"
    identity = run_id(cfg, name, medi.sha256, revision, *_watched(cfg, dev))
    folder = Path(cfg.output) if cfg.output else Path(cfg.paths.experiments) / "runs" / identity
    if not _is_trained(folder, identity):
        require_accelerator(cfg.trainer.accelerator)
    return Run(cfg, identity, folder, medi, encoder, revision, loss, dev)


def _watched(cfg: Config, dev: DevScore | None) -> list[str]:
    """What early stopping makes a run depend on: nothing where it is off."""
    settings = cfg.trainer.early_stopping
    if settings.every_n_steps is None:
        return []
    if dev is None:
        raise ConfigError("trainer.early_stopping is on, and train() was called without a dev score to watch")
    return [f"early stopping {settings.every_n_steps} {settings.patience} {dev.identity}"]


def _checkpoint_to_resume(run: Run) -> Path | None:
    """The run's own ``last.ckpt`` if it is whole; one that cannot be used is removed, so that all ranks agree."""
    last = run.folder / LAST
    whole = resumable(last) if _holds_this_run(run) else None
    if whole is None and is_main_process():
        last.unlink(missing_ok=True)
    return whole


def _holds_this_run(run: Run) -> bool:
    """Whether the folder was begun by this run.

    Raises:
        ConfigError: it holds another run.
    """
    if not (run.folder / MANIFEST).exists():
        return False
    try:
        found = read_manifest(run.folder)["run_id"]
    except NewerManifest:
        raise
    except (DataError, KeyError) as error:
        log.warning("%s: training starts over", error)
        return False
    if found != run.identity:
        longer = how_to_extend(run.cfg, run.medi.sha256, run.revision, [run.folder])
        raise ConfigError(
            f"{run.folder} holds the run {found}, these settings are {run.identity}; "
            "choose another output= or delete that folder" + (f". {longer}" if longer else "")
        )
    return True


def _data(run: Run) -> MediDataModule:
    return MediDataModule(
        run.medi,
        _training_tokenizer(run),
        sampler=run.cfg.sampler,
        with_instructions=run.cfg.with_instructions,
        seed=run.cfg.seed,
        instruction_detail=run.cfg.instruction_detail,
        hard_negatives=run.loss.needs_negatives,
        other_instruction_negatives=run.loss.needs_other_queries,
    )


def _with_own_steps(cfg: Config, data: MediDataModule) -> Config:
    """As long as the run is: with ``trainer.share_of_steps`` its tasks' part of the steps, at least one."""
    if not cfg.trainer.share_of_steps:
        return cfg
    steps = max(1, round(cfg.trainer.max_steps * data.share_of_batches()))
    return replace(cfg, trainer=replace(cfg.trainer, max_steps=steps))


def _training_tokenizer(run: Run) -> InstructionTokenizer:
    tokenizer, length = run.encoder.tokenizer, run.cfg.trainer.max_length
    if length is None:
        return tokenizer
    if length > tokenizer.max_length:
        raise ConfigError(
            f"trainer.max_length={length} is more than the encoder's {tokenizer.max_length} tokens; "
            "lower it or set encoder.max_length as well"
        )
    return tokenizer.with_max_length(length)


def _record(run: Run, data: MediDataModule) -> RunRecord | nullcontext[None]:
    """The run record, kept by one process."""
    if not is_main_process():
        return nullcontext()
    shares = data.sampler(world_size=run.world_size).summary()
    facts = {
        "name": "medi",
        "file": inside_project(run.medi.folder),
        "sha256": run.medi.sha256,
        "rows": sum(share.rows for share in shares),
        "tasks": len(shares),
        "dropped_rows": sum(share.rows for share in shares if not share.batches),
    }
    if "mining" in run.medi.about:  # how the hard negatives were chosen
        facts["mining"] = run.medi.about["mining"]
    if "prompts" in run.medi.about:
        facts["prompts"] = run.medi.prompts
    return RunRecord.start(
        run.folder,
        name="train",
        cfg=run.cfg,
        data=[facts],
        model={
            "base": run.cfg.encoder.name_or_path,
            "revision": run.revision,
            "parameters": sum(parameter.numel() for parameter in run.encoder.parameters()),
            "backbone_share": run.cfg.trainer.backbone_share,
            "parent": parent_of(run.cfg.encoder.name_or_path, run.revision),
        },
        batch={
            **batch_facts(run.cfg, run.world_size, run.medi.negatives_per_row),
            "precision": run.cfg.trainer.precision,
        },
        identity=run.identity,
    )


def _announce(run: Run, data: MediDataModule, checkpoint: Path | None) -> None:
    if not is_main_process():
        return
    parameters = list(run.encoder.parameters())
    instructions = "off" if not run.cfg.with_instructions else "on" if run.medi.has_instructions else "none in the data"
    notes = [
        f"encoder: {run.cfg.encoder.name_or_path}, {sum(p.numel() for p in parameters) / 1e6:.1f} M parameters, "
        f"{run.cfg.optimizer.frozen_layers} layers frozen, instructions {instructions}",
        f"precision: {run.cfg.trainer.precision}",
        f"run: {run.folder}" + (f", resuming from {checkpoint.name}" if checkpoint else ""),
    ]
    shares = data.sampler(world_size=run.world_size).summary()
    facts = batch_facts(run.cfg, run.world_size, run.medi.negatives_per_row)
    _warn_of_useless_chunks(run, facts)
    log.info(start_report(run.cfg, shares, run.medi.task_names, facts=facts, world_size=run.world_size, notes=notes))
    write_atomically(run.folder / TASK_TABLE, task_table(shares, run.medi.task_names))
    if checkpoint is None and (longer := how_to_extend(run.cfg, run.medi.sha256, run.revision, _siblings(run))):
        log.info("this run starts at step 0. %s", longer)
    for sentence in left_out_tasks(shares, run.medi.task_names, run.cfg.sampler.global_batch_size):
        log.warning("%s", sentence)


def _siblings(run: Run) -> list[Path]:
    """Other runs with the same seed, where runs are by default."""
    same, _, _ = run.identity.rpartition("-")
    return sorted((Path(run.cfg.paths.experiments) / "runs").glob(f"{same}-*"))


def _warn_of_useless_chunks(run: Run, facts: Mapping[str, int | None]) -> None:
    mini = run.cfg.trainer.mini_batch_size
    negatives = run.medi.negatives_per_row if run.loss.needs_negatives else 0
    of_a_row = [1, 1, negatives, int(run.loss.needs_other_queries)]
    largest = int(facts["per_device"] or 0) * (sum(of_a_row) if run.encoder.is_unpadded else max(of_a_row))
    if mini is not None and mini >= largest:
        log.warning(
            "trainer.mini_batch_size=%d cuts nothing (a device embeds at most %d texts at once): it costs a second "
            "forward pass and saves no memory; leave it out or lower it",
            mini,
            largest,
        )


def _fit(run: Run, data: MediDataModule, checkpoint: Path | None) -> Trained:
    cfg = run.cfg
    torch.manual_seed(cfg.seed)  # of weights that a loss may have
    module = InstructorModule(run.encoder, cfg)
    if cfg.trainer.gradient_checkpointing:
        checkpoint_layers(run.encoder)
    speed, cuts, stop = Speed(), CutTexts(), StopOnSignal(run.folder / LAST)
    watch, whole = _watch(run, speed), WholeWeights()
    curves = Curves(run.medi.task_names, run.folder / TASK_LOSSES)
    # In this order: what stop saves is what watch knows by then.
    callbacks = [RandomState(), speed, cuts, curves, *([watch] if watch is not None else []), stop, whole]
    with quiet_lightning():
        trainer = build_trainer(cfg, run.folder, callbacks=callbacks)
        if trainer.strategy.root_device.type == "cpu":
            keep_freed_memory()
        torch.manual_seed(cfg.seed)
        with stop.listening():
            trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    if stop.stopped is not None:
        log.warning("stopped at step %d of %d; the same command continues", trainer.global_step, cfg.trainer.max_steps)
        stop.raise_stopped()
    curves.write(trainer)
    return Trained(trainer, speed, watch, cuts, whole.state, module.last_logged)


def _watch(run: Run, speed: Speed) -> EarlyStopping | None:
    settings = run.cfg.trainer.early_stopping
    if run.dev is None or settings.every_n_steps is None:
        return None

    dev = run.dev

    def score(encoder: InstructionEncoder, output: Path) -> float:
        return dev(exported(run.cfg, encoder, run.revision), output)

    def keep() -> None:
        save_encoder(
            exported(run.cfg, run.encoder, run.revision), run.folder / BEST, saved_prompts(run.cfg, run.medi.prompts)
        )

    return EarlyStopping(score, settings, run.folder / DEV, keep=keep, leave_out=speed.leave_out)
