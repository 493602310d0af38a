"""Reading and writing sentence-transformers folders: hkunlp/instructor-*, GTR, MiniLM and our own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from one_embedder.encoder.backbone import (
    load_backbone,
    load_tokenizer,
    position_limit,
    require_finite,
    without_pooler,
)
from one_embedder.encoder.dense import Dense, load_dense, save_dense
from one_embedder.encoder.folder import read_layout
from one_embedder.encoder.locate import locate
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.reading import quiet_transformers
from one_embedder.encoder.tokenize import JOININGS, InstructionTokenizer
from one_embedder.errors import CheckpointError, ConfigError
from one_embedder.files.lock import is_alive
from one_embedder.files.swap import put_in_place

_UNLIMITED = 1_000_000  # tokenizers without a maximum length state a number far above this one
_DEFAULT_MAX_LENGTH = 512


def load_encoder(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    joining: str = "pypi",
    max_length: int | None = None,
    layers: int | None = None,
) -> InstructionEncoder:
    """Load an encoder in float32 on the CPU, in evaluation mode.

    Embeddings are normalised whether or not the folder asks for it, as INSTRUCTOR's are.

    Args:
        name_or_path: ``"minilm"`` (the installed wheel), a local folder, or a hub id.
        revision: hub revision; only for hub ids.
        joining: how instruction and text are joined, ``"pypi"`` or ``"head"``.
        max_length: tokens per text, instruction included; None takes what the folder states.
        layers: keep so many of the lowest transformer layers; None keeps all.

    Raises:
        CheckpointError: if the folder or a part of it is missing, damaged or of an unsupported kind.
        ConfigError: if an argument is wrong, for example a maximum length that the model cannot take.
    """
    folder = locate(name_or_path, revision)
    layout = read_layout(folder)
    tokenizer = load_tokenizer(layout.transformer)
    dense = [load_dense(part) for part in layout.dense]
    for layer, part in zip(dense, layout.dense, strict=True):
        require_finite(layer, part)
    backbone = load_backbone(layout.transformer, layers)
    length = _max_length(backbone, tokenizer, asked=max_length, stated=layout.max_length)
    try:
        return InstructionEncoder(backbone, InstructionTokenizer(tokenizer, length, joining), dense).eval()
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error


def save_encoder(
    encoder: InstructionEncoder,
    folder: Path,
    prompts: Mapping[str, str] | None = None,
    default_prompt_name: str | None = None,
) -> None:
    """Write a folder that ``SentenceTransformer(folder)`` loads as it is, with embeddings equal to ours.

    They differ where sentence-transformers joins or masks otherwise than INSTRUCTOR, which no setting of a folder
    changes (tests/parity/test_sentence_transformers.py measures each):

    - a text begins with white space, which we strip and which stands there between prompt and text: under a prompt that
      does not itself end with white space, and in byte-level vocabularies (RoBERTa, ModernBERT) under any prompt;
    - the prompt is a single token of a T5, which "pypi" pools, or white space alone, which masks ``[CLS]`` there;
    - prompt and text merge into no more tokens than the prompt has alone: we pool the end token, they nothing.

    With the joining "head" a prompt has to be stripped first; the prompts that are saved are.

    The folder is written beside its place and then takes the name in one step (see ``swap``): a model folder that is
    there already is whole until the new one is.

    Args:
        encoder: what to write.
        folder: where; its parent is made if needed.
        prompts: instructions by name, for ``SentenceTransformer.encode(..., prompt_name=...)``.
        default_prompt_name: the one of them that is used by calls which name none.

    Raises:
        CheckpointError: if the place holds something else than a model folder, is the working directory or cannot be
            written to, or the encoder is quantised.
    """
    folder = Path(folder)
    if is_quantized(encoder):
        raise CheckpointError(f"{folder}: quantised weights cannot be saved; save the encoder before it is quantised")
    folder = folder.resolve() if folder.is_symlink() else folder
    _refuse_foreign(folder)
    partial = _partial(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        joining = JOININGS[encoder.tokenizer.joining]
        _write(encoder, partial)
        written = {name: joining.prompt(text) for name, text in (prompts or {}).items()}
        settings = {"prompts": written, "default_prompt_name": default_prompt_name}
        _dump(partial / "config_sentence_transformers.json", settings)
        put_in_place(partial, folder)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder} could not be written ({error}); free space or choose another place") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_positions(backbone: PreTrainedModel, max_length: int) -> None:
    """Raise ConfigError if the model cannot take so many tokens, or it is no number of them."""
    if type(max_length) is not int:
        raise ConfigError(f"max_length={max_length!r} must be a whole number of tokens")
    limit = position_limit(backbone.config)
    if limit is not None and max_length > limit:
        raise ConfigError(f"max_length={max_length} is more than the {limit} tokens that the model has positions for")


def weights_sha256(encoder: InstructionEncoder) -> str:
    """Hash of every weight's name, type, shape and bytes; equal before saving and after loading."""
    digest = hashlib.sha256()
    for name, weight in sorted(encoder.state_dict().items()):
        for part in _parts(weight):
            if not isinstance(part, torch.Tensor):
                digest.update(f"{name} {part}\n".encode())
                continue
            digest.update(f"{name} {part.dtype} {tuple(part.shape)}\n".encode())
            digest.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def is_quantized(encoder: InstructionEncoder) -> bool:
    """Whether layers hold quantised weights, as ``torch.ao`` makes them; they keep their type."""
    return any(not isinstance(w, torch.Tensor) or w.is_quantized for w in encoder.state_dict().values())


def _parts(weight: Any) -> Iterator[Any]:
    """The plain tensors and facts that an entry of a state_dict consists of; those of quantised layers are nested."""
    if isinstance(weight, tuple | list):
        for each in weight:
            yield from _parts(each)
    elif isinstance(weight, torch.Tensor) and weight.is_quantized:
        per_channel = weight.qscheme() in (torch.per_channel_affine, torch.per_channel_symmetric)
        yield weight.int_repr()
        yield weight.q_per_channel_scales() if per_channel else weight.q_scale()
        yield weight.q_per_channel_zero_points() if per_channel else weight.q_zero_point()
    else:
        yield weight


def _max_length(
    backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, *, asked: int | None, stated: int | None
) -> int:
    if asked is not None:
        check_positions(backbone, asked)
        return asked
    limit = position_limit(backbone.config)
    if stated is None:
        own = tokenizer.model_max_length
        stated = own if own < _UNLIMITED else _DEFAULT_MAX_LENGTH
    return stated if limit is None else min(stated, limit)


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and folder.samefile("."):  # who works there would be left in the folder that was replaced
        raise CheckpointError(f"{folder} is the folder that you are in; choose an empty or new folder for the model")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "modules.json").is_file():
        raise CheckpointError(f"{folder} holds other files; choose an empty or new folder for the model")
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder} is a file; choose an empty or new folder for the model")


def _partial(folder: Path) -> Path:
    """A place beside the folder that no other thread, process or machine writes; those of dead ones are removed."""
    mine = f".{folder.name}.partial-{socket.gethostname()}-"
    for left in folder.parent.glob(f"{mine}*"):
        process = left.name.removeprefix(mine).partition("-")[0]
        if process.isdigit() and not is_alive(int(process)):
            shutil.rmtree(left, ignore_errors=True)
    return folder.with_name(f"{mine}{os.getpid()}-{threading.get_ident()}")


def _write(encoder: InstructionEncoder, folder: Path) -> None:
    """All but the prompts."""
    folder.mkdir()
    with quiet_transformers():
        encoder.backbone.save_pretrained(folder)
    _write_tokenizer(encoder.tokenizer, folder)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    for number, layer in enumerate(encoder.dense, start=len(modules)):
        save_dense(cast(Dense, layer), folder / f"{number}_Dense")
        modules.append((f"{number}_Dense", "Dense"))
    modules.append((f"{len(modules)}_Normalize", "Normalize"))
    (folder / "1_Pooling").mkdir()
    (folder / modules[-1][0]).mkdir()
    _dump(folder / "modules.json", [_module(number, *module) for number, module in enumerate(modules)])
    _dump(folder / "1_Pooling" / "config.json", _pooling_config(int(encoder.backbone.config.hidden_size)))
    _dump(folder / "sentence_bert_config.json", _transformer_config(encoder))


def _write_tokenizer(tokenizer: InstructionTokenizer, folder: Path) -> None:
    with quiet_transformers():
        tokenizer.tokenizer.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.vocabulary_for_others(), encoding="utf-8")
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    # This class takes tokenizer.json to the letter, in transformers 4 and 5; a model's own class may rebuild it.
    config.pop("auto_map", None)  # code of the folder that the tokenizer came from: it was not run, and is not here
    config |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": tokenizer.max_length}
    _dump(path, config)


def _transformer_config(encoder: InstructionEncoder) -> dict[str, Any]:
    """The maximum length, and what sentence-transformers passes on: else it makes up a pooler, and says so aloud."""
    config: dict[str, Any] = {"max_seq_length": encoder.tokenizer.max_length, "do_lower_case": False}
    arguments = without_pooler(encoder.backbone.config)
    return config | ({"model_args": arguments} if arguments else {})


def _module(number: int, path: str, kind: str) -> dict[str, Any]:
    """One entry of modules.json, by the class path that every sentence-transformers version knows."""
    return {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}


def _pooling_config(width: int) -> dict[str, Any]:
    """Mean pooling that leaves the prompt out, in the spelling that sentence-transformers 2.4 to 6 reads."""
    return {
        "word_embedding_dimension": width,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
        "include_prompt": False,
    }


def _dump(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
