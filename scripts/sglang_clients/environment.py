"""SGLang's own environment: made when it is absent, so that ours stays clean.

SGLang's dependencies are CUDA kernels for the most part; its clients import a few of them only, which are named here.
"""

import subprocess
import sys
import venv
from pathlib import Path

SGLANG = "sglang==0.5.23"
ROUTER = "sglang-router==0.3.2"
REQUIREMENTS = (
    "torch>=2.9,<2.14",
    "torchvision",
    "triton",
    "transformers>=5,<6",
    "apache-tvm-ffi",
    "compressed-tensors",
    "sentencepiece",
    "gguf",
    "torchao",
    "datasets",
    "ipython",
    "fastapi",
    "uvicorn",
    "aiohttp",
    "requests",
    "msgspec",
    "orjson",
    "pybase64",
    "pyzmq",
    "psutil",
    "pillow",
    "setproctitle",
    "tqdm",
)


def ensure(directory: Path) -> Path:
    """The Python of the environment in `directory`, which is made, or completed, if need be. Raises SystemExit."""
    python = directory / "bin" / "python"
    if not python.exists():
        print(f"making SGLang's environment in {directory}; this takes some minutes", flush=True)
        venv.create(directory, with_pip=True)
    installed = directory / "installed.txt"
    wanted = [SGLANG, ROUTER, *REQUIREMENTS]
    if not installed.exists() or installed.read_text("utf-8").split("\n") != wanted:
        _pip(python, *REQUIREMENTS, ROUTER)
        _pip(python, "--no-deps", SGLANG)
        installed.write_text("\n".join(wanted), "utf-8")
    return python


def _pip(python: Path, *arguments: str) -> None:
    done = subprocess.run([str(python), "-m", "pip", "install", "--quiet", *arguments], stdout=sys.stderr, check=False)
    if done.returncode:
        raise SystemExit(f"pip install {' '.join(arguments)} failed with code {done.returncode}")
