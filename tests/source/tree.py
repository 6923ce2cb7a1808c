"""The project's own files, read as text: which there are, and what each imports."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CYTHON = (".pyx", ".pxd")
# Packages of Cython's, and two modules in which harmless functions lie beside others: told apart by function.
CYTHON_PACKAGES = ("libc", "libcpp", "cpython", "libc.stdio", "libc.stdlib")
SOURCE_FOLDERS = ("raylite", "sim", "tests", "property_tests", "benchmarks", "examples")


def sources(*folders: str, suffixes: tuple[str, ...] = (".py", ".pyx", ".pxd", ".pyi", ".h", ".hpp")) -> list[Path]:
    """The source files under these folders of the project, paths relative to its root, in order."""
    found = {path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes}
    link = ROOT / "raylite" / "sim"  # the files behind it are those of sim/
    return sorted(path.relative_to(ROOT) for path in found if link not in path.parents)


def module_name(path: Path) -> str:
    """The name under which a file of the package is imported."""
    parts = list(path.with_suffix("").parts)
    if parts[0] == "sim":
        parts.insert(0, "raylite")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    """The modules that a source file imports or cimports; `from a import b` is `a.b` if that is a module, else `a`."""
    found = set()
    for module, aliases in _import_statements(path):
        names = {alias.split()[0] for alias in aliases}
        of_package = {name for name in names if _is_package(module) and _is_module(f"{module}.{name}")}
        found.update(f"{module}.{name}" for name in of_package)
        if not names or names - of_package:
            found.add(module)
    return found


def imported_names(path: Path) -> set[str]:
    """The names in a source file that came from other modules by `from a import b`."""
    return {alias.split()[-1] for _, aliases in _import_statements(path) for alias in aliases}


def python_literal(path: str, name: str):
    """The literal that a module assigns to `name`, without running it."""
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return ast.literal_eval(node.value)
    raise LookupError(f"{path} assigns no literal to {name}")


def _is_package(module: str) -> bool:
    return module in CYTHON_PACKAGES or (ROOT / module.replace(".", "/")).is_dir()


def _is_module(module: str) -> bool:
    path = ROOT / module.replace(".", "/")
    return module.partition(".")[0] in CYTHON_PACKAGES or path.is_dir() or any(path.parent.glob(path.name + ".p*"))


def _import_statements(path: Path) -> list[tuple[str, set[str]]]:
    """Module and aliases (`name` or `name as other`) of each import, relative ones resolved; a plain one has none."""
    text = (ROOT / path).read_text()
    package = module_name(path).split(".")
    if path.stem != "__init__":
        package.pop()
    found = []
    for module, aliases in _cython_imports(text) if path.suffix in CYTHON else _python_imports(ast.parse(text)):
        stem = module.lstrip(".")
        if dots := len(module) - len(stem):
            stem = ".".join([*package[: len(package) - dots + 1], *([stem] if stem else [])])
        found.append((stem, set(aliases)))
    return found


def _python_imports(tree: ast.AST):
    """Module and aliases of each import, leaving out what only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), [ast.unparse(alias) for alias in node.names]
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from _python_imports(ast.Module(node.orelse, []))
        else:
            yield from _python_imports(node)


def _cython_imports(text: str):
    text = re.sub(r'"""[\s\S]*?"""|#.*', "", text).replace("\\\n", " ")
    from_imports = re.compile(r"^[ \t]*from[ \t]+([.\w]+)[ \t]+c?import[ \t]+(\([^)]*\)|.*)", re.MULTILINE)
    for module, aliases in from_imports.findall(text):
        yield module, [alias.strip() for alias in aliases.strip("() \n").split(",") if alias.strip()]
    for modules in re.findall(r"^[ \t]*c?import[ \t]+(.+)", text, re.MULTILINE):
        yield from ((module.split()[0], []) for module in modules.split(","))
