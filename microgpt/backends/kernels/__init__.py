"""The CPU kernels: Numba functions, compiled on first use and kept on disk.

Numba looks only at a function's own file to tell whether what it kept is still right; these call each other across
files. So the directory they are kept in is named by a digest of all of them.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba


def _cache_directory() -> Path:
    """A directory of these sources' own that can be written: beside them, else in the user's cache."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(here.glob("*.py")):
        digest.update(source.name.encode() + source.read_bytes())
    name = f"microgpt-{digest.hexdigest()[:16]}"
    for parent in (here / "__pycache__", Path.home() / ".cache" / "microgpt"):
        try:
            (parent / name).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=parent / name).close()
        except OSError:
            continue
        return parent / name
    return Path(tempfile.gettempdir()) / name


_directory = _cache_directory()


@contextmanager
def quick_compilation() -> Iterator[None]:
    """Has Numba compile at LLVM's level 1 instead of 3, in a fifth less time: these kernels are unrolled and vectorised
    by hand, and no slower for it."""
    was = numba.config.OPT
    numba.config.OPT = type(was)(1)
    try:
        yield
    finally:
        numba.config.OPT = was


def entry(function: Any, *arguments: Any) -> Callable[..., None]:
    """A compiled function as it is for arguments of the types of these. It looks at no types when it is called, which
    takes 7 us for the many that `burst.run` has."""
    return function.overloads[tuple(map(numba.typeof, arguments))].entry_point


_was = numba.config.CACHE_DIR
numba.config.CACHE_DIR = str(_directory)
try:
    from microgpt.backends.kernels import burst, forward, matmul, sample
finally:
    numba.config.CACHE_DIR = _was

__all__ = ["burst", "entry", "forward", "matmul", "quick_compilation", "sample"]
