"""Each promise of docs/guarantees.md names a test that there is."""

from __future__ import annotations

import ast
import functools
import re

import pytest

from tests.docs.pages import ROOT, tables, text_of

PAGE = "docs/guarantees.md"
ROWS = [row for _, *rows in tables(text_of(PAGE)) for row in rows]


@functools.cache
def names_of_tests(file):
    tree = ast.parse((ROOT / "tests" / file).read_text())
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_every_promise_is_held_by_a_test(row):
    held_by = re.findall(r"`([^`]+)::([^`]+)`", row[-1])
    assert held_by
    for file, name in held_by:
        assert name in names_of_tests(file)


def test_the_page_is_where_a_user_looks():
    assert f"({PAGE})" in text_of("README.md")
    assert f"({PAGE.removeprefix('docs/')})" in text_of("docs/api.md")
