"""docs/migrate.md: every block of code runs, and what comes after gives what came before."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

import one_embedder
from one_embedder import INSTRUCTOR, InstructionEmbedder
from one_embedder.convert import main, parser, work
from one_embedder.errors import ConfigError

FOLDER = Path(__file__).parent / "parity" / "tiny_instructor"
TEXTS = ["who wrote Hamlet", "a cat", "one line\nand another", "a long text about nothing. " * 40]
INSTRUCTION = "Represent the Wikipedia document for retrieval: "
pytestmark = pytest.mark.filterwarnings("ignore::one_embedder.encoder.truncation.TruncationWarning")


@pytest.fixture
def page(project_root: Path) -> dict[str, list[tuple[str, str]]]:
    """Section -> its blocks, each a language and the code."""
    text = (project_root / "docs" / "migrate.md").read_text(encoding="utf-8")
    sections = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    blocks = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    found = {
        title: blocks.findall(content) for title, content in zip(["", *sections[1::2]], sections[::2], strict=True)
    }
    assert sum(map(len, found.values())) == len(re.findall(r"^```\w", text, re.MULTILINE)) == 12
    return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the model that the page names."""
    shutil.copytree(FOLDER, tmp_path / "models" / "instructor-large")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "InstructorEmbedding", one_embedder)
    return tmp_path


def executed(blocks: list[tuple[str, str]]) -> dict[str, Any]:
    """The names that the blocks define, one after the other."""
    names: dict[str, Any] = {"__name__": "page"}
    for language, code in blocks:
        if language == "console":
            for line in code.splitlines():
                program, *arguments = shlex.split(line)
                assert program == "one-embedder"
                subprocess.run([sys.executable, "-m", "one_embedder", *arguments], check=True, capture_output=True)
        else:
            assert language == "python"
            exec(compile(code, "docs/migrate.md", "exec", dont_inherit=True), names)
    return names


def test_the_old_packages_code_gives_the_same_with_the_new_import(place: Path, page: Any) -> None:
    names = executed(page["InstructorEmbedding"])
    np.testing.assert_array_equal(names["after"], names["before"])
    np.testing.assert_array_equal(names["new"], names["before"])
    assert sys.modules["InstructorEmbedding"] is one_embedder and names["INSTRUCTOR"] is INSTRUCTOR


def test_a_released_folder_is_wrong_in_sentence_transformers_and_its_conversion_is_right(
    place: Path, page: Any
) -> None:
    names = executed(page["sentence-transformers with prompts"])
    assert np.abs(names["wrong"] - names["right"]).max() > 0.01, "it is right by now: say so on the page"
    np.testing.assert_allclose(names["converted"], names["right"], atol=1e-5, rtol=0)


class StubEmbeddings(ABC):
    """langchain_core.embeddings.Embeddings, as far as its protocol goes."""

    @abstractmethod
    def embed_documents(self, texts: list[str]) -> list[list[float]]: ...

    @abstractmethod
    def embed_query(self, text: str) -> list[float]: ...


class StubHuggingFaceInstructEmbeddings:
    """What langchain_community does with INSTRUCTOR."""

    def __init__(self, model_name: str, query_instruction: str, embed_instruction: str) -> None:
        self.client = INSTRUCTOR(model_name, cache_folder=None)
        self.query_instruction, self.embed_instruction = query_instruction, embed_instruction

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.client.encode([[self.embed_instruction, text] for text in texts]).tolist()

    def embed_query(self, text: str) -> list[float]:
        return self.client.encode([[self.query_instruction, text]])[0].tolist()


class StubBaseEmbedding(BaseModel, ABC):
    """llama_index.core.embeddings.BaseEmbedding, as far as its protocol goes."""

    model_name: str = "unknown"
    model_config = {"protected_namespaces": (), "arbitrary_types_allowed": True}

    @abstractmethod
    def _get_query_embedding(self, query: str) -> list[float]: ...

    @abstractmethod
    async def _aget_query_embedding(self, query: str) -> list[float]: ...

    @abstractmethod
    def _get_text_embedding(self, text: str) -> list[float]: ...

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [self._get_text_embedding(text) for text in texts]

    def get_text_embedding_batch(self, texts: list[str]) -> list[list[float]]:
        return self._get_text_embeddings(texts)

    def get_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    async def aget_query_embedding(self, query: str) -> list[float]:
        return await self._aget_query_embedding(query)


class StubInstructorEmbedding(StubBaseEmbedding):
    """What llama_index.embeddings.instructor does with INSTRUCTOR."""

    query_instruction: str
    text_instruction: str

    def _get_query_embedding(self, query: str) -> list[float]:
        return INSTRUCTOR(self.model_name).encode([[self.query_instruction, query]])[0].tolist()

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return INSTRUCTOR(self.model_name).encode([[self.text_instruction, text]])[0].tolist()


def module(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    """A module of that name, with its packages."""
    made = ModuleType(name)
    vars(made).update(content)
    monkeypatch.setitem(sys.modules, name, made)
    package = name.rpartition(".")[0]
    if package and package not in sys.modules:
        module(monkeypatch, package, __path__=[])


@pytest.mark.parametrize("real", [False, True])
def test_the_langchain_class_gives_what_the_community_package_gave(
    place: Path, page: Any, monkeypatch: pytest.MonkeyPatch, real: bool
) -> None:
    if real:
        pytest.importorskip("langchain_core")
    else:
        module(monkeypatch, "langchain_core.embeddings", Embeddings=StubEmbeddings)
    old = StubHuggingFaceInstructEmbeddings
    module(monkeypatch, "langchain_community.embeddings", HuggingFaceInstructEmbeddings=old)
    names = executed(page["LangChain"])
    before, after = names["before"], names["after"]
    assert isinstance(after, names["Embeddings"])
    np.testing.assert_allclose(after.embed_documents(TEXTS), before.embed_documents(TEXTS), atol=1e-6)
    np.testing.assert_allclose(after.embed_query("a cat"), before.embed_query("a cat"), atol=1e-6)
    assert type(after.embed_query("a cat")[0]) is float
    assert np.abs(np.subtract(after.embed_query("a cat"), after.embed_documents(["a cat"])[0])).max() > 1e-3
    if real:
        assert asyncio.run(after.aembed_query("a cat")) == after.embed_query("a cat")


@pytest.mark.parametrize("real", [False, True])
def test_the_llamaindex_class_gives_what_the_instructor_integration_gave(
    place: Path, page: Any, monkeypatch: pytest.MonkeyPatch, real: bool
) -> None:
    if real:
        pytest.importorskip("llama_index.core")
    else:
        module(monkeypatch, "llama_index.core.embeddings", BaseEmbedding=StubBaseEmbedding)
    module(monkeypatch, "llama_index.embeddings.instructor", InstructorEmbedding=StubInstructorEmbedding)
    names = executed(page["LlamaIndex"])
    before, after = names["before"], names["after"]
    assert isinstance(after, names["BaseEmbedding"])
    texts = after.get_text_embedding_batch(TEXTS)
    np.testing.assert_allclose(texts, before.get_text_embedding_batch(TEXTS), atol=1e-6)
    query = after.get_query_embedding("a cat")
    np.testing.assert_allclose(query, before.get_query_embedding("a cat"), atol=1e-6)
    assert asyncio.run(after.aget_query_embedding("a cat")) == query
    assert np.abs(np.subtract(query, after.get_text_embedding_batch(["a cat"])[0])).max() > 1e-3


def test_no_code_stands_outside_of_the_sections_that_are_run(page: Any) -> None:
    run = {"InstructorEmbedding", "sentence-transformers with prompts", "LangChain", "LlamaIndex"}
    assert {title for title, blocks in page.items() if blocks} == run


@pytest.mark.parametrize("joining", ["pypi", "head"])
def test_a_converted_folder_is_right_in_both(place: Path, joining: str) -> None:
    from sentence_transformers import SentenceTransformer

    work(parser().parse_args(["models/instructor-large", "models/converted", "--joining", joining]))
    ours = InstructionEmbedder("models/instructor-large", device="cpu", joining=joining).encode(TEXTS, INSTRUCTION)
    again = InstructionEmbedder("models/converted", device="cpu", joining=joining).encode(TEXTS, INSTRUCTION)
    prompt = INSTRUCTION.strip() if joining == "head" else INSTRUCTION
    theirs = SentenceTransformer("models/converted", device="cpu").encode(TEXTS, prompt=prompt)
    np.testing.assert_allclose(again, ours, atol=1e-6, rtol=0)
    np.testing.assert_allclose(theirs, ours, atol=1e-5, rtol=0)


def test_a_converted_folder_keeps_its_prompts_and_the_default_one(place: Path) -> None:
    from sentence_transformers import SentenceTransformer

    named = {"prompts": {"document": INSTRUCTION}, "default_prompt_name": "document"}
    (place / "models/instructor-large/config_sentence_transformers.json").write_text(json.dumps(named))
    work(parser().parse_args(["models/instructor-large", "models/converted"]))
    ours = InstructionEmbedder("models/instructor-large", device="cpu").encode(TEXTS, INSTRUCTION)
    again = InstructionEmbedder("models/converted", device="cpu")
    assert (again.prompts, again.default_prompt_name) == tuple(named.values())
    np.testing.assert_allclose(again.encode(TEXTS), ours, atol=1e-6, rtol=0)
    theirs = SentenceTransformer("models/converted", device="cpu").encode(TEXTS)
    np.testing.assert_allclose(theirs, ours, atol=1e-5, rtol=0)


def test_a_conversion_never_writes_over_a_model_or_other_files(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="is the model itself"):
        work(parser().parse_args(["models/instructor-large", "models/../models/instructor-large"]))
    shutil.copytree(FOLDER, place / "mine")
    (place / "mine" / "notes.txt").touch()
    monkeypatch.setattr(sys, "argv", ["convert", "models/instructor-large", "mine"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "error: mine is not empty; name a new folder" in capsys.readouterr().err
    assert (place / "mine" / "notes.txt").exists()
