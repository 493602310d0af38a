"""Model cards: their snippets run as they stand and give our embeddings; pushing asks first and sends what it said."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from one_embedder import push
from one_embedder.config.schema import Config
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.encoder.dense import Dense
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.errors import DataError, OneEmbedderError
from one_embedder.evaluation.benchmarks import TaskScore
from one_embedder.evaluation.items import ItemScores
from one_embedder.tracking.manifest import read_manifest
from one_embedder.training import upload as publish_module
from one_embedder.training.card import EXAMPLE, model_card
from one_embedder.training.run import CHECKPOINT, train
from one_embedder.training.upload import Upload, plan, publish
from tests.hub import StandInHub
from tests.training.tiny import WIDTH, tiny_config, tiny_encoder

TEXTS = ["Sort an array.", "Return the order that would sort it."]
IDENTITY = "torch.nn.modules.linear.Identity"


@pytest.fixture
def cfg(workplace: Path, encoder_folder: Path) -> Config:
    return tiny_config(workplace, encoder_folder, max_steps=2)


def snippets(card: str) -> dict[str, str]:
    """Library -> its code, as a reader would copy it."""
    return dict(re.findall(r"With ([\w -]+):\n\n```python\n(.*?)```", card, flags=re.DOTALL))


def facts(*, with_instructions: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run record and a configuration with what the card reads."""
    manifest = {
        "run_id": "with_instructions-s0-00000000",
        "model": {"base": "minilm"},
        "data": [{"rows": 10, "tasks": 2, "sha256": "ab" * 32}],
        "batch": {"global": 4, "candidates_per_query": 5, "precision": "32-true"},
        "code": {"commit": "cd" * 20, "dirty": False},
        "environment": {"torch": "2", "transformers": "5", "sentence-transformers": "6"},
        "hardware": {"cores": 2, "gpu": None},
    }
    settings = {
        "seed": 0,
        "with_instructions": with_instructions,
        "medi": {"source": "documentation"},
        "loss": {"spelling": "released", "temperature": 0.05, "mask_same_text": True, "mask_same_label": True},
        "optimizer": {"learning_rate": 1e-4, "frozen_layers": 0},
        "trainer": {"max_steps": 2, "max_length": 48},
    }
    return manifest, settings


def test_a_card_says_where_plain_sentence_transformers_differs_and_strips_the_prompt_if_the_joining_does() -> None:
    for joining, example in (("pypi", EXAMPLE), ("head", EXAMPLE.strip())):
        manifest, settings = facts()
        card = model_card(tiny_encoder(), "owner/name", manifest, settings | {"encoder": {"joining": joining}})
        assert f"prompt={example!r}" in card
        assert "A text that begins with white space has another embedding here" in card
    assert "white space" not in model_card(tiny_encoder(), "owner/name", *facts(with_instructions=False))


@pytest.mark.parametrize("library", ["sentence-transformers", "transformers alone", "LangChain"])
@pytest.mark.parametrize("with_instructions", [True, False])
@pytest.mark.parametrize(("family", "layers"), [("bert", 0), ("t5", 1), ("mpnet", 2)])
def test_every_snippet_of_a_card_runs_and_gives_our_embeddings(
    library: str, with_instructions: bool, family: str, layers: int, tmp_path: Path
) -> None:
    if library == "LangChain":
        reason = "langchain-huggingface wants huggingface_hub below 2, and the lock has a later one"
        pytest.importorskip("langchain_huggingface", reason=reason)
    bare = tiny_encoder(family)
    dense = [Dense(WIDTH, WIDTH, bias=False, activation=IDENTITY) for _ in range(layers)]
    encoder = InstructionEncoder(bare.backbone, bare.tokenizer, dense).eval()
    save_encoder(encoder, tmp_path / "model")
    card = model_card(encoder, str(tmp_path / "model"), *facts(with_instructions=with_instructions))
    names: dict[str, Any] = {}
    exec(snippets(card)[library], names)
    ours = InstructionEmbedder(encoder, device="cpu").encode(TEXTS, EXAMPLE if with_instructions else None)
    np.testing.assert_allclose(np.asarray(names["embeddings"]), ours, atol=1e-5, rtol=0)


def test_a_dense_layer_that_a_matrix_product_does_not_express_has_no_plain_snippet() -> None:
    bare = tiny_encoder()
    encoder = InstructionEncoder(bare.backbone, bare.tokenizer, [Dense(WIDTH, 8, bias=True, activation=IDENTITY)])
    assert set(snippets(model_card(encoder, "owner/name", *facts()))) == {"sentence-transformers", "LangChain"}


def test_a_trained_checkpoint_has_a_card_with_its_data_settings_and_code_and_mtebs_prompts(cfg: Config) -> None:
    cfg.instructions.table = {"Some": {"text": "Represent: "}, "Other": {"query": "Q: ", "document": "D: "}}
    folder = train(cfg)
    card, manifest = (folder / CHECKPOINT / "README.md").read_text(), read_manifest(folder)
    metadata = yaml.safe_load(card.split("---")[1])
    assert metadata["library_name"] == "sentence-transformers" and "license" not in metadata
    assert manifest["run_id"] in card and manifest["data"][0]["sha256"][:12] in card
    assert manifest["code"]["commit"][:12] in card
    assert "None are recorded" in card
    saved = yaml.safe_load((folder / CHECKPOINT / "config_sentence_transformers.json").read_text())
    assert saved["prompts"] == {"Some": "Represent: ", "Other-query": "Q: ", "Other-document": "D: "}
    cfg.instructions.table = {"Third": {"text": "T: "}}
    weights = (folder / CHECKPOINT / "model.safetensors").stat()
    assert train(cfg) == folder
    renewed = yaml.safe_load((folder / CHECKPOINT / "config_sentence_transformers.json").read_text())
    assert renewed == saved | {"prompts": {"Third": "T: "}}, "a finished run has the prompts that were asked for last"
    assert (folder / CHECKPOINT / "model.safetensors").stat() == weights


def test_the_embedded_bases_licence_is_stated() -> None:
    card = model_card(tiny_encoder(), "owner/name", *facts())
    assert yaml.safe_load(card.split("---")[1])["license"] == "apache-2.0"


class Hub:
    """What huggingface_hub's client was asked to do."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def create_repo(self, hub_id: str, **arguments: Any) -> str:
        self.calls.append(("create_repo", arguments))
        return f"https://hub/{hub_id}"

    def upload_folder(self, **arguments: Any) -> None:
        self.calls.append(("upload_folder", arguments))

    def upload_file(self, **arguments: Any) -> None:
        self.calls.append(("upload_file", arguments))


def test_pushing_sends_the_checkpoint_and_a_card_that_loads_it_from_the_hub(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, hub = train(cfg), Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    monkeypatch.setattr("builtins.input", lambda question: "owner/name")
    push.work(push.parser().parse_args([str(run), "owner/name"]))
    create, folder, card = (arguments for _, arguments in hub.calls)
    assert create["private"] is True
    assert folder["folder_path"] == run / CHECKPOINT and folder["ignore_patterns"] == ["README.md"]
    assert "SentenceTransformer('owner/name')" in card["path_or_fileobj"].decode()
    shown = capsys.readouterr().out
    assert "model.safetensors" in shown and "private" in shown and "https://hub/owner/name" in shown


def test_without_the_confirmation_nothing_is_sent(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    run, hub = train(cfg), Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    monkeypatch.setattr("builtins.input", lambda question: "yes")
    with pytest.raises(OneEmbedderError, match="not confirmed"):
        push.work(push.parser().parse_args([str(run), "owner/name"]))
    assert not hub.calls


def test_where_nobody_can_answer_nothing_is_sent_and_the_way_to_send_is_told(
    cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, hub = train(cfg), Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(OneEmbedderError, match="no terminal to confirm it at; --yes sends without a question"):
        push.work(push.parser().parse_args([str(run), "owner/name"]))
    assert not hub.calls


def test_results_that_are_given_stand_in_the_card(cfg: Config) -> None:
    score = TaskScore(
        "AreaClustering", "Clustering", "v_measure", 0.4567, ItemScores("mean", {"value": np.array([0.4567])})
    )
    card = plan(train(cfg), "owner/name", scores=[score]).card
    assert "| Clustering | AreaClustering | v_measure | 45.7 |" in card


def test_an_unfinished_run_is_not_pushed(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(cfg)
    manifest = read_manifest(run) | {"status": "started"}
    monkeypatch.setattr(publish_module, "read_manifest", lambda folder: manifest)
    with pytest.raises(DataError, match="is started, not completed"):
        plan(run, "owner/name")


def test_a_hub_that_takes_no_upload_is_named_in_one_message(tmp_path: Path, hub: StandInHub) -> None:
    with pytest.raises(OneEmbedderError, match="owner/name was not uploaded whole"):
        publish(Upload(tmp_path, "owner/name", "card", public=False))
