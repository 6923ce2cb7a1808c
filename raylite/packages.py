"""Folders and files on their way to workers: copies of what they held at one moment, by the hash of their content.

A copy lies in the runtime's own folder, which goes with the runtime (runtime.zygote), and is made aside and renamed, so
that it is whole from the first moment anybody sees it, however many make it at once. What is left out: what `excludes`
or a .gitignore or .rayignore names (the patterns of git, as in Ray), and LEFT_OUT.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    Rule = Callable[[str], bool]

MOST_BYTES = 512 << 20  # of one package, as in Ray: more is a mistake
LEFT_OUT = (".git", ".venv", "venv", "__pycache__")
IGNORE_FILES = (".gitignore", ".rayignore")
CHUNK_BYTES = 1 << 20


def keep_working_dir(source: str, excludes: Sequence[str], store: str) -> str:
    """Copy a folder, or unpack a .zip file; returns the name of the copy in the folder `store`.

    Raises ValueError if it is neither, RuntimeEnvSetupError if it is too large or cannot be read or copied.
    """
    path = os.path.abspath(os.path.expanduser(source))
    if os.path.isdir(path):
        return kept(store, source, lambda copy: copy.add_folder(path, "", excludes))
    if path.endswith(".zip") and os.path.isfile(path):
        return kept(store, source, lambda copy: copy.add_archive(path))
    raise ValueError(f"working_dir is {source!r}: it takes the path of a folder or of a .zip file of this machine")


def keep_module(module: Any, excludes: Sequence[str], store: str) -> str:
    """Copy a package, a module or a wheel; returns the name of a folder in `store`, to be put on the path.

    Args: module: the path of a package's folder, of a .py file or of a .whl file, or an imported module.
    Raises ValueError if it is none of these; RuntimeEnvSetupError as keep_working_dir.
    """
    source = path_of(module)
    path = os.path.abspath(os.path.expanduser(source))
    name = os.path.basename(path)
    if os.path.isdir(path):
        return kept(store, source, lambda copy: copy.add_folder(path, name + "/", excludes))
    if path.endswith(".py") and os.path.isfile(path):
        return kept(store, source, lambda copy: copy.add_file(path, name))
    if path.endswith(".whl") and os.path.isfile(path):
        return kept(store, source, lambda copy: copy.add_archive(path))
    raise ValueError(
        f"{source!r} in py_modules is no folder, .py file or .whl file of this machine; it takes paths and modules"
    )


def path_of(module: Any) -> str:
    """Where a module lies, or the path that it is."""
    if isinstance(module, (str, os.PathLike)):
        return os.fspath(module)
    folders = list(getattr(module, "__path__", ()))
    if len(folders) > 1:
        raise ValueError(f"the package {module.__name__} in py_modules lies in more than one folder: give their paths")
    path = folders[0] if folders else getattr(module, "__file__", None)
    if path is None:
        raise ValueError(f"the module {module.__name__} in py_modules is built in: it is in every worker anyway")
    return path


def kept(store: str, source: str, fill: Callable[[Copy], None]) -> str:
    """Make a copy aside, and give it the name of its content; one that is there already is kept instead."""
    from shutil import rmtree

    from raylite.exceptions import RuntimeEnvSetupError

    aside = os.path.join(store, f".{os.urandom(8).hex()}")
    try:
        os.makedirs(store, mode=0o700, exist_ok=True)
        copy = Copy(aside)
        fill(copy)
        name = copy.digest.hexdigest()[:40]
        try:
            os.rename(aside, os.path.join(store, name))
        except OSError:
            if not os.path.isdir(os.path.join(store, name)):
                raise
        return name
    except OSError as error:
        raise RuntimeEnvSetupError(f"{source!r} could not be copied: {error}") from error
    finally:
        rmtree(aside, ignore_errors=True)


class Copy:
    """A folder that is filled, and the hash of what was put into it."""

    def __init__(self, folder: str) -> None:
        from hashlib import sha256

        self.folder = folder
        self.digest = sha256()
        self.n_bytes = 0
        os.mkdir(folder, mode=0o700)

    def add_folder(self, root: str, prefix: str, excludes: Sequence[str]) -> None:
        """Everything below a folder, but for what is left out."""
        self.make_folder(prefix)
        for path in paths_below(root, excludes):
            if path.endswith("/"):
                self.make_folder(prefix + path)
            else:
                self.add_file(os.path.join(root, path), prefix + path)

    def make_folder(self, path: str) -> None:
        self.digest.update(b"d" + os.fsencode(path) + b"\0")
        os.makedirs(os.path.join(self.folder, path), exist_ok=True)

    def add_file(self, source: str, path: str) -> None:
        """One file: what it holds, and whether it can be run."""
        with open(source, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777 | 0o600
            self.add_stream(file, path, mode)

    def add_archive(self, source: str) -> None:
        """What is in a zip file."""
        from zipfile import BadZipFile, ZipFile

        try:
            with ZipFile(source) as archive:
                for member in sorted(archive.infolist(), key=lambda member: member.filename):
                    path = os.path.normpath(member.filename)
                    if path.startswith(("/", "..")):
                        raise OSError(f"{member.filename!r} in it lies outside of it")
                    if member.is_dir():
                        self.make_folder(path)
                    else:
                        os.makedirs(os.path.dirname(os.path.join(self.folder, path)), exist_ok=True)
                        with archive.open(member) as file:
                            self.add_stream(file, path, member.external_attr >> 16 & 0o777 | 0o600)
        except (BadZipFile, NotImplementedError, RuntimeError) as error:  # damaged, or packed in an unknown way
            raise OSError(f"it cannot be unpacked: {error}") from error

    def add_stream(self, file: Any, path: str, mode: int) -> None:
        self.digest.update(b"f%o " % mode + os.fsencode(path) + b"\0")
        before = self.n_bytes
        with open(os.path.join(self.folder, path), "xb") as out:
            while chunk := file.read(CHUNK_BYTES):
                self.n_bytes += len(chunk)
                if self.n_bytes > MOST_BYTES:
                    raise OSError(
                        f"it has more than {MOST_BYTES >> 20} MiB; name in `excludes` what workers do not need"
                    )
                self.digest.update(chunk)
                out.write(chunk)
            os.fchmod(out.fileno(), mode)
        self.digest.update((self.n_bytes - before).to_bytes(8, "little"))


# ---- what is left out ----


def paths_below(root: str, excludes: Sequence[str]) -> Iterator[str]:
    """The paths of all files and folders (these end in "/") below a folder, relative to it, in order."""
    yield from paths_in(root, "", [matching(excludes, "")] if excludes else [], (os.path.realpath(root),))


def paths_in(folder: str, prefix: str, rules: list[Rule], above: tuple[str, ...]) -> Iterator[str]:
    """As paths_below, of one folder. `above`: the folders that it lies in; a link to one of them leads nowhere."""
    rules = rules + ignoring(folder, prefix)
    for name in sorted(os.listdir(folder)):
        full = os.path.join(folder, name)
        is_folder = os.path.isdir(full)
        path = prefix + name + ("/" if is_folder else "")
        if name in LEFT_OUT or any(rule(path) for rule in rules):
            continue
        if not is_folder:
            if os.path.isfile(full):
                yield path
        elif (real := os.path.realpath(full)) not in above:
            yield path
            yield from paths_in(full, path, rules, (*above, real))


def ignoring(folder: str, prefix: str) -> list[Rule]:
    """The rules of a folder's own ignore files."""
    rules = []
    for name in IGNORE_FILES:
        try:
            with open(os.path.join(folder, name), encoding="utf-8", errors="surrogateescape") as file:
                rules.append(matching(file.read().splitlines(), prefix))
        except (FileNotFoundError, IsADirectoryError):
            pass
    return rules


def matching(patterns: Sequence[str], prefix: str) -> Rule:
    """Whether a path below `prefix` is meant by one of these patterns."""
    from pathspec import GitIgnoreSpec

    spec = GitIgnoreSpec.from_lines(patterns)
    return lambda path: spec.match_file(path[len(prefix) :])
