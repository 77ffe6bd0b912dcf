"""A fault of a page is found: a test that can't fail would guard nothing."""

import shutil

import pytest

from tests.helpers.browser import installed, violations

PAGE = """<!doctype html><title>A page</title><main><h1>A page</h1>
<script>{}</script><img src="data:,"></main>"""


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("console.error('loud')", "loud"),
        ("console.warn('softer')", "softer"),
        ("setTimeout(() => { throw new Error('thrown') })", "thrown"),
        ("fetch('https://example.invalid/').catch(() => 0)", "asks for https://example.invalid/"),
    ],
)
def test_what_a_page_does_wrong_is_found(open_page, faults, tmp_path, script, fault):
    (tmp_path / "x.html").write_text(PAGE.format(script), encoding="utf-8")
    open_page((tmp_path / "x.html").as_uri()).wait_for_timeout(50)
    assert fault in faults[0] and "x.html" in faults[0]
    faults.clear()


def test_what_shuts_people_out_is_found(open_page, tmp_path):
    (tmp_path / "x.html").write_text(PAGE.format(""), encoding="utf-8")
    page = open_page((tmp_path / "x.html").as_uri())
    assert [fault.partition(":")[0] for fault in violations(page)] == ["html-has-lang", "image-alt"]
    assert violations(page, "html-has-lang", "image-alt") == []


def test_without_a_browser_a_test_is_skipped(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(pytest.skip.Exception, match="needs a browser: chromium, "):
        installed()
