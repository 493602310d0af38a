"""No code that a model folder brings or names is run, though somebody would answer "y" to every question."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from one_embedder.config.schema import LanguageModelConfig, PromptTaskConfig
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.checkpoint import load_encoder, save_encoder
from one_embedder.errors import CheckpointError
from one_embedder.evaluation.prompt_retrieval.language_model import LanguageModelLearner
from one_embedder.evaluation.prompt_retrieval.learners import Question
from tests.evaluation.test_language_model import save_model

CODE = """
from pathlib import Path
Path({trace!r}).touch()
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel
class Config(T5Config):
    model_type = "own"
class Model(T5EncoderModel):
    config_class = Config
class Tokenizer(PreTrainedTokenizerFast):
    pass
def generate(model, **arguments):
    raise SystemExit("the folder's generate")
"""
FILES = ("own.py", "modeling_own.py", "configuration_own.py", "tokenization_own.py", "custom_generate/generate.py")
OWN_MODEL = {"AutoConfig": "own.Config", "AutoModel": "own.Model", "AutoModelForCausalLM": "own.Model"}
OWN_TOKENIZER = {"AutoTokenizer": ["own.Tokenizer", "own.Tokenizer"]}


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked on the terminal; the answer was yes."""
    asked: list[str] = []

    def answer(question: str = "") -> str:
        asked.append(question)
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    return asked


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A file that the folder's code makes when it runs."""
    return tmp_path / "was-here"


@pytest.fixture
def with_code(trace: Path) -> Callable[[Path], Path]:
    """Puts Python files, each of which leaves the trace, into a folder."""

    def add(folder: Path) -> Path:
        for name in FILES:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(CODE.format(trace=str(trace)))
        return folder

    return add


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_code_is_code_that_would_have_run(saved: Path, trace: Path, with_code: Callable[[Path], Path]) -> None:
    from transformers import AutoConfig

    edit(with_code(saved) / "config.json", model_type="own", auto_map=OWN_MODEL)
    AutoConfig.from_pretrained(saved, trust_remote_code=True)
    assert trace.exists()


def test_a_model_of_an_unknown_kind_is_refused_and_its_code_left_alone(
    saved: Path, trace: Path, with_code: Callable[[Path], Path], questions: list[str]
) -> None:
    edit(with_code(saved) / "config.json", model_type="own", auto_map=OWN_MODEL)
    with pytest.raises(CheckpointError, match=rf"model in {saved} is made of Python code that config.json names"):
        load_encoder(saved)
    assert not questions and not trace.exists()


def test_a_tokenizer_of_an_unknown_kind_is_refused_and_its_code_left_alone(
    saved: Path, trace: Path, with_code: Callable[[Path], Path], questions: list[str]
) -> None:
    (with_code(saved) / "tokenizer.json").unlink()
    edit(saved / "config.json", model_type="own")
    edit(saved / "tokenizer_config.json", tokenizer_class="Tokenizer", auto_map=OWN_TOKENIZER)
    with pytest.raises(CheckpointError, match=rf"tokenizer in {saved} is made of .* that tokenizer_config.json names"):
        load_encoder(saved)
    assert not questions and not trace.exists()


def test_code_that_is_not_needed_is_left_alone_and_told_and_no_copy_names_it(
    saved: Path,
    tmp_path: Path,
    trace: Path,
    with_code: Callable[[Path], Path],
    questions: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    expected = InstructionEmbedder(saved, device="cpu").encode(["the cats", "dog"])
    edit(with_code(saved) / "config.json", auto_map=OWN_MODEL)
    edit(saved / "tokenizer_config.json", auto_map=OWN_TOKENIZER)
    with caplog.at_level(logging.WARNING):
        embedder = InstructionEmbedder(saved, device="cpu")
    assert not questions and not trace.exists()
    np.testing.assert_array_equal(embedder.encode(["the cats", "dog"]), expected)
    for name in ("config.json", "tokenizer_config.json"):
        assert caplog.text.count(f"{saved / name} names code of its own (auto_map): it was not run") == 1
    save_encoder(embedder.encoder, tmp_path / "copy")
    assert not [path for path in (tmp_path / "copy").rglob("*.json") if "auto_map" in path.read_text()]
    assert not list((tmp_path / "copy").rglob("*.py"))


@pytest.mark.parametrize("stated", [{"attn_implementation": "some/kernel"}, {"a": {"_attn_implementation": "a/b@v1"}}])
def test_an_attention_that_the_hub_would_have_to_bring_is_refused(saved: Path, stated: dict[str, Any]) -> None:
    edit(saved / "config.json", **stated)
    with pytest.raises(CheckpointError, match=r"attn_implementation='[^']*/.*' would be code from the hub"):
        load_encoder(saved)


@pytest.mark.parametrize("type_", ["own.Transformer", "custom_st.Pooling", "Transformer"])
def test_a_module_of_a_foreign_class_is_no_module_of_ours(
    saved: Path, trace: Path, with_code: Callable[[Path], Path], type_: str
) -> None:
    path = with_code(saved) / "modules.json"
    modules = json.loads(path.read_text())
    modules["Pooling" in type_]["type"] = type_
    path.write_text(json.dumps(modules))
    with pytest.raises(CheckpointError, match=rf"{path}: a module of type {type_} is code of its own"):
        load_encoder(saved)
    assert not trace.exists()


def learner(folder: Path) -> LanguageModelLearner:
    return LanguageModelLearner(LanguageModelConfig(name_or_path=str(folder)), device="cpu")


def test_a_language_model_of_an_unknown_kind_is_refused_and_its_code_left_alone(
    tmp_path: Path, trace: Path, with_code: Callable[[Path], Path], questions: list[str]
) -> None:
    folder = with_code(save_model(tmp_path / "model", "gpt2"))
    edit(folder / "config.json", model_type="own", auto_map=OWN_MODEL)
    (folder / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    edit(folder / "tokenizer_config.json", tokenizer_class="Tokenizer", auto_map=OWN_TOKENIZER)
    with pytest.raises(CheckpointError, match=r"language model in .* is made of Python code that config.json names"):
        _ = learner(folder).model
    with pytest.raises(CheckpointError, match=r"tokenizer in .* is made of .* that tokenizer_config.json names"):
        learner(folder).count(["x"])
    assert not questions and not trace.exists()


def test_a_language_model_answers_without_the_code_of_its_folder(
    tmp_path: Path, trace: Path, with_code: Callable[[Path], Path], questions: list[str]
) -> None:
    folder = save_model(tmp_path / "model", "gpt2")
    settings, asked = PromptTaskConfig(max_new_tokens=4), [Question((), "is it?")]
    expected = learner(folder).answer(asked, settings).outputs
    edit(with_code(folder) / "config.json", auto_map=OWN_MODEL)
    edit(folder / "tokenizer_config.json", auto_map=OWN_TOKENIZER)
    assert learner(folder).answer(asked, settings).outputs == expected
    assert not questions and not trace.exists()


def test_pickled_weights_of_a_language_model_that_would_run_code_are_refused(tmp_path: Path, trace: Path) -> None:
    import pickle

    from tests.encoder.test_families import Malicious

    folder = save_model(tmp_path / "model", "gpt2")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Malicious(trace)))
    with pytest.raises(CheckpointError, match=r"language model in .* cannot be loaded"):
        _ = learner(folder).model
    assert not trace.exists()


@pytest.mark.slow
def test_a_yes_on_standard_input_runs_nothing(
    saved: Path, tmp_path: Path, trace: Path, with_code: Callable[[Path], Path]
) -> None:
    edit(with_code(saved) / "config.json", model_type="own", auto_map=OWN_MODEL)
    (tmp_path / "texts.txt").write_text("a text\n")
    done = subprocess.run(
        [sys.executable, "-m", "one_embedder.encode", "texts.txt", "out.npy", "--encoder", str(saved)],
        cwd=tmp_path,
        env=dict(os.environ) | {"HF_MODULES_CACHE": str(tmp_path / "modules")},
        input="y\ny\ny\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2 and "no code of a model folder is run here" in done.stderr
    assert "[y/N]" not in done.stdout + done.stderr and not trace.exists()
    assert not (tmp_path / "modules").exists()


def test_a_hub_copy_is_no_other_than_a_folder(
    saved: Path, tmp_path: Path, trace: Path, with_code: Callable[[Path], Path], questions: list[str], hub: Any
) -> None:
    edit(with_code(saved) / "config.json", model_type="own", auto_map=OWN_MODEL)
    hub.commit("owner/model", shutil.copytree(saved, tmp_path / "commit"))
    with pytest.raises(CheckpointError, match="no code of a model folder is run here"):
        load_encoder("owner/model")
    assert not questions and not trace.exists()
