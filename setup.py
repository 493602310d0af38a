"""What pyproject.toml cannot say: a wheel carries conf/, which stands beside src/ in a checkout."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConf(build_py):
    """The package's files, and the configuration as ``one_embedder/conf``."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            shutil.copytree("conf", Path(self.build_lib) / "one_embedder" / "conf", dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConf})
