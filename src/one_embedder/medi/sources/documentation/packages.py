"""Which packages are read, their domain, and on which side of the train / dev / test line each stands.

The line runs between packages: no text of a dev or test package is ever trained on. Dev and test packages are those
with the most human-made "See Also" links after pandas and sympy, which training needs.
"""

from __future__ import annotations

import importlib.util
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from one_embedder.errors import DataError


@dataclass(frozen=True)
class Package:
    """One importable package or, for ``stdlib``, the standard library.

    Attributes:
        name: import name.
        domain: the domain as instructions name it.
        side: ``train``, ``dev`` or ``test``.
    """

    name: str
    domain: str
    side: str = "train"


STANDARD_LIBRARY = "stdlib"

PACKAGES = (
    Package("pandas", "data analysis"),
    Package("polars", "data analysis"),
    Package("narwhals", "data analysis"),
    Package("pyarrow", "data analysis"),
    Package("sympy", "mathematics"),
    Package("mpmath", "mathematics"),
    Package("matplotlib", "plotting"),
    Package("mpl_toolkits", "plotting"),
    Package("PIL", "plotting"),
    Package("fontTools", "plotting"),
    Package("torch", "deep learning"),
    Package("torchmetrics", "deep learning"),
    Package("pytorch_lightning", "deep learning"),
    Package("lightning_fabric", "deep learning"),
    Package("transformers", "language model"),
    Package("sentence_transformers", "language model"),
    Package("datasets", "language model"),
    Package("huggingface_hub", "language model"),
    Package("aiohttp", "web"),
    Package("tornado", "web"),
    Package("anyio", "web"),
    Package("requests", "web"),
    Package("urllib3", "web"),
    Package("httpx", "web"),
    Package("jinja2", "web"),
    Package("IPython", "developer tool"),
    Package("traitlets", "developer tool"),
    Package("jupyter_client", "developer tool"),
    Package("_pytest", "developer tool"),
    Package("hypothesis", "developer tool"),
    Package("mypy", "developer tool"),
    Package("rich", "developer tool"),
    Package("pydantic", "developer tool"),
    Package("click", "developer tool"),
    Package("joblib", "developer tool"),
    Package("fsspec", "developer tool"),
    Package(STANDARD_LIBRARY, "standard library"),
    Package("numpy", "array", side="dev"),
    Package("sklearn", "machine learning", side="dev"),
    Package("scipy", "scientific computing", side="test"),
    Package("networkx", "graph", side="test"),
)

# Tests, and code that a package only carries along: it would put one text on both sides of the line.
_SKIPPED_FOLDERS = frozenset(
    {
        "tests",
        "test",
        "testing",
        "_testing",
        "__pycache__",
        "site-packages",
        "lib2to3",
        "idlelib",
        "_vendor",
        "vendored",
        "_lib",
        "externals",
        "_external",
        "distutils",
        "pyprima",
        "f2py",
    }
)


def package_root(name: str) -> Path:
    """The folder that holds a package's source files.

    Raises:
        DataError: if the package is not installed.
    """
    if name == STANDARD_LIBRARY:
        return Path(sysconfig.get_paths()["stdlib"])
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"package {name!r} is not installed; run `make setup`, which installs the locked versions")
    return Path(spec.submodule_search_locations[0])


def source_files(package: Package) -> list[Path]:
    """Every Python file of a package, tests and vendored code left out, in a fixed order."""
    root = package_root(package.name)
    files = [path for path in root.rglob("*.py") if _SKIPPED_FOLDERS.isdisjoint(path.relative_to(root).parts[:-1])]
    return sorted(files, key=lambda path: path.relative_to(root).as_posix())
