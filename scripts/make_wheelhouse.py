"""Collect what a machine without network needs; `make wheelhouse WHEELHOUSE=FOLDER` calls this.

    python -m scripts.make_wheelhouse FOLDER [--torch-index URL] [--system-torch] [profile=paper encoder=gtr_t5_base]

``FOLDER/wheels`` has a wheel of everything that requirements.lock pins, for this Python and this platform; packages
that come as source are built. ``FOLDER/hub`` is a Hugging Face cache with the models that the settings name.
``FOLDER/SHA256SUMS`` lists both; `make setup WHEELHOUSE=FOLDER` checks the wheels against it.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config
from one_embedder.encoder.locate import locate
from one_embedder.ending import told
from one_embedder.errors import OneEmbedderError
from scripts.make_environment import SUMS, WHEELS, SetupError, check_space, pins, pip, sha256, tell

HUB = "hub"
README = "README.md"


def main() -> None:
    """Parse the command line and collect.

    Raises:
        OneEmbedderError: no folder, settings that are refused, or what ``collect`` raises.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", help="where to collect")
    parser.add_argument("--torch-index", default="", help="extra package index for torch, such as PyTorch's CPU builds")
    parser.add_argument("--system-torch", action="store_true", help="leave torch and its CUDA packages out")
    arguments, overrides = parser.parse_known_args()
    if not arguments.folder:
        raise OneEmbedderError("name a folder: make wheelhouse WHEELHOUSE=FOLDER")
    cfg = load_config("reproduce", overrides)  # before anything is fetched
    try:
        collect(Path(arguments.folder).expanduser().absolute(), cfg, arguments.torch_index, arguments.system_torch)
    except SetupError as error:
        raise OneEmbedderError(str(error)) from error


def collect(folder: Path, cfg: Config, torch_index: str = "", system_torch: bool = False) -> None:
    """Fill the folder; what is there already is kept.

    Raises:
        SetupError: no space, or pip fails; its output is in ``FOLDER/setup.log``.
        CheckpointError: if the hub does not give a model.
    """
    check_space(folder, "WHEELHOUSE")
    (folder / WHEELS).mkdir(parents=True, exist_ok=True)
    tell(f"1/3 packages, to {folder / WHEELS}")
    index = ["--extra-index-url", torch_index] if torch_index else []
    wanted = ["--no-deps", *pins(with_torch=False)] if system_torch else pins()
    pip(folder, [sys.executable, "-m", "pip", "wheel", "--wheel-dir", str(folder / WHEELS), *index, *wanted])
    models = hub_models(cfg)
    tell(f"2/3 models from the hub: {', '.join(name for name, _ in models) or 'none needed'}")
    for name, revision in models:
        locate(name, revision, cache_folder=folder / HUB)
    tell("3/3 hashes")
    (folder / README).write_text(explanation(system_torch, bool(models)), encoding="utf-8")
    files = sorted(path for part in (WHEELS, HUB) for path in (folder / part).rglob("*") if path.is_file())
    lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    tell(f"done: {folder}, {sum(path.stat().st_size for path in files if not path.is_symlink()) / 1024**3:.1f} GiB")


def hub_models(cfg: Config) -> list[tuple[str, str | None]]:
    """Name and revision of each model that is neither in a wheel nor a folder here.

    The language model of prompt retrieval is one where it is the learner and there is a folder of such tasks.
    """
    named = [(cfg.encoder.name_or_path, cfg.encoder.revision)]
    model = cfg.prompt_retrieval.model
    if cfg.prompt_retrieval.learner == "model" and Path(cfg.benchmark.root).is_dir():
        named.append((model.name_or_path, model.revision))
    return [(name, revision) for name, revision in named if name != "minilm" and not Path(name).expanduser().is_dir()]


def explanation(system_torch: bool, has_models: bool) -> str:
    """The folder's README: what it is for, and how it is used."""
    torch = "without torch; needs SYSTEM_TORCH=1" if system_torch else "with torch"
    python = ".".join(platform.python_version_tuple()[:2])
    lines = [
        f"Packages of one-embedder's requirements.lock for CPython {python}, {sys.platform} {platform.machine()}, "
        f"{torch}. In the checkout: `make setup WHEELHOUSE=FOLDER{' SYSTEM_TORCH=1' if system_torch else ''}`.",
        f"Whole after copying? `cd FOLDER && sha256sum --check --quiet {SUMS}`.",
    ]
    if has_models:
        lines.append(f"Models: `export HF_HUB_CACHE=FOLDER/{HUB} HF_HUB_OFFLINE=1`, then every command as usual.")
    return "# Wheelhouse\n\n" + "\n\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(told(main))
