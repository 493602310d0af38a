"""A language model as in-context learner: likelihoods are the model's own, and do not depend on the batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTJConfig,
    GPTJForCausalLM,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)

from one_embedder.config.schema import LanguageModelConfig, PromptTaskConfig
from one_embedder.errors import CheckpointError, ConfigError
from one_embedder.evaluation.prompt_retrieval.language_model import LanguageModelLearner, until
from one_embedder.evaluation.prompt_retrieval.learners import Demonstration, Question
from one_embedder.evaluation.prompt_retrieval.likelihoods import mean_log_likelihoods
from one_embedder.evaluation.run import evaluate
from tests.hub import StandInHub

POSITIONS = 96
OPTIONS = (*"abcdefghij", "yes", "not at all")


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A byte is a token, as in GPT-2 without its merges; no padding token, as in GPT-2."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, "<|endoftext|>"])}
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=end, eos_token=end, unk_token=end)


def save_model(folder: Path, kind: str) -> Path:
    """Random weights, large enough that options differ clearly."""
    torch.manual_seed(0)
    tokens = {"vocab_size": 257, "bos_token_id": 256, "eos_token_id": 256, "initializer_range": 0.5}
    model: torch.nn.Module
    if kind == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=POSITIONS, **tokens))
    else:
        config = GPTJConfig(n_embd=16, n_layer=2, n_head=2, n_positions=POSITIONS, rotary_dim=4, **tokens)
        model = GPTJForCausalLM(config)
    model.save_pretrained(folder)  # type: ignore[operator]
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["gpt2", "gptj"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp(request.param), request.param)


def learner(folder: Path, batch_size: int = 4) -> LanguageModelLearner:
    config = LanguageModelConfig(name_or_path=str(folder), batch_size=batch_size)
    return LanguageModelLearner(config, device="cpu")


def question(text: str, *shown: tuple[str, str], options: tuple[str, ...] | None = OPTIONS) -> Question:
    return Question(tuple(Demonstration(*pair, 0.5) for pair in shown), text, options)


QUESTIONS = [
    question("is it?"),
    question("a rather longer question, is it?", ("one", "yes"), ("two", "no")),
    question("was it?", ("three", "not at all")),
    question("x"),
    question("will it be?", ("four", "yes")),
]
SETTINGS = PromptTaskConfig(between="\n\n", before_output="\n", max_new_tokens=6)


def test_a_likelihood_is_the_mean_of_the_models_own_over_the_answers_tokens(folder: Path) -> None:
    model = learner(folder)
    prompt, answers = [70, 71, 72, 73], [[74], [75, 76, 77]]
    (scores,) = model.likelihoods([prompt], [answers])
    assert scores == pytest.approx([_alone(model.model, prompt, answer) for answer in answers], abs=1e-5)
    assert abs(scores[0] - scores[1]) > 0.01


SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "vocab_size": 257, "initializer_range": 0.5}
HEADS = {"intermediate_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.mark.parametrize(
    ("config", "reads_once"),
    [
        (LlamaConfig(**SMALL, **HEADS), True),
        (MistralConfig(**SMALL, **HEADS, sliding_window=6), True),  # forgets most of the longer prompts
        (MambaConfig(**SMALL, state_size=4), False),  # has a state instead of a cache of keys
    ],
    ids=["llama", "mistral", "mamba"],
)
def test_answers_that_share_the_reading_of_a_prompt_have_the_likelihoods_of_reading_it_for_each(
    config: PreTrainedConfig, reads_once: bool
) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    prompts = [[70 + i for i in range(length)] for length in (1, 7, 30, 4)]
    answers = [[[80, 81], [82]], [[83]], [[84, 85, 86, 87], [88], [89, 90]], [[91]]]
    read: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda _, __, given: read.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    scores = mean_log_likelihoods(model, prompts, answers, padding=0, at_once=100)
    hook.remove()
    # Tokens of the last pass: the answers' alone, but for their last; or the longest prompt with its answer.
    assert len(read) == 2 and read[-1] == (3 if reads_once else 34)
    few = mean_log_likelihoods(model, prompts, answers, padding=0, at_once=2)  # fewer than one prompt's answers
    for prompt, own, given in zip(prompts, answers, scores, strict=True):
        assert given == pytest.approx([_alone(model, prompt, answer) for answer in own], abs=1e-4)
    assert [pytest.approx(given, abs=1e-4) for given in scores] == few


def _alone(model: torch.nn.Module, prompt: list[int], answer: list[int]) -> float:
    with torch.no_grad():
        logits = model(torch.tensor([prompt + answer]), use_cache=False).logits[0].log_softmax(-1)
    return sum(float(logits[len(prompt) - 1 + i, token]) for i, token in enumerate(answer)) / len(answer)


def test_a_batch_gives_the_likelihoods_and_answers_of_one_at_a_time(folder: Path) -> None:
    prompts = [[70 + i for i in range(length)] for length in (1, 7, 30, 4)]
    answers = [[[80, 81], [82]], [[83]], [[84, 85, 86, 87], [88], [89, 90]], [[91]]]
    single, batched = learner(folder, 1).likelihoods(prompts, answers), learner(folder, 5).likelihoods(prompts, answers)
    for one, many in zip(single, batched, strict=True):
        assert one == pytest.approx(many, abs=1e-4)
    free = [Question(q.demonstrations, q.input) for q in QUESTIONS]
    for asked in (QUESTIONS, free):
        outputs = learner(folder, 1).answer(asked, SETTINGS).outputs
        assert outputs == learner(folder, 5).answer(asked, SETTINGS).outputs
        assert len(set(outputs)) > 1, "all answers are alike, so the order of the answers is not tested"


def test_the_best_option_is_chosen_and_generation_continues_the_prompt(folder: Path) -> None:
    model = learner(folder)
    asked = QUESTIONS[2]
    text = "three\nnot at all\n\nwas it?"
    encode = byte_tokenizer().encode
    (scores,) = model.likelihoods([encode(text)], [[encode(f"\n{option}") for option in OPTIONS]])
    assert model.answer([asked], SETTINGS).outputs == [OPTIONS[scores.index(max(scores))]]
    tokens = torch.tensor([encode(text + "\n")])
    for _ in range(6):
        tokens = torch.cat([tokens, model.model(tokens).logits[:, -1:].argmax(-1)], dim=1)
    expected = model.tokenizer.decode(tokens[0, -6:], skip_special_tokens=True).strip()
    answers = model.answer([Question(asked.demonstrations, asked.input)], SETTINGS)
    assert answers.outputs == [expected] and answers.facts["mode"] == "generation"


def test_writing_ends_at_a_stop_and_gives_what_writing_on_and_cutting_gives(folder: Path) -> None:
    model = learner(folder, 5)
    asked = [Question(q.demonstrations, q.input) for q in QUESTIONS]
    long = replace(SETTINGS, max_new_tokens=40)
    whole = model.answer(asked, long).outputs
    stop = [text[2] for text in whole if len(text) > 2]  # after a few signs, for each of some answers
    passes: list[int] = []
    hook = model.model.register_forward_pre_hook(lambda *_: passes.append(1))
    cut = model.answer(asked, replace(long, stop=stop)).outputs
    hook.remove()
    assert cut == [until(text, stop).strip() for text in whole]
    assert len(passes) < 40


def test_demonstrations_are_dropped_before_the_test_input_is_cut_and_both_are_told(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = learner(folder)
    text, shown = "t" * 50, [("d" * 20, "yes"), ("e" * 20, "no")]
    fitted = model.answer([question(text, *shown)], SETTINGS)
    assert fitted.outputs == model.answer([question(text, shown[1])], SETTINGS).outputs
    assert fitted.facts["dropped_demonstrations"] == 1 and fitted.facts["cut_inputs"] == 0
    assert "lost their beginning" not in caplog.text
    facts = model.answer([question("t" * 200, *shown)], SETTINGS).facts
    assert (facts["dropped_demonstrations"], facts["cut_inputs"]) == (2, 1)
    assert "1 of 1 test inputs" in caplog.text


def test_lengths_are_tokens_and_the_revision_follows_the_files(folder: Path, tmp_path: Path) -> None:
    model = learner(folder)
    assert model.count(["abc", "é"]) == [3, 2]
    assert model.identity == learner(folder, batch_size=2).identity
    other = save_model(tmp_path / "other", "gpt2")
    before = learner(other).identity
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    assert learner(other).identity["revision"] != before["revision"]
    commit, mine = "0123456789" * 4, save_model(tmp_path / "snapshots" / "mine", "gpt2")
    assert learner(save_model(tmp_path / "snapshots" / commit, "gpt2")).identity["revision"] == commit
    assert len(learner(mine).identity["revision"]) == 64, "not a commit of the hub's"


def test_a_folder_without_a_language_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"tokenizer in .*empty cannot be loaded"):
        learner(tmp_path / "empty").count(["x"])
    with pytest.raises(CheckpointError, match=r"empty/config.json is missing"):
        _ = learner(tmp_path / "empty").model
    with pytest.raises(CheckpointError, match="not a folder"):
        learner(tmp_path / "nowhere")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "", 99])
def test_a_device_that_is_not_there_is_refused(folder: Path, device: str | int) -> None:
    with pytest.raises(ConfigError, match=f"device={device!r} cannot be used"):
        LanguageModelLearner(LanguageModelConfig(name_or_path=str(folder)), device=device)


def test_an_answer_ends_before_the_first_stop() -> None:
    assert until("one; two\nthree", ["\n", ";"]) == "one"
    assert until("one", ["\n"]) == "one" and until("one", []) == "one"


def test_a_result_says_which_model_answered_and_depends_on_it(folder: Path, cfg, task_folder, encoder) -> None:
    task_folder("TinyPrompts")
    labels = {f"this is about the {topic}": topic for topic in ("sea", "sky", "soil")}
    cfg.prompt_retrieval.learner = "model"
    cfg.prompt_retrieval.model = LanguageModelConfig(name_or_path=str(folder), batch_size=16)
    cfg.prompt_retrieval.tasks["TinyPrompts"] = PromptTaskConfig(
        retrieval_text="{input}", prompt="{input}", output="{output}", labels=labels, token_budget=90, before_output=" "
    )
    (score,) = evaluate(cfg, encoder)
    ours = json.loads((Path(cfg.output) / "results/TinyPrompts.json").read_text())["one_embedder"]
    assert ours["learner"]["name"] == "model" and ours["learner"]["mode"] == "scoring"
    assert ours["learner"]["model"] == str(folder) and ours["learner"]["budget_unit"] == "tokens"
    assert set(score.items.columns["value"]) == {0.0, 1.0}
    assert 0 < ours["protocol"]["demonstrations_mean"] <= 3
    encoder.calls.clear()
    evaluate(cfg, encoder)
    assert not encoder.calls
    cfg.prompt_retrieval.model.dtype = "bfloat16"
    evaluate(cfg, encoder)
    assert encoder.calls


@pytest.mark.slow
def test_evaluate_fetches_the_language_model_from_the_hub_where_all_else_is_local(
    benchmark_root: Path, tmp_path: Path, hub: StandInHub
) -> None:
    commit = hub.commit("owner/lm", save_model(tmp_path / "lm", "gpt2"))
    overrides = {
        "benchmark": "folder",
        "benchmark.root": benchmark_root,
        "benchmark.tasks": "[TinyPrompts]",
        "instructions": "none",
        "prompt_retrieval.learner": "model",
        "prompt_retrieval.model.name_or_path": "owner/lm",
        "output": tmp_path / "out",
        "paths.experiments": tmp_path / "experiments",
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    done = subprocess.run(
        [sys.executable, "-m", "one_embedder.evaluate", *(f"{key}={value}" for key, value in overrides.items())],
        env=environment | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ours = json.loads((tmp_path / "out/results/TinyPrompts.json").read_text())["one_embedder"]
    assert ours["learner"]["revision"] == commit
