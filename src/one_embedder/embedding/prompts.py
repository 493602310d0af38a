"""Named instructions, called prompts by sentence-transformers: what a folder says of them, and which a call means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from one_embedder.embedding.inputs import Instructions
from one_embedder.encoder.folder import read_object
from one_embedder.errors import CheckpointError, ConfigError

SETTINGS = "config_sentence_transformers.json"


def read_prompts(folder: Path) -> tuple[dict[str, str], str | None]:
    """A model folder's instructions by name, and the name of its default one, if it has any.

    Raises:
        CheckpointError: if they are not texts by name, or the default is not one of them.
    """
    path = folder / SETTINGS
    config = read_object(path) if path.is_file() else {}
    prompts, default = config.get("prompts") or {}, config.get("default_prompt_name")
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise CheckpointError(f"{path}: prompts must be texts by name; correct it or save the folder again")
    if default is not None and (not isinstance(default, str) or default not in prompts):
        raise CheckpointError(f"{path}: default_prompt_name {default!r:.60} is none of its prompts; correct it")
    return prompts, default


def chosen(
    prompts: Mapping[str, str], instruction: Instructions, prompt: str | None, prompt_name: str | None
) -> Instructions:
    """The one of the three that was given; None if none was.

    Raises:
        ConfigError: if several were, or there is no prompt of that name.
    """
    if sum(each is not None for each in (instruction, prompt, prompt_name)) > 1:
        raise ConfigError("instruction, prompt and prompt_name say the same thing; pass one of them")
    if prompt_name is not None:
        return named(prompts, prompt_name)
    return prompt if instruction is None else instruction


def named(prompts: Mapping[str, str], name: str | None) -> str:
    """The prompt of that name, ``""`` for no name.

    Raises:
        ConfigError: if there is none.
    """
    if name is None:
        return ""
    if name not in prompts:
        known = ", ".join(map(repr, prompts)) or "none"
        raise ConfigError(f"there is no prompt {name!r}, only {known}; set prompts, or pass the text as instruction")
    return prompts[name]
