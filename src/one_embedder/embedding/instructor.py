"""INSTRUCTOR: the class of the package InstructorEmbedding, for code that was written for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import torch

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.embedding.inputs import listed
from one_embedder.encoder.device import find_device


class INSTRUCTOR:
    """``InstructionEmbedder`` under the names, the arguments and the forms of InstructorEmbedding 1.0.1.

    The embeddings are those of that package. They have length 1 whether or not a call asks for it, as there, where the
    checkpoints themselves normalise.

    Args:
        model_name_or_path: a hub id or a local folder.
        modules: refused, unless None.
        device: a torch device or its name; None takes the GPU if there is one.
        cache_folder: where models of the hub are kept; None: huggingface_hub's cache.
        use_auth_token: for private models of the hub; True and None: of who is logged in.
        others: of ``InstructionEmbedder``, such as ``revision`` and ``dtype``.

    Attributes:
        embedder: what embeds.

    Raises:
        CheckpointError: if the model cannot be loaded.
        ConfigError: if an argument is wrong.
    """

    def __init__(
        self,
        model_name_or_path: str | Path,
        modules: None = None,
        device: str | torch.device | None = None,
        cache_folder: str | None = None,
        use_auth_token: bool | str | None = None,
        **others: Any,
    ) -> None:
        others.setdefault("token", use_auth_token)
        self.embedder = InstructionEmbedder(
            model_name_or_path, modules=modules, device=device, cache_folder=cache_folder, **others
        )
        if "default_prompt_name" not in others:  # that package uses none of a folder
            self.embedder.default_prompt_name = None

    def encode(
        self,
        sentences: str | Iterable[str | Sequence[Any]],
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: str = "sentence_embedding",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | torch.device | None = None,
        normalize_embeddings: bool = False,
    ) -> Any:
        """Embed texts.

        Args:
            sentences: ``[[instruction, text], ...]``, ``[[instruction, text, 0], ...]``, texts without instructions or
                one such text.
            batch_size: most texts a forward pass.
            show_progress_bar: None is False.
            output_value: only "sentence_embedding".
            convert_to_numpy: False gives a list of tensors, one a text.
            convert_to_tensor: True gives one tensor.
            device: the model moves there, and stays.
            normalize_embeddings: of no effect; see above.

        Returns:
            An array (N, D) in the order given, or what is asked for instead; for one text that is no list, (D,).

        Raises:
            DataError, ConfigError: as ``InstructionEmbedder.encode``.
        """
        if device is not None:
            self.to(device)
        rows = [_pair(row) for row in listed(sentences, "sentences")]
        embeddings = self.embedder.encode(
            rows,
            batch_size=batch_size,
            show_progress_bar=bool(show_progress_bar),
            output_value=output_value,
            convert_to_numpy=convert_to_numpy,
            convert_to_tensor=convert_to_tensor,
        )  # type: ignore[call-overload]
        return embeddings[0] if isinstance(sentences, str) else embeddings

    def to(self, device: str | int | torch.device) -> Self:
        """Move the model.

        Raises:
            ConfigError: if there is no such device.
        """
        if find_device(device) != self.device:
            before = self.embedder
            self.embedder = InstructionEmbedder(
                before.encoder,
                device=device,
                dtype=before.dtype,
                prompts=before.prompts,
                default_prompt_name=before.default_prompt_name,
            )
        return self

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.embedder.device

    @property
    def max_seq_length(self) -> int:
        """Most tokens of a text with its instruction; may be set."""
        return self.embedder.max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, length: int) -> None:
        self.embedder.max_seq_length = length

    def __getattr__(self, name: str) -> Any:
        """Say what there is, where code uses more of the old class."""
        raise AttributeError(
            f"INSTRUCTOR has no {name!r}, only encode, to, device, max_seq_length and "
            "get_sentence_embedding_dimension; INSTRUCTOR(..., dtype='float16') is half, .embedder has the rest"
        )

    def get_sentence_embedding_dimension(self) -> int:
        """Length of an embedding."""
        return self.embedder.dimension


def _pair(row: Any) -> Any:
    """The row without the 0 that follows its text in the evaluation code of the paper, where it has no effect."""
    return row[:2] if isinstance(row, list | tuple) and len(row) == 3 and row[2] == 0 else row
