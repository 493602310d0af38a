"""sentence-transformers in an environment of its own, asked by ``bench_encode``: backends that need other versions.

    PYTHON scripts/encode_peer.py FOLDER BACKEND DTYPE THREADS

First tells its versions as a line of JSON. Then each line of JSON on stdin, ``{"texts", "prompt", "batch_size",
"file"}``, is answered by the embeddings in that file (``.npy``) and a line on stdout.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

PACKAGES = {"torch": [], "onnx": ["onnxruntime", "optimum-onnx"], "openvino": ["openvino", "optimum-intel"]}
OPENVINO_DTYPES = {"float32": "f32", "bfloat16": "bf16"}


def of_torch(folder: Path, dtype: str, threads: int) -> dict[str, Any]:
    """What its own backend is loaded with."""
    torch.set_num_threads(threads)
    return {"dtype": dtype}


def of_openvino(folder: Path, dtype: str, threads: int) -> dict[str, Any]:
    """OpenVINO's settings; left alone it takes every core, and bfloat16 where the processor has it."""
    return {"ov_config": {"INFERENCE_PRECISION_HINT": OPENVINO_DTYPES[dtype], "INFERENCE_NUM_THREADS": threads}}


def of_onnx(folder: Path, dtype: str, threads: int) -> dict[str, Any]:
    """ONNX Runtime's settings. optimum-onnx passes on what it does not know, and then refuses it: taken out here."""
    from onnxruntime import SessionOptions

    path = folder / "sentence_bert_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in config.items() if key != "model_args"}))
    options = SessionOptions()
    options.intra_op_num_threads = threads
    return {"session_options": options}


SETTINGS = {"torch": of_torch, "onnx": of_onnx, "openvino": of_openvino}


def main() -> None:
    """Answer until stdin ends."""
    folder, backend, dtype, threads = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr  # what exporting prints is no answer
    settings = SETTINGS[backend](Path(folder), dtype, int(threads))
    model = SentenceTransformer(folder, backend=backend, model_kwargs=settings, local_files_only=True)
    names = ["sentence-transformers", "transformers", "torch", *PACKAGES[backend]]
    print(json.dumps({name: version(name) for name in names}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        rows = model.encode(
            asked["texts"], prompt=asked["prompt"], batch_size=asked["batch_size"], show_progress_bar=False
        )
        np.save(asked["file"], rows)
        print("done", file=answers, flush=True)


if __name__ == "__main__":
    main()
