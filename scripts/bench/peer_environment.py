"""The peers' own environment: made when it is absent, so that ours stays clean."""

import json
import subprocess
import sys
import venv
from pathlib import Path

from bench.report import say

REQUIREMENTS = (
    "ctranslate2>=4.6",
    "openvino-genai>=2026.0",
    "optimum-intel>=1.27",
    "nncf>=2.18",
    "transformers>=4.57,<5",
    "torch>=2.9,<2.14",
)
LLAMA_REQUIREMENTS = ("llama-cpp-python>=0.3.9", "gguf>=0.17")  # builds from source: minutes, and needs a compiler


def ensure(directory: Path, with_llama: bool) -> Path:
    """The Python of the environment in `directory`, which is made, or completed, if need be. Raises SystemExit."""
    python = directory / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        say(f"making the peers' environment in {directory}")
        venv.create(directory, with_pip=True)
    wanted = REQUIREMENTS + (LLAMA_REQUIREMENTS if with_llama else ())
    installed = directory / "installed.txt"
    lines = installed.read_text("utf-8").splitlines() if installed.exists() else []
    if not set(wanted) <= set(lines):
        say(f"installing {', '.join(wanted)}")
        _run([str(python), "-m", "pip", "install", "--quiet", *wanted])
        # optimum-intel asks for it, nothing here does; a CUDA build of it beside a CPU build of torch breaks imports.
        _run([str(python), "-m", "pip", "uninstall", "--quiet", "--yes", "torchvision"])
        installed.write_text("\n".join(wanted) + "\n", "utf-8")
    return python


def versions(python: Path) -> dict[str, str]:
    """Package -> version, of the peers and what they compute with."""
    done = subprocess.run(
        [str(python), "-m", "pip", "list", "--format", "json"], capture_output=True, text=True, check=False
    )
    wanted = ("ctranslate2", "openvino-genai", "openvino", "transformers", "torch", "llama-cpp-python")
    found = json.loads(done.stdout or "[]")
    return {entry["name"]: entry["version"] for entry in found if entry["name"].lower().replace("_", "-") in wanted}


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[1:4])} failed with code {done.returncode}")
