"""Run notebooks from top to bottom and leave each as a page: ``python -m scripts.run_notebooks FOLDER NOTEBOOK...``.

The notebooks themselves stay without outputs. A page holds texts, figures and tables, not the code, and needs no
Jupyter to be read.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from html import escape
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt
from nbclient import NotebookClient
from nbformat import NotebookNode

_MARKDOWN = MarkdownIt("commonmark", {"html": False})  # what looks like a tag is text
_STYLE = (
    "body{max-width:60rem;margin:0 auto;padding:1rem;font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}"
    "img{max-width:100%}div.out{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem}"
    "th,td{padding:.25rem .5rem;border-bottom:1px solid #ddd;text-align:right;vertical-align:top}"
)


def page(notebook: NotebookNode, title: str) -> str:
    """The texts and outputs of a notebook that has run, as HTML."""
    parts = [part for cell in notebook.cells for part in _parts(cell)]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<title>{escape(title)}</title><style>{_STYLE}</style></head>\n'
        f"<body>\n{chr(10).join(parts)}\n</body></html>\n"
    )


def _parts(cell: NotebookNode) -> Iterator[str]:
    if cell.cell_type == "markdown":
        yield _MARKDOWN.render(cell.source)
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if "image/png" in data:
            yield f'<p><img alt="figure" src="data:image/png;base64,{data["image/png"].strip()}"></p>'
        elif "text/markdown" in data:
            yield _MARKDOWN.render(data["text/markdown"])
        elif "text/html" in data:  # a pandas table, which escapes its cells
            yield f'<div class="out">{data["text/html"]}</div>'
        elif output.get("name") != "stderr":  # warnings are for who runs it
            yield f"<pre>{escape(data.get('text/plain', output.get('text', '')))}</pre>"


def run(path: Path, folder: Path) -> Path:
    """Execute a notebook and write ``<folder>/<name>.html``.

    Raises:
        CellExecutionError: naming the cell that failed.
    """
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{path.stem}.html"
    target.write_text(page(notebook, path.stem), encoding="utf-8")
    return target


def main() -> None:
    """Console entry."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the pages")
    parser.add_argument("notebooks", type=Path, nargs="+")
    options = parser.parse_args()
    for path in options.notebooks:
        sys.stdout.write(f"wrote {run(path, options.folder)}\n")


if __name__ == "__main__":
    main()
