"""The model card: what a checkpoint is, how it came about and how to use it, written from its run record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from one_embedder.config.own_class import TARGET
from one_embedder.config.schema import LossConfig
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import JOININGS
from one_embedder.files.location import inside_project
from one_embedder.tracking.manifest import write_atomically
from one_embedder.training.lineage import first_base
from one_embedder.training.plan import rows_of

if TYPE_CHECKING:
    from one_embedder.evaluation.benchmarks import TaskScore

CARD = "README.md"
EXAMPLE = "Represent the Python summary for retrieving related functions: "
TEXTS = ("Sort an array.", "Return the order that would sort it.")
OWN_TEXTS = ("What somebody looks for.", "What should be found.")

# Name in the configuration -> (hub id, licence) of bases whose licence is known here.
_BASES = {"minilm": ("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0")}

_SENTENCE_TRANSFORMERS = """\
from sentence_transformers import SentenceTransformer

model = SentenceTransformer({name!r})
embeddings = model.encode({texts}{prompt})
print(model.similarity(embeddings, embeddings))
"""
_LANGCHAIN = """\
from langchain_huggingface import HuggingFaceEmbeddings

model = HuggingFaceEmbeddings(model_name={name!r}{kwargs})
embeddings = model.embed_documents({texts})
"""
_TRANSFORMERS = """\
import torch
from transformers import {backbone}, PreTrainedTokenizerFast
{more_imports}
folder = {name!r}  # for a hub id: huggingface_hub.snapshot_download(id)
tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
backbone = {backbone}.from_pretrained(folder).eval()
instruction = {instruction!r}
texts = {texts}

batch = tokenizer(
    [instruction + text for text in texts],
    padding=True, truncation=True, return_tensors="pt", return_token_type_ids=False,
)
with torch.no_grad():
    hidden = backbone(**batch).last_hidden_state
mask = batch["attention_mask"].clone()
if instruction:  # its tokens are read but not pooled
    mask[:, : len(tokenizer(instruction.strip())["input_ids"]) - 1] = 0
mask = mask.unsqueeze(-1).float()
embeddings = (hidden * mask).sum(1) / mask.sum(1)
{dense}embeddings = torch.nn.functional.normalize(embeddings, dim=-1)
"""

_AGREEMENT = """\
These give the embeddings of `one_embedder`, which strips a text before it joins it to the instruction, with three \
exceptions. A text that begins with white space has another embedding here, unless the instruction ends with a space \
and the vocabulary is not byte-level (RoBERTa, ModernBERT): strip the texts. An instruction of a single T5 token is \
pooled there and not here. An instruction of white space alone leaves `[CLS]` out of the mean here and not there.
"""


def write_card(
    encoder: InstructionEncoder,
    folder: Path,
    manifest: Mapping[str, Any],
    settings: Mapping[str, Any],
    steps: int | None = None,
) -> None:
    """Write ``README.md`` into a checkpoint folder, whose snippets load that folder; arguments as in ``model_card``."""
    write_atomically(folder / CARD, model_card(encoder, inside_project(folder), manifest, settings, steps=steps))


def model_card(
    encoder: InstructionEncoder,
    name: str,
    manifest: Mapping[str, Any],
    settings: Mapping[str, Any],
    scores: Sequence[TaskScore] = (),
    *,
    steps: int | None = None,
) -> str:
    """The card in Markdown, with the hub's metadata in front.

    Args:
        encoder: the model; the snippets depend on its architecture.
        name: the folder or hub id that the snippets load.
        manifest: the run record (``manifest.yaml``).
        settings: the run's configuration (``config.yaml``).
        scores: test results to show; none shows none.
        steps: that the checkpoint was trained for; None: those of the record.
    """
    joining = settings.get("encoder", {}).get("joining", encoder.tokenizer.joining)  # a folder does not say it
    prompts = _prompts_of(manifest, settings)
    instruction = JOININGS[joining].prompt(next(iter(prompts.values()), ""))
    parts = [
        _metadata(manifest, language=None if _is_own(settings) else "en"),
        f"# {manifest['run_id']}",
        _description(encoder, manifest, instructed=bool(prompts)),
        "## How to use",
        *_snippets(encoder, name, instruction, OWN_TEXTS if _is_own(settings) else TEXTS),
        *(_named_prompts(prompts) if _is_own(settings) else []),
        *([_AGREEMENT] if instruction else []),
        "## Training",
        _training(manifest, settings, steps),
        "## Results",
        _results(scores),
        "## Licence",
        _licence(manifest),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _is_own(settings: Mapping[str, Any]) -> bool:
    """Whether it was finetuned on somebody's own pairs, of which the card tells nothing but instructions and counts."""
    return bool(settings["medi"]["source"] == "own")


def _prompts_of(manifest: Mapping[str, Any], settings: Mapping[str, Any]) -> Mapping[str, str]:
    """Name -> instruction that texts are to be embedded with; of other data than one's own an example."""
    if not settings["with_instructions"]:
        return {}
    return dict(manifest["data"][0].get("prompts", {})) if _is_own(settings) else {"text": EXAMPLE}


def _named_prompts(prompts: Mapping[str, str]) -> list[str]:
    if not prompts:
        return []
    table = ["| prompt | instruction |", "| :-- | :-- |", *(f"| {name} | `{text}` |" for name, text in prompts.items())]
    used = "`prompt_name=` takes these names; sentence-transformers' `encode_query` and `encode_document` use `query` "
    return [f"{used}and `document` by themselves.", "\n".join(table)]


def _metadata(manifest: Mapping[str, Any], *, language: str | None) -> str:
    base, licence = _BASES.get(first_base(manifest["model"]), (None, None))
    about = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "feature-extraction", "sentence-similarity", "instructor"],
        "language": language,
        "license": licence,
        "base_model": base,
    }
    known = {key: value for key, value in about.items() if value is not None}
    return f"---\n{yaml.safe_dump(known, sort_keys=False)}---"


def _description(encoder: InstructionEncoder, manifest: Mapping[str, Any], *, instructed: bool) -> str:
    base = manifest["model"]["base"]
    how = (
        "Each text is embedded together with an instruction that says what the embedding is for (INSTRUCTOR, "
        "[arXiv:2212.09741](https://arxiv.org/abs/2212.09741)); the instruction is read and left out of the mean."
        if instructed
        else "It was finetuned without instructions; texts are embedded alone."
    )
    return (
        f"A text encoder finetuned from `{base}`{_parent(manifest)}: {encoder.dimension} dimensions, unit length, at "
        f"most {encoder.tokenizer.max_length} tokens a text. {how}"
    )


def _parent(manifest: Mapping[str, Any]) -> str:
    parent = manifest["model"].get("parent")  # older records have none
    return f", run `{parent['run_id']}` after {parent['steps']} steps," if parent else ""


def _snippets(encoder: InstructionEncoder, name: str, instruction: str, texts: Sequence[str]) -> list[str]:
    shown = json.dumps(list(texts))
    prompt = f",\n    prompt={instruction!r}" if instruction else ""
    kwargs = f', encode_kwargs={{"prompt": {instruction!r}}}' if instruction else ""
    dense = [f"{number}_Dense" for number in range(2, 2 + len(encoder.dense))]
    snippets = {
        "sentence-transformers": _SENTENCE_TRANSFORMERS.format(name=name, texts=shown, prompt=prompt),
        "LangChain": _LANGCHAIN.format(name=name, texts=shown, kwargs=kwargs),
    }
    if all(_is_plain(layer) for layer in encoder.dense):
        snippets["transformers alone"] = _TRANSFORMERS.format(
            name=name,
            texts=shown,
            instruction=instruction,
            backbone=type(encoder.backbone).__name__,
            more_imports="from safetensors.torch import load_file\n" if dense else "",
            dense="".join(
                f'embeddings = embeddings @ load_file(f"{{folder}}/{part}/model.safetensors")["linear.weight"].T\n'
                for part in dense
            ),
        )
    return [f"With {library}:\n\n```python\n{code}```" for library, code in snippets.items()]


def _is_plain(layer: Any) -> bool:
    """A matrix and nothing else, as in the published INSTRUCTOR checkpoints."""
    return layer.linear.bias is None and layer.activation_name.endswith(".Identity")


def _training(manifest: Mapping[str, Any], settings: Mapping[str, Any], steps: int | None) -> str:
    data, batch, code = manifest["data"][0], manifest["batch"], manifest["code"]
    loss, optimizer, trainer = settings["loss"], settings["optimizer"], settings["trainer"]
    candidates = batch["candidates_per_query"]  # None where the loss is not ours
    rows = rows_of(settings.get("sampler", {}).get("strategy", "proportional"))  # older records have no strategy
    facts = {
        "training data": f"{settings['medi']['source']}: {data['rows']} rows of {data['tasks']} tasks, "
        f"sha256 `{str(data['sha256'])[:12]}`",
        "batch": f"{batch['global']} {rows}" + (f", {candidates} candidates a query" if candidates else ""),
        "loss": _loss(loss),
        "steps": f"{_steps(manifest, trainer, steps)} at learning rate {optimizer['learning_rate']}, "
        f"{_layers(optimizer)}, {trainer['max_length'] or 'all'} tokens a text",
        **_mix(trainer.get("backbone_share", 0.0)),
        "precision, seed": f"{batch['precision']}, {settings['seed']}",
        "code": f"commit `{str(code['commit'])[:12]}`" + (" with local changes" if code["dirty"] else ""),
        "versions": ", ".join(
            f"{package} {manifest['environment'][package]}"
            for package in ("torch", "transformers", "sentence-transformers")
        ),
        "hardware": f"{manifest['hardware']['cores']} cores, GPU: {manifest['hardware']['gpu'] or 'none'}",
    }
    return "\n".join(["| | |", "| :-- | :-- |", *(f"| {key} | {value} |" for key, value in facts.items())])


def _steps(manifest: Mapping[str, Any], trainer: Mapping[str, Any], steps: int | None) -> str:
    """Fewer than planned where training ended early or a better checkpoint came before its end."""
    done = steps or (manifest.get("cost") or {}).get("steps") or trainer["max_steps"]
    if trainer.get("share_of_steps"):
        return f"{done}, these tasks' share of {trainer['max_steps']}"
    return f"{done}" if done == trainer["max_steps"] else f"{done} of {trainer['max_steps']}"


def _layers(optimizer: Mapping[str, Any]) -> str:
    """How layers differ in what they learn; older records have no ``layer_decay``."""
    decay = optimizer.get("layer_decay", 1.0)
    slower = "" if decay == 1.0 else f", each of the others {decay:g} times as fast as the one above"
    return f"{optimizer['frozen_layers']} layers frozen{slower}"


def _mix(share: float) -> dict[str, str]:
    """What the weights are made of, where they are not just the trained ones."""
    return {"weights": f"{share:g} x the base model's + {1 - share:g} x the finetuned ones"} if share else {}


def _loss(loss: Mapping[str, Any]) -> str:
    """In words; records of older runs lack the later keys, those of another class than ours have its own."""
    if loss.get(TARGET, LossConfig._target_) != LossConfig._target_:
        return ", ".join([f"`{loss[TARGET]}`", *(f"{key} {value}" for key, value in loss.items() if key != TARGET)])
    margin = loss.get("mask_margin")
    notes = {
        "learned": loss.get("learn_temperature"),
        "query to documents only": not loss.get("bidirectional", True),
        "negatives from all devices": loss.get("gather_negatives"),
        "queries under another task's instruction as negatives": loss.get("other_instruction_negatives"),
        "in-batch negatives of the same text left out": loss["mask_same_text"],
        "in-batch negatives of the same class left out": loss["mask_same_label"],
        f"negatives more similar than the positive by {margin} left out": margin is not None,
    }
    facts = [f"temperature {loss['temperature']}", *(note for note, holds in notes.items() if holds)]
    return ", ".join([loss["spelling"], *facts])


def _results(scores: Sequence[TaskScore]) -> str:
    if not scores:
        return "None are recorded with this folder."
    rows = [f"| {score.category} | {score.task} | {score.metric} | {100 * score.main_score:.1f} |" for score in scores]
    return "\n".join(["| category | task | metric | score |", "| :-- | :-- | :-- | --: |", *rows])


def _licence(manifest: Mapping[str, Any]) -> str:
    base = first_base(manifest["model"])
    if base in _BASES:
        hub_id, licence = _BASES[base]
        return f"The base model, {hub_id}, is under {licence}. The training texts have the licences of their sources."
    return f"As the base model's, `{base}`; the training texts have the licences of their sources."
