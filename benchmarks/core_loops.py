"""How many packets a second the links carry, and how many decisions a second a global scheduler makes, on one core.

`python -m benchmarks.core_loops`; the loops are in core_loops.pyx, which is compiled into a temporary folder.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from types import ModuleType

from tests.core.placing import FUNCTION, Load, Question, amounts

FOLDER = Path(__file__).parent
SETUP = """
from Cython.Build import cythonize
from setuptools import Extension, setup
loops = Extension("core_loops", [{source!r}], language="c++", extra_compile_args=["-std=c++17", "-O2"])
setup(name="loops", ext_modules=cythonize([loops], include_path=[{root!r}], build_dir={folder!r}, quiet=True,
      compiler_directives={{"language_level": "3", "cdivision": True, "boundscheck": False}}))
"""
N_NODES = 100


def built(folder: str) -> ModuleType:
    """The compiled loops."""
    code = SETUP.format(source=str(FOLDER / "core_loops.pyx"), root=str(FOLDER.parent), folder=folder)
    command = [sys.executable, "-c", code, "-q", "build_ext", "--build-lib", folder, "--build-temp", folder]
    subprocess.run(command, check=True, cwd=FOLDER.parent)
    path = Path(folder, "core_loops" + sysconfig.get_config_var("EXT_SUFFIX"))
    spec = importlib.util.spec_from_file_location("core_loops", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def nodes(**more: object) -> bytes:
    """Reports of nodes with 16 CPUs each."""
    loads = [Load((1 << 24) + n, amounts(CPU=16, memory=1), **more) for n in range(N_NODES)]  # type: ignore[arg-type]
    return b"".join(load.pack() for load in loads)


def main() -> None:
    one = Question(amounts(CPU=1)).pack()
    placed = Question(amounts(CPU=1), arguments=((1 << 20, ((1 << 24) + 7,)), (1 << 10, ((1 << 24) + 50,)))).pack()
    full = nodes(taken=amounts(CPU=16), n_queued=50, task_ns=10**6, functions={FUNCTION: 10**6})
    with tempfile.TemporaryDirectory() as folder:
        loops = built(folder)
        rows = {
            "packets, one way": lambda n: loops.packets(n, b"", False),
            "packets, one way, 200 bytes each": lambda n: loops.packets(n, bytes(200), False),
            "packets, both ways": lambda n: loops.packets(n, b"", True),
            f"decisions, {N_NODES} nodes, some free": lambda n: loops.decisions(n, nodes(), one * 16),
            f"decisions, {N_NODES} nodes, all full": lambda n: loops.decisions(n, full, one * 16),
            f"decisions, {N_NODES} nodes, two arguments": lambda n: loops.decisions(n, full, placed * 16),
        }
        for name, run in rows.items():
            run(10_000)
            start_s = time.process_time()
            count = run(1_000_000 if "packets" in name else 200_000)
            print(f"{name:45} {count / (time.process_time() - start_s) / 1e6:6.2f} million a second")


if __name__ == "__main__":
    main()
