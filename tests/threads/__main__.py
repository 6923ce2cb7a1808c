"""`python -m tests.threads FOLDER` builds channel, pump and the pair of both under ThreadSanitizer into a folder;
`python -m tests.threads FOLDER run`, with libtsan preloaded, runs them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = {  # in the order in which they need each other
    "raylite.runtime.channel": "raylite/runtime/channel.pyx",
    "raylite.runtime.pump": "raylite/runtime/pump.pyx",
    "pair": "tests/threads/pair.pyx",
}
N_QUESTIONS = 5_000
SETUP = """
from Cython.Build import cythonize
from setuptools import Extension, setup
flags = ["-std=c++17", "-pthread", "-O1", "-g", "-Wno-tsan", "-fsanitize=thread"]
extensions = [Extension(name, [source], language="c++", extra_compile_args=flags, extra_link_args=flags)
              for name, source in {modules!r}.items()]
setup(name="threads", packages=[], ext_modules=cythonize(extensions, include_path=[{root!r}], build_dir={folder!r}, quiet=True,
      compiler_directives={{"language_level": "3", "cdivision": True}}))
"""


def build(folder: Path) -> None:
    """Compile the modules. Raises CalledProcessError."""
    folder.mkdir(parents=True, exist_ok=True)
    code = SETUP.format(modules=MODULES, root=str(ROOT), folder=str(folder))
    arguments = ["-q", "build_ext", "--build-lib", str(folder), "--build-temp", str(folder)]
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, check=True)


def load(folder: Path):
    """The pair, with the channel and the pump that were built for it in place of the library's."""
    for name in MODULES:
        path = folder / (name.replace(".", os.sep) + sysconfig.get_config_var("EXT_SUFFIX"))
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    if sys.argv[2:] == ["run"]:
        load(Path(sys.argv[1]).resolve()).run(N_QUESTIONS)
        print(f"{N_QUESTIONS} questions of each thread answered; no race found")
    else:
        build(Path(sys.argv[1]).resolve())
