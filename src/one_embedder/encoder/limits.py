"""What a model takes, from its configuration alone: told before its weights are read, or anything is built for it."""

from __future__ import annotations

from pathlib import Path

from one_embedder.config.schema import Config
from one_embedder.encoder.backbone import position_limit
from one_embedder.encoder.folder import read_layout
from one_embedder.encoder.locate import locate
from one_embedder.encoder.reading import read_config
from one_embedder.errors import ConfigError


def require_within(cfg: Config) -> None:
    """Refuse settings of encoder and training that the encoder's model cannot take.

    A model of the hub is not looked at: its files may have to be fetched first.

    Raises:
        ConfigError: naming every such setting.
        CheckpointError: the folder is no model.
    """
    name = cfg.encoder.name_or_path
    if name != "minilm" and not Path(name).expanduser().is_dir():
        return
    layout = read_layout(locate(name, cfg.encoder.revision))
    config = read_config(layout.transformer)
    deepest, longest = int(config.num_hidden_layers), position_limit(config)
    asked, frozen, tokens = cfg.encoder.layers, cfg.optimizer.frozen_layers, cfg.trainer.max_length
    troubles = []
    if asked is not None and asked > deepest:
        troubles.append(f"encoder.layers={asked}: this encoder has {deepest} layers")
    if frozen > deepest:
        troubles.append(
            f"optimizer.frozen_layers={frozen}: this encoder has {deepest} layers; set it to fewer, or to 0"
        )
    if longest is not None and cfg.encoder.max_length is not None and cfg.encoder.max_length > longest:
        troubles.append(f"encoder.max_length={cfg.encoder.max_length}: this encoder has positions for {longest} tokens")
    limit = cfg.encoder.max_length or layout.max_length
    if tokens is not None and limit is not None and tokens > limit:
        troubles.append(
            f"trainer.max_length={tokens} is more than the encoder's {limit} tokens; "
            "lower it or set encoder.max_length as well"
        )
    if troubles:
        raise ConfigError(f"{name} cannot do what is asked of it:\n" + "\n".join(troubles))
