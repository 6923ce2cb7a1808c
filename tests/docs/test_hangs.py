"""The page about programs that hang: its code runs, and its words for reasons are those that there are."""

from __future__ import annotations

import re
import sys

from raylite.util.state.waits import REASONS
from tests.cli.commands import finished, write
from tests.docs.pages import code_blocks, table_with, text_of

PAGE = "docs/hangs.md"


def test_the_code_of_the_page_runs(tmp_path):
    for number, code in enumerate(code_blocks(text_of(PAGE), "python")):
        write(tmp_path, {f"program{number}.py": code})
        done = finished(tmp_path, sys.executable, f"program{number}.py")
        assert done.returncode == 0, done.stderr
        assert "64 CPU" in done.stdout


def test_every_reason_is_explained():
    rows = table_with(text_of(PAGE), "`reason` of a link")
    assert set(re.findall("`([a-z ]+)`", " ".join(row["`reason` of a link"] for row in rows))) == {*REASONS[1:]} - {
        "later"
    }
