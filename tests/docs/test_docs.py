"""The pages of text are true where that can be checked: names, signatures, options, modules, commands, links."""

from __future__ import annotations

import inspect
import operator
import os
import re
import subprocess
import sys

import pytest

import raylite
from raylite.cli import COMMANDS
from raylite.config import SETTINGS
from raylite.options import TASK_OPTIONS
from raylite.runtime_context import RuntimeContext
from tests.docs.pages import PAGES, ROOT, code_blocks, code_spans, links, section, table_with, text_of
from tests.source.tree import sources

API = "docs/api.md"
ARCHITECTURE = "docs/architecture.md"
FUNCTIONS = [name for name in raylite.__all__ if inspect.isfunction(getattr(raylite, name))]
FUNCTIONS += [f"util.{name}" for name in raylite.util.__all__ if inspect.isfunction(getattr(raylite.util, name))]
CLASSES = [name for name in raylite.__all__ if inspect.isclass(getattr(raylite, name))]
PARTS = {
    "raylite/_core": "raylite._core",
    "raylite/_core/node": "raylite._core.node",
    "raylite/_core/links": "raylite._core.links",
    "raylite/_core/cluster": "raylite._core.cluster",
    "raylite/_core/scheduler": "raylite._core.scheduler",
    "raylite/_core/store": "raylite._core.store",
    "raylite/runtime": "raylite.runtime",
    "raylite/util": "raylite.util",
    "raylite/util/state": "raylite.util.state",
    "raylite/cli": "raylite.cli",
    "raylite/as_ray": "raylite.as_ray",
    "raylite": "raylite",
    "sim": "raylite.sim",
}


def headings(text):
    """The code in headings of the second and third level."""
    return re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^##+ (.*)$", text, re.MULTILINE)))


def members(cls):
    return {name for name in vars(cls) if not name.startswith("_")}


# ---- the reference ----


def test_every_public_name_has_its_place_in_the_reference():
    names = {*raylite.__all__, *(f"util.{name}" for name in raylite.util.__all__)}
    assert {heading.partition("(")[0] for heading in headings(text_of(API))} >= names


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_signature_in_the_reference_is_the_function_s(name):
    [heading] = [heading for heading in headings(text_of(API)) if heading.partition("(")[0] == name]
    assert heading == f"{name}{without_types(inspect.signature(operator.attrgetter(name)(raylite)))}"


def without_types(signature):
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return signature.replace(parameters=plain, return_annotation=inspect.Signature.empty)


@pytest.mark.parametrize(
    "cls", [*(getattr(raylite, name) for name in CLASSES), RuntimeContext], ids=lambda c: c.__name__
)
def test_every_method_of_a_public_class_is_in_the_reference(cls):
    mentioned = {re.split(r"\W", span)[0] for span in code_spans(text_of(API))}
    assert members(cls) - {"SIZE"} <= mentioned


def headings_of_util():
    return [heading.removeprefix("util.") for heading in headings(text_of(API)) if heading.startswith("util.")]


def test_every_name_and_module_of_util_has_its_place_in_the_reference():
    places = {heading.partition("(")[0] for heading in headings_of_util()}
    homes = {module.rpartition(".")[2] for module in raylite.util._NAMES}
    assert {place for place in places if "." not in place} == set(raylite.util.__all__)
    told_elsewhere = {"accelerators", "scheduling_strategies"}
    modules = {place.partition(".")[0] for place in places if "." in place}
    assert modules == set(raylite.util._MODULES) - homes - told_elsewhere


@pytest.mark.parametrize("heading", [heading for heading in headings_of_util() if "(" in heading])
def test_the_signature_in_the_reference_is_that_of_util(heading):
    name = heading.partition("(")[0]
    assert heading == f"{name}{without_types(inspect.signature(operator.attrgetter(name)(raylite.util)))}"


@pytest.mark.parametrize("cls", ["ActorPool", "queue.Queue"])
def test_every_method_of_a_class_of_util_is_in_the_reference(cls):
    mentioned = {re.split(r"\W", span)[0] for span in code_spans(section(API, "`util`"))}
    assert members(operator.attrgetter(cls)(raylite.util)) <= mentioned


def test_the_examples_of_util_run(tmp_path):
    program = tmp_path / "examples.py"
    program.write_text("\n".join(code_blocks(section(API, "`util`"), "python")))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_options_of_tasks_are_those_of_the_table():
    rows = table_with(text_of(API), "option", "takes")
    assert [row["option"].strip("`") for row in rows] and all(row["means"] for row in rows)
    listed = {row["option"].strip("`"): (row["takes"], row["default"]) for row in rows}
    assert listed == {name: (option.takes, repr(option.default)) for name, option in TASK_OPTIONS.items()}


def test_what_has_no_effect_is_said_to_have_none():
    rows = {row["option"].strip("`"): row["means"] for row in table_with(text_of(API), "option", "takes")}
    assert {name for name, means in rows.items() if "no effect" in means} == {
        name for name, option in TASK_OPTIONS.items() if option.no_effect
    }


def test_the_options_of_init_are_those_of_the_table():
    rows = table_with(text_of(API), "option", "variable")
    listed = {row["option"].strip("`"): (row["variable"].strip("`"), row["takes"]) for row in rows}
    assert listed == {name: (setting.variable, setting.option.takes) for name, setting in SETTINGS.items()}


def test_the_exceptions_of_the_reference_exist():
    names = [row["class"].strip("`") for row in table_with(section(API, "`exceptions`"), "class", "when")]
    assert [
        name for name in names if not issubclass(getattr(raylite.exceptions, name), raylite.exceptions.RayError)
    ] == []


def test_the_commands_are_those_of_the_table():
    rows = table_with(section(API, "The command line"), "command", "does")
    assert {row["command"].strip("`").split()[1] for row in rows} == set(COMMANDS)


# ---- the map ----


@pytest.mark.parametrize("folder", PARTS)
def test_the_map_has_every_module_and_no_other(folder):
    listed = [row[f"`{folder}`"].strip("`") for row in table_with(text_of(ARCHITECTURE), f"`{folder}`", "knows")]
    paths = [path for path in sources(folder, suffixes=(".py", ".pyx", ".pxd")) if path.parent.as_posix() == folder]
    assert len(listed) == len(set(listed))
    assert set(listed) == {path.stem for path in paths} - {"__init__"}


def test_what_the_architecture_names_is_in_the_sources():
    """A renamed function or field is renamed there too."""
    paths = sources("raylite", "sim", "tests/source")
    words = {path.stem for path in paths}.union(
        re.findall(r"\w+", " ".join((ROOT / path).read_text() for path in paths))
    )
    names = [span for span in code_spans(text_of(ARCHITECTURE)) if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", span)]
    former = {"codec"}  # of the design, and not in the code
    assert {name for name in names if not set(name.split(".")) <= words | former} == set()


# ---- all pages ----


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_to_files(page):
    targets = [target.partition("#")[0] for target in links(text_of(page))]
    assert [target for target in targets if not (ROOT / page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_files_that_a_page_names_exist(page):
    named = {
        span for span in code_spans(text_of(page)) if re.fullmatch(r"[\w.-]+(/[\w.-]+)*/[\w-]+\.(py|pyx|pxd|md)", span)
    }
    assert {path for path in named if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_of_make_that_a_page_names_exist(page):
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", text_of(page), re.MULTILINE))
    assert {name for name in named if not re.search(rf"^{name}\b[^=\n]*:", text_of("Makefile"), re.MULTILINE)} == set()


def test_the_changelog_begins_with_this_version():
    assert re.findall(r"^## \[([^\]]+)\]", text_of("CHANGELOG.md"), re.MULTILINE)[0] == raylite.__version__
