"""Settings that contradict each other, told before anything is read, built or recorded.

``checks`` refuses what can never work, whatever the verb. Here is what only some verbs read: an encoder cut to one
layer is fine to be evaluated under a profile whose training freezes three.
"""

from __future__ import annotations

from one_embedder.config.schema import Config, LossConfig, MediConfig
from one_embedder.errors import ConfigError

# Strategies of ours that fill a batch from one task.
_ONE_TASK = ("proportional", "uniform", "temperature", "capped", "released")

_GATHERED = ("super_ni", "mixture", "full")
_MINED = ("documentation", "own", *_GATHERED)
# Key of medi -> the sources that read it; keys that are not here are everybody's.
_READ_BY = {
    "path": ("own", "file"),
    **dict.fromkeys(("held_back", "query_instruction", "document_instruction"), ("own",)),
    "max_rejected": ("file",),
    **dict.fromkeys(("root", "tasks", "instances_per_task", "text_output", "instructions"), _GATHERED),
    **dict.fromkeys(("pairs", "instances_of_pairs", "pair_instructions"), _GATHERED),
    **dict.fromkeys(("views", "view_sets", "crossed_views"), _GATHERED),
    **dict.fromkeys(("hub", "datasets"), ("full",)),
    "leakage": ("own", "file", *_GATHERED),
    **dict.fromkeys(("rows_per_task", "min_rows_per_task"), _MINED),
}


def require_trainable(cfg: Config) -> None:
    """Refuse settings with which no training can begin.

    Raises:
        ConfigError: naming both settings of every contradiction, and what to change.
    """
    troubles = _training(cfg)
    contrasted = isinstance(cfg.loss, LossConfig) and cfg.loss.other_instruction_negatives
    if contrasted and not cfg.with_instructions:  # tables and ablations leave it out there
        troubles.append(
            "loss.other_instruction_negatives contrasts instructions, and with_instructions=false reads none: "
            "add loss.other_instruction_negatives=false"
        )
    _refuse(troubles)


def require_buildable(cfg: Config) -> None:
    """Refuse settings with which no training data can be built; raises as ``require_trainable``."""
    _refuse(_building(cfg))


def require_reproducible(cfg: Config) -> None:
    """Refuse settings with which data are built that no training can use; raises as ``require_trainable``."""
    troubles = [*_building(cfg), *_training(cfg)]
    batch, rows = cfg.sampler.global_batch_size, cfg.medi.rows_per_task
    if cfg.medi.source != "file" and cfg.sampler.strategy in _ONE_TASK and batch > rows:
        troubles.append(
            f"sampler.global_batch_size={batch} rows of one task, and medi.rows_per_task={rows} builds tasks of fewer: "
            f"add medi.rows_per_task={batch} or a smaller batch"
        )
    _refuse(troubles)


def require_instructions(cfg: Config) -> None:
    """Refuse ``with_instructions=false`` where models with and without instructions are compared.

    Raises:
        ConfigError: naming the setting.
    """
    if not cfg.with_instructions:
        raise ConfigError(
            "with_instructions=false would change nothing: what instructions do is measured here, with and without "
            "them; leave it out (train and evaluate read it)"
        )


def require_right_instructions(cfg: Config) -> None:
    """Refuse ``evaluation.instructions`` where each text is given the instructions of every labeling, and none.

    Raises:
        ConfigError: naming the setting.
    """
    if cfg.evaluation.instructions != "right":
        raise ConfigError(
            f"evaluation.instructions={cfg.evaluation.instructions} would change nothing: the texts of view sets are "
            "given the instruction of every labeling, the wrong ones too; leave it out (evaluate reads it)"
        )


def require_any_instructions(cfg: Config) -> None:
    """Refuse ``evaluation.instructions`` where no task has instructions; an ablation's levels without may say it.

    Raises:
        ConfigError: naming the setting, and what leaves the instructions out.
    """
    table = cfg.instructions
    if cfg.evaluation.instructions == "right" or (cfg.with_instructions and (table.table or table.beside_tasks)):
        return
    bare = f"instructions={table.name} has none" if cfg.with_instructions else "with_instructions=false gives none"
    raise ConfigError(
        f"evaluation.instructions={cfg.evaluation.instructions} would change nothing: {bare}; choose a table of "
        "conf/instructions, as in instructions=generic, or leave it out"
    )


def _training(cfg: Config) -> list[str]:
    troubles = []
    layers, frozen = cfg.encoder.layers, cfg.optimizer.frozen_layers
    if layers is not None and frozen > layers:
        troubles.append(
            f"encoder.layers={layers} keeps fewer layers than optimizer.frozen_layers={frozen} freezes: "
            f"add optimizer.frozen_layers={layers - 1}"
        )
    tokens, most = cfg.trainer.max_length, cfg.encoder.max_length
    if tokens is not None and most is not None and tokens > most:
        troubles.append(
            f"trainer.max_length={tokens} is more than the encoder.max_length={most} tokens that the encoder takes: "
            f"add trainer.max_length={most}"
        )
    batch, devices = cfg.sampler.global_batch_size, cfg.trainer.devices * cfg.trainer.num_nodes
    if batch % devices:
        shared = max(batch - batch % devices, devices)
        troubles.append(
            f"sampler.global_batch_size={batch} cannot be shared by trainer.devices={cfg.trainer.devices} on each of "
            f"trainer.num_nodes={cfg.trainer.num_nodes}: add sampler.global_batch_size={shared}"
        )
    return troubles


def _building(cfg: Config) -> list[str]:
    troubles = _unread_by_source(cfg.medi)
    fewest, most = cfg.medi.min_rows_per_task, cfg.medi.rows_per_task
    if cfg.medi.source != "file" and fewest > most:
        troubles.append(
            f"medi.min_rows_per_task={fewest} leaves out every task, for none has more than medi.rows_per_task={most}: "
            f"add medi.min_rows_per_task={most}"
        )
    return troubles


def _unread_by_source(medi: MediConfig) -> list[str]:
    """A key that is not as it is by default, and that only other sources read."""
    usual, troubles = MediConfig(), list[str]()
    if medi.source not in (*_MINED, "file"):
        return troubles  # there is none of that name, which the build tells
    for key, sources in _READ_BY.items():
        value = getattr(medi, key)
        if medi.source not in sources and value != getattr(usual, key):
            told = " or ".join(f"medi={source}" for source in sources)
            troubles.append(
                f"medi.{key}={value!r:.100} has no effect on data of medi.source={medi.source}: choose {told}, or "
                "leave it out"
            )
    if medi.source == "file" and medi.path is None and medi.leakage is not None:
        troubles.append(
            f"medi.leakage={medi.leakage!r} has no effect on data that are built already: name the file that they are "
            "made of (medi.path=FILE), or leave it out"
        )
    return troubles


def _refuse(troubles: list[str]) -> None:
    if troubles:
        raise ConfigError("\n".join(troubles))
