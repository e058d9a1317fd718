"""The import rules of docs/architecture.md, enforced on the source as it is."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From the outermost layer to the innermost; a module may import what stands below it, or its own entry's package.
LAYERS = [
    ["serve.__main__"],
    ["serve.app", "serve.protocol"],
    ["serve.direct"],
    ["serve.endpoint", "serve.hosts", "serve.auth", "serve.static"],
    ["serve.access"],
    ["serve.metrics"],
    ["serve.dialects"],
    ["serve.service", "serve.load"],
    ["serve.limits", "serve.engine_client", "serve.grammars"],
    ["serve.body", "serve.messages"],
    ["serve.settings", "serve.errors", "serve.sse", "serve.histogram"],
    ["microgpt.cli"],
    ["microgpt"],  # the face alone: `from microgpt import X`
    ["microgpt.engine"],
    ["microgpt.backends", "microgpt.training"],
    ["microgpt.models", "microgpt.sampling"],
    [
        "microgpt.request",
        "microgpt.checkpoint",
        "microgpt.chat",
        "microgpt.rendered",
        "microgpt.text_stream",
        "microgpt.stops",
        "microgpt.constraints",
    ],
    ["microgpt.config", "microgpt.params", "microgpt.logprobs", "microgpt.tokenizers"],
    ["microgpt.constraints.constraint"],  # the value alone
    ["microgpt.errors"],
]

FENCES = {
    "torch": (
        "microgpt.models",
        "microgpt.backends.torch_backend",
        "microgpt.backends.torch_sampler",
        "microgpt.training",
        "scripts",
    ),
    "numba": ("microgpt.backends.kernels",),
    "re2": ("microgpt.stops",),
    "llvmlite": ("microgpt.backends.kernels",),
    "threading": (
        "microgpt.engine.thread",
        "microgpt.backends.numba_backend",
        "microgpt.constraints.compiler",
        "microgpt.constraints.rehearsal",
    ),
    "llguidance": ("microgpt.constraints",),
    "asyncio": ("serve",),
    "uvicorn": ("serve",),
    "fastapi": ("serve",),
    "starlette": ("serve",),
    "slowapi": ("serve.limits",),
    "limits": ("serve.limits",),
    "prometheus_client": ("serve.metrics",),
    "pydantic": ("serve",),
}


def modules() -> dict[str, Path]:
    found = {}
    for package in ("microgpt", "serve"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(path: Path) -> list[tuple[str, int]]:
    """Every (module, line) that a file imports anywhere in it, but for blocks under TYPE_CHECKING."""
    found = []
    skipped: set[ast.AST] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            skipped.update(child for statement in node.body for child in ast.walk(statement))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.append((whole if whole in MODULES else node.module, node.lineno))
    return found


def layer_of(module: str) -> int | None:
    """The index of the entry that holds a module: an exact name, or the longest package prefix."""
    best: tuple[int, int] | None = None
    for index, entries in enumerate(LAYERS):
        for entry in entries:
            inside = module == entry or (module.startswith(entry + ".") and entry not in ("microgpt", "serve"))
            if inside and (best is None or len(entry) > best[0]):
                best = (len(entry), index)
    return best[1] if best else None


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_place(module: str) -> None:
    assert module == "serve" or layer_of(module) is not None, f"{module} is in no layer"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_inwards(module: str) -> None:
    if module in ("serve", "microgpt"):
        return
    own = layer_of(module)
    assert own is not None
    for imported, line in imports_of(MODULES[module]):
        if imported.split(".")[0] not in ("microgpt", "serve"):
            continue
        other = layer_of(imported)
        assert other is not None, f"{module}:{line} imports {imported}, which is in no layer"
        same_entry = other == own and any(
            module.startswith(entry) and imported.startswith(entry) for entry in LAYERS[own]
        )
        assert other > own or same_entry, f"{module}:{line} imports {imported} against the layers"


@pytest.mark.parametrize("module", MODULES)
def test_fences(module: str) -> None:
    for imported, line in imports_of(MODULES[module]):
        allowed = FENCES.get(imported.split(".")[0])
        assert allowed is None or module.startswith(allowed), f"{module}:{line} imports {imported}"


def test_dialects_do_not_import_each_other() -> None:
    for module, path in MODULES.items():
        if module.startswith("serve.dialects."):
            own = ".".join(module.split(".")[:3])
            for imported, line in imports_of(path):
                other = ".".join(imported.split(".")[:3])
                assert not imported.startswith("serve.dialects.") or other in (own, "serve.dialects.base"), (
                    f"{module}:{line}: {imported}"
                )


def test_only_settings_reads_the_environment() -> None:
    for module, path in MODULES.items():
        if module == "serve.settings":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            touches = isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "putenv")
            assert not touches, f"{module}:{node.lineno} reads the environment"  # pyright: ignore


@pytest.mark.parametrize("code", ["import microgpt", "from microgpt import load_checkpoint, GenerationRequest, Engine"])
def test_importing_the_library_does_not_import_torch(code: str) -> None:
    check = f"{code}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


def test_every_public_name_of_the_library_exists() -> None:
    import microgpt

    for name in microgpt.__all__:
        assert getattr(microgpt, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        microgpt.nothing  # noqa: B018


def test_a_cpu_server_answers_without_importing_torch(golden_dir: Path) -> None:
    """Importing torch takes longer than everything else at a start."""
    script = f"""
import asyncio, sys
from microgpt import load_checkpoint
from microgpt.engine import build_engine
from serve.app import build_app
from serve.engine_client import EngineClient
from serve.limits import RateLimiter
from serve.service import Service
from serve.settings import load_settings
import httpx

async def main():
    settings = load_settings(["--rate-limit", "off"], {{}})
    client = EngineClient(lambda: build_engine(load_checkpoint({str(golden_dir)!r})), max_queue=4)
    client.start()
    await client.built()
    app = build_app(settings, Service(load_checkpoint({str(golden_dir)!r}), client), RateLimiter(settings.rate_limit))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as web:
        answer = await web.post("/microgpt/v1/generate", json={{"max_new_tokens": 4}})
        assert answer.status_code == 200, answer.text
    assert "torch" not in sys.modules

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=110)
    assert done.returncode == 0, done.stderr
