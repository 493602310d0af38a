"""Loading a Hugging Face text encoder and its tokenizer from a folder, without a word on the terminal."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    AutoTokenizer,
    MT5EncoderModel,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5EncoderModel,
    UMT5EncoderModel,
)
from transformers.models.auto.modeling_auto import MODEL_MAPPING

from one_embedder.encoder.reading import AS_DATA, read_config, reading
from one_embedder.errors import CheckpointError, ConfigError

# Of the encoder-decoder families only the encoder is wanted.
_ENCODER_HALVES: dict[str, type[PreTrainedModel]] = {
    "t5": T5EncoderModel,
    "mt5": MT5EncoderModel,
    "umt5": UMT5EncoderModel,
}


def load_backbone(folder: Path, layers: int | None = None) -> PreTrainedModel:
    """Load the text encoder in float32, without a pooling head, in evaluation mode.

    Args:
        folder: with ``config.json`` and weights.
        layers: keep so many of the lowest layers; None: all.

    Raises:
        ConfigError: if more layers are asked for than there are.
        CheckpointError: if files are missing or unreadable, weights are missing, or any weight is not finite.
    """
    with reading("model", folder / "config.json"):
        config = read_config(folder)
        _keep_lowest(config, layers)
        model, report = _model_class(config).from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            weights_only=True,
            output_loading_info=True,
            **AS_DATA,
            **without_pooler(config),
        )
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:5])
        raise CheckpointError(
            f"the weights in {folder} lack {missing}, which its config.json asks for; fetch or save the folder again"
        )
    require_finite(model, folder)
    return cast(PreTrainedModel, model.eval())


def require_finite(module: torch.nn.Module, where: Path) -> None:
    """Raise CheckpointError, naming the weight, if one is NaN or infinite."""
    for name, weight in module.named_parameters():
        if not torch.isfinite(weight).all():
            raise CheckpointError(f"weight {name} in {where} is not finite: the training that wrote it diverged")


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load the fast tokenizer.

    ``tokenizer.json`` is taken to the letter: the tokenizer classes of single models (``T5Tokenizer``) would rebuild
    its normaliser, and with it other tokens. Only a folder without it is left to the model's own class to convert.

    Raises:
        CheckpointError: if there is no tokenizer or it cannot be read.
    """
    verbatim = (folder / "tokenizer.json").is_file()
    kind: Any = PreTrainedTokenizerFast if verbatim else AutoTokenizer
    with reading("tokenizer", folder / "tokenizer_config.json"):
        tokenizer = kind.from_pretrained(folder, **AS_DATA)
        tokenizer.all_special_ids  # noqa: B018  # with an unknown token that is none, transformers never finds them
    if not tokenizer.is_fast:
        raise CheckpointError(f"{folder} has no fast tokenizer; add its tokenizer.json")
    return cast(PreTrainedTokenizerFast, tokenizer)


def without_pooler(config: PreTrainedConfig) -> dict[str, bool]:
    """What keeps BERT's pooler away, which is not used: left in, nothing would train it, and DDP would stop at it."""
    accepted = inspect.signature(_model_class(config).__init__).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in accepted else {}


def beyond_weights(config: PreTrainedConfig) -> dict[str, Any]:
    """What a forward pass depends on besides the weights, such as heads, activation and epsilon.

    Only what differs from the defaults of the configuration's class: a later transformers may know of more settings,
    and a folder may state those that no class reads.
    """
    stated, defaults = config.to_dict(), type(config)().to_dict()
    return {
        key: value
        for key, value in sorted(stated.items())
        if key in defaults and value != defaults[key] and not _BESIDE_THE_FORWARD_PASS.fullmatch(key)
    }


# Where the model is from; sizes, which the weights have; what only training, or only another head, reads.
_BESIDE_THE_FORWARD_PASS = re.compile(
    r"_name_or_path|architectures|transformers_version|(torch_)?dtype"
    r"|(vocab|hidden|intermediate|type_vocab)_size|d_model|d_ff|num(_hidden)?_layers|max_position_embeddings"
    r"|.*dropout.*|initializer_.*|use_cache|problem_type|(id2label|label2id)"
)


def position_limit(config: PreTrainedConfig) -> int | None:
    """Tokens that a model with learned positions can take, or None where nothing but memory limits them."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return None
    # RoBERTa and its kin number their positions from the padding index on.
    offset = config.pad_token_id + 1 if config.model_type in _OFFSET_POSITIONS else 0
    return int(positions) - int(offset)


_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"}


def _keep_lowest(config: PreTrainedConfig, layers: int | None) -> None:
    """Weights above are then not read, and a checkpoint that is saved later says how deep it is."""
    if layers is None:
        return
    if not 1 <= layers <= config.num_hidden_layers:
        raise ConfigError(f"encoder.layers={layers}: this encoder has {config.num_hidden_layers} layers")
    config.num_hidden_layers = layers


def _model_class(config: PreTrainedConfig) -> Any:
    return _ENCODER_HALVES.get(config.model_type) or MODEL_MAPPING[type(config)]
