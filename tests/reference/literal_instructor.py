"""INSTRUCTOR in numpy, one text at a time: T5's encoder, mean without the instruction, dense layer, unit length.

Written from T5's description (arXiv:1910.10683, section 2.1) and the published package's rules, in float64. It shares
no code with ``src`` and none with transformers: it reads the weights file and the tokenizer file of a folder.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

END = "</s>"


class LiteralInstructor:
    """A folder in the released format: a T5 with ReLU, mean pooling, one dense layer without bias, normalisation."""

    def __init__(self, folder: Path) -> None:
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = {
            name: value.astype(np.float64) for name, value in load_file(folder / "model.safetensors").items()
        }
        dense = load_file(folder / "2_Dense" / "model.safetensors")
        self.dense = dense["linear.weight"].astype(np.float64)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.max_length = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]

    def embed(self, instruction: str, text: str) -> np.ndarray:
        """The embedding (D,), of length 1."""
        ids = self.tokens((instruction + text.strip()).strip())
        skipped = len(self.tokens(instruction.strip())) - 1
        if skipped <= 1:
            skipped = 0
        hidden = self.encode(ids)
        pooled = hidden[skipped:].mean(axis=0)
        vector = self.dense @ pooled
        return vector / np.sqrt(vector @ vector)

    def tokens(self, joined: str) -> list[int]:
        """The ids of a text, its end token included, at most ``max_length`` of them."""
        ids = self.tokenizer.encode(joined, add_special_tokens=False).ids
        return [*ids[: self.max_length - 1], self.tokenizer.token_to_id(END)]

    def encode(self, ids: list[int]) -> np.ndarray:
        """The last hidden states (L, W)."""
        hidden = self.weights["shared.weight"][ids]
        bias = self._position_bias(len(ids))
        for number in range(self.config["num_layers"]):
            block = f"encoder.block.{number}.layer"
            hidden = hidden + self._attention(self._norm(hidden, f"{block}.0.layer_norm.weight"), f"{block}.0", bias)
            inner = self._norm(hidden, f"{block}.1.layer_norm.weight")
            inner = np.maximum(inner @ self.weights[f"{block}.1.DenseReluDense.wi.weight"].T, 0.0)
            hidden = hidden + inner @ self.weights[f"{block}.1.DenseReluDense.wo.weight"].T
        return self._norm(hidden, "encoder.final_layer_norm.weight")

    def _norm(self, hidden: np.ndarray, name: str) -> np.ndarray:
        """Root mean square, no mean taken off, no bias."""
        size = np.sqrt((hidden**2).mean(axis=-1, keepdims=True) + self.config["layer_norm_epsilon"])
        return self.weights[name] * hidden / size

    def _attention(self, hidden: np.ndarray, name: str, bias: np.ndarray) -> np.ndarray:
        """All tokens attend to all; scores are not divided by the root of the width."""
        heads, width = self.config["num_heads"], self.config["d_kv"]
        query, key, value = (
            (hidden @ self.weights[f"{name}.SelfAttention.{side}.weight"].T).reshape(len(hidden), heads, width)
            for side in "qkv"
        )
        mixed = np.empty_like(value)
        for head in range(heads):
            scores = query[:, head] @ key[:, head].T + bias[head]
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            mixed[:, head] = shares / shares.sum(axis=1, keepdims=True) @ value[:, head]
        return mixed.reshape(len(hidden), -1) @ self.weights[f"{name}.SelfAttention.o.weight"].T

    def _position_bias(self, length: int) -> np.ndarray:
        """(heads, L, L): a learned number for each bucket of the distance from query to key."""
        table = self.weights["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        bias = np.empty((table.shape[1], length, length))
        for row in range(length):
            for column in range(length):
                bias[:, row, column] = table[self._bucket(column - row)]
        return bias

    def _bucket(self, distance: int) -> int:
        """Half of the buckets for keys behind, half for keys ahead; in each, exact up to half, then logarithmic."""
        half = self.config["relative_attention_num_buckets"] // 2
        ahead, distance = half if distance > 0 else 0, abs(distance)
        exact = half // 2
        if distance < exact:
            return ahead + distance
        furthest = self.config["relative_attention_max_distance"]
        grown = exact + int(math.log(distance / exact) / math.log(furthest / exact) * (half - exact))
        return ahead + min(grown, half - 1)
