"""Lines of the program that made objects: told once, kept by number, bounded."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core.host import DRIVER

LINE = "program.py:7 in main"


def tell(host, hash, text=LINE):
    return host.send(p.EV_CALL_SITE, DRIVER, request=hash, payload=text.encode())


def sites(host):
    return {row.call_site for row in host.reports().objects()}


def test_an_object_put_has_the_line_that_was_told_before(host):
    tell(host, 5)
    body = p.envelope(b"value")
    host.send(p.EV_PUT, DRIVER, object=host.object("root!1"), aux=5, payload=p.inline_value(body))
    assert sites(host) == {LINE}
    assert host.explain("root!1").steps[0].call_site == LINE


def test_a_line_that_nobody_told_is_not_known(host):
    host.send(p.EV_PUT, DRIVER, object=host.object("root!1"), aux=6, payload=p.inline_value(p.envelope(b"value")))
    assert sites(host) == {""}


@pytest.mark.parametrize(("hash", "text"), [(0, LINE), (5, ""), (5, "x" * 5000)])
def test_what_makes_no_sense_is_refused(host, hash, text):
    assert tell(host, hash, text)[0].startswith("reject")
