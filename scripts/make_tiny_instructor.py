"""Make tests/parity/tiny_instructor: a seeded random INSTRUCTOR in the released format, with reference embeddings.

    python -m scripts.make_tiny_instructor

The reference embeddings come from tests/reference/literal_instructor.py, which shares no code with the package. The
tokenizer is trained on README.md: with another one, tokenizer and embeddings are others than the committed ones.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from tests.reference.literal_instructor import END, LiteralInstructor

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "parity" / "tiny_instructor"
SPECIAL = ["<pad>", END, "<unk>"]
PIECES, WIDTH, DIMENSION, MAX_LENGTH = 400, 32, 24, 48

RETRIEVAL = "Represent the Wikipedia question for retrieving supporting documents: "
INSTRUCTIONS = [
    RETRIEVAL,
    "Represent the sentence:",
    "  Represent  the sentence: ",
    "",
    " ",
    "the",
    "a:",
    "é 日本: ",
    RETRIEVAL * 6,
]
TEXTS = [
    "who wrote the play Hamlet?", "", "   ", "cat", "  spaces   around\tand inside \n", "naïve café, 日本語, Привет",
    "😀 zero\u200bwidth", f"before {END} after", "some <pad> inside", "3.14159 2,000,000", "aaaa" * 40,
    "The quick brown fox jumps over the lazy dog. " * 8,
]  # fmt: skip


def main() -> None:
    """Write the folder, its pairs and what the literal implementation makes of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    _write_tokenizer()
    _write_model()
    pairs = [(instruction, text) for instruction in INSTRUCTIONS for text in TEXTS]
    literal = LiteralInstructor(FOLDER)
    (FOLDER / "pairs.json").write_text(json.dumps(pairs, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    np.save(FOLDER / "reference_embeddings.npy", np.stack([literal.embed(*pair) for pair in pairs]))


def _write_tokenizer() -> None:
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" {2,}", " ")])
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    backend.train_from_iterator(
        lines,
        trainers.UnigramTrainer(vocab_size=PIECES, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False),
    )
    backend.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, backend.token_to_id(END))]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token=END, unk_token="<unk>", model_max_length=MAX_LENGTH
    ).save_pretrained(FOLDER)


def _write_model() -> None:
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=PIECES, d_model=WIDTH, d_kv=8, d_ff=64, num_layers=2, num_heads=4, pad_token_id=0, eos_token_id=1
    )
    model = T5EncoderModel(config)
    with torch.no_grad():  # T5's own start is so flat that every text would look alike
        for name, weight in model.named_parameters():
            weight.normal_(1.0 if "layer_norm" in name else 0.0, 0.3)
    model.save_pretrained(FOLDER)
    (FOLDER / "2_Dense").mkdir(exist_ok=True)
    save_file({"linear.weight": torch.randn(DIMENSION, WIDTH)}, FOLDER / "2_Dense" / "model.safetensors")
    identity = "torch.nn.modules.linear.Identity"
    dense = {"in_features": WIDTH, "out_features": DIMENSION, "bias": False, "activation_function": identity}
    _write_json("2_Dense/config.json", dense)
    modes = ("cls_token", "max_tokens", "mean_sqrt_len_tokens")
    pooling = {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True}
    _write_json("1_Pooling/config.json", pooling | {f"pooling_mode_{mode}": False for mode in modes})
    _write_json("sentence_bert_config.json", {"max_seq_length": MAX_LENGTH, "do_lower_case": False})
    names = {"": "Transformer", "1_Pooling": "Pooling", "2_Dense": "Dense", "3_Normalize": "Normalize"}
    _write_json(
        "modules.json",
        [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for number, (path, kind) in enumerate(names.items())
        ],
    )


def _write_json(name: str, content: object) -> None:
    path = FOLDER / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
