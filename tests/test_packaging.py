"""The package as it is installed."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_an_editable_install_is_found_from_beside_its_clone(tmp_path: Path):
    """There the clone, a folder named microgpt without a module in it, comes first in Python's search."""
    clone, site = tmp_path / "microgpt", tmp_path / "site"
    for name in ("microgpt", "serve"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)

    def python(code: str, directory: Path, *flags: str) -> str:
        command = [sys.executable, *flags, "-c", code, str(site)]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    python("import sys; from setuptools.build_meta import build_editable; build_editable(sys.argv[1])", clone)
    (wheel,) = site.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    find = "import sys, site; site.addsitedir(sys.argv[1]); import microgpt; print(microgpt.__file__)"
    # Without PYTHONPATH and what else is installed.
    assert python(find, tmp_path, "-E", "-S") == str(clone / "microgpt" / "__init__.py")
