"""A causal language model of transformers as in-context learner: it chooses among options or writes its answer."""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers import GenerationConfig as _UntypedGenerationConfig

from one_embedder.config.schema import LanguageModelConfig, PromptTaskConfig
from one_embedder.encoder.backbone import position_limit
from one_embedder.encoder.device import find_device
from one_embedder.encoder.locate import locate
from one_embedder.encoder.reading import AS_DATA, quiet_transformers, read_config, reading
from one_embedder.errors import CheckpointError, EvaluationError
from one_embedder.evaluation.prompt_retrieval.learners import Answers, InContextLearner, Question
from one_embedder.evaluation.prompt_retrieval.likelihoods import by_length, mean_log_likelihoods, padded
from one_embedder.evaluation.prompt_retrieval.prompts import Prompt, build_prompt

log = logging.getLogger(__name__)

_GenerationConfig: Any = _UntypedGenerationConfig

_COMMIT = re.compile("[0-9a-f]{40}")
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class LanguageModelLearner(InContextLearner):
    """Answers as MetaICL's direct method does where there are options, by greedy generation where there are none.

    Of the options it gives the one whose tokens have the highest mean log-likelihood after the prompt. Prompts of
    similar length share a batch; padding is masked, so that an answer does not depend on it.
    """

    name = "model"
    unit = "tokens"

    def __init__(self, config: LanguageModelConfig, *, device: str | int | torch.device | None = None) -> None:
        """Find the model; its weights are loaded when the first question is asked.

        Args:
            config: which model, in which precision, how many sequences a batch.
            device: None takes the GPU if there is one.

        Raises:
            CheckpointError: if there is no such model.
            ConfigError: if there is no such device.
        """
        self.config = config
        self.device = find_device(device)
        self.folder = locate(config.name_or_path, config.revision)

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """Name, revision and precision."""
        return {
            "name": self.name,
            "model": self.config.name_or_path,
            "revision": _revision(self.folder),
            "dtype": self.config.dtype,
            **self.made_from,
        }

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer.

        Raises:
            CheckpointError: if it cannot be read.
        """
        with reading("language model's tokenizer", self.folder / "tokenizer_config.json"):
            return AutoTokenizer.from_pretrained(self.folder, **AS_DATA)

    @cached_property
    def model(self) -> Any:
        """The model, in evaluation mode on its device.

        Raises:
            CheckpointError: if its files are missing, unreadable, or not a causal language model's.
        """
        with reading("language model", self.folder / "config.json"):
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                self.folder,
                config=read_config(self.folder),
                dtype=_DTYPES[self.config.dtype],
                weights_only=True,
                output_loading_info=True,
                **AS_DATA,
            )
        model, report = loaded
        if report["missing_keys"]:
            missing = ", ".join(sorted(report["missing_keys"])[:5])
            raise CheckpointError(f"the weights in {self.folder} lack {missing}; fetch or save the folder again")
        return model.to(self.device).eval()

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special ones left out."""
        return [len(tokens) for tokens in self._tokens(texts)]

    def answer(self, questions: Sequence[Question], settings: PromptTaskConfig) -> Answers:
        """The best option of each question, or a written answer.

        Raises:
            CheckpointError: if the model cannot be loaded.
            EvaluationError: if a likelihood is not finite.
        """
        scored = any(question.options is not None for question in questions)
        prompts = [self._prompt(question, settings) for question in questions]
        outputs = self._choose(questions, prompts, settings) if scored else self._write(prompts, settings)
        facts = {
            "mode": "scoring" if scored else "generation",
            "dropped_demonstrations": sum(prompt.dropped for prompt in prompts),
            "cut_inputs": sum(prompt.cut > 0 for prompt in prompts),
        }
        if facts["cut_inputs"]:
            cut = f"{facts['cut_inputs']} of {len(prompts)}"
            log.warning("%s test inputs are longer than the model takes and lost their beginning", cut)
        return Answers(outputs, facts)

    def likelihoods(
        self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[float]]:
        """Mean log-likelihood a token of each answer after its prompt, in nats.

        Args:
            prompts: tokens of each prompt, at least one.
            answers: for each prompt the tokens of its answers, at least one each.
        """
        return mean_log_likelihoods(self.model, prompts, answers, padding=self._padding, at_once=self.config.batch_size)

    def _prompt(self, question: Question, settings: PromptTaskConfig) -> Prompt:
        if question.options is None:
            answer, after = settings.max_new_tokens, settings.before_output
        else:
            answer, after = max(self.count([settings.before_output + option for option in question.options])), ""
        limit = position_limit(self.model.config)
        if limit is not None and limit <= answer + len(self._lead):
            raise EvaluationError(f"{self.config.name_or_path} takes {limit} tokens, fewer than an answer's {answer}")
        return build_prompt(
            Question(question.demonstrations, question.input + after),
            lambda text: self._tokens([text])[0],
            between=settings.between,
            before_output=settings.before_output,
            room=None if limit is None else limit - answer,
            lead=self._lead,
        )

    def _choose(
        self, questions: Sequence[Question], prompts: Sequence[Prompt], settings: PromptTaskConfig
    ) -> list[str]:
        options = [question.options or () for question in questions]
        answers = [self._tokens([settings.before_output + option for option in own]) for own in options]
        scores = self.likelihoods([prompt.tokens for prompt in prompts], answers)
        for row, own in enumerate(scores):
            if not all(map(math.isfinite, own)):
                raise EvaluationError(
                    f"the likelihoods of test input {row + 1}'s options are not finite; check the language model, and "
                    "the precision it is run in"
                )
        return [own[max(range(len(own)), key=score.__getitem__)] for own, score in zip(options, scores, strict=True)]

    def _write(self, prompts: Sequence[Prompt], settings: PromptTaskConfig) -> list[str]:
        outputs = [""] * len(prompts)
        lengths = [len(prompt.tokens) for prompt in prompts]
        for rows in by_length(lengths, [1] * len(prompts), self.config.batch_size):
            texts = self._generate([prompts[row].tokens for row in rows], settings)
            for row, text in zip(rows, texts, strict=True):
                outputs[row] = until(text, settings.stop).strip()
        return outputs

    @torch.inference_mode()
    def _generate(self, prompts: Sequence[Sequence[int]], settings: PromptTaskConfig) -> list[str]:
        tokens, mask = padded(prompts, self._padding, self.device, left=True)
        greedy = _GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=settings.max_new_tokens,
            pad_token_id=self._padding,
            eos_token_id=self.tokenizer.eos_token_id,
        )
        with quiet_transformers():
            written = self.model.generate(
                input_ids=tokens,
                attention_mask=mask,
                generation_config=greedy,
                stopping_criteria=[lambda so_far, _: self._ended(so_far[:, tokens.shape[1] :], settings.stop)],
            )
        return self._texts(written[:, tokens.shape[1] :])

    def _ended(self, written: torch.Tensor, stop: Sequence[str]) -> torch.Tensor:
        """(B,) whether each answer holds one of ``stop`` already, so that nothing after it would count."""
        ended = [any(word in text for word in stop) for text in self._texts(written)]
        return torch.tensor(ended, device=written.device)

    def _texts(self, written: torch.Tensor) -> list[str]:
        texts: list[str] = self.tokenizer.batch_decode(written, skip_special_tokens=True)
        return texts

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        tokens: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return tokens

    @property
    def _padding(self) -> int:
        """Any token does, because it is masked: GPT-2 and GPT-J have none of their own."""
        padding = self.tokenizer.pad_token_id
        return int(padding if padding is not None else self.tokenizer.eos_token_id or 0)

    @cached_property
    def _lead(self) -> list[int]:
        """The token that starts every text of models which have one (Llama); GPT-2 and GPT-J have not."""
        start = self.tokenizer.bos_token_id
        return [token for token in self.tokenizer("")["input_ids"] if token == start]


def until(text: str, stop: Sequence[str]) -> str:
    """The part of ``text`` before the first occurrence of any of ``stop``."""
    return text[: min((place for word in stop if (place := text.find(word)) >= 0), default=len(text))]


def _revision(folder: Path) -> str:
    """The commit of a model from the hub; of any other folder the hash of its files."""
    if folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name):
        return folder.name
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        with path.open("rb") as stream:
            digest.update(f"{path.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
