"""The shell: everything inside, nothing from outside, and data that stay data."""

import json
import re
from html.parser import HTMLParser

import pytest

from minidistil.visual.page import html_page, write_page

HOSTILE = "</script><script>document.title = 'taken'</script><!-- <img src=x onerror=x()> & \u2028"
ASSETS = ["tiles.html", "tiles.css", "tiles.js"]


class Parts(HTMLParser):
    """The tags of a page, and the texts of its titles and scripts."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.inside = [], {"title": [], "script": []}, ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        if tag in self.texts:
            self.texts[tag].append("")

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside in self.texts:
            self.texts[self.inside][-1] += data


def test_data_come_back_as_they_went_in():
    data = {"text": HOSTILE, "lone": "\ud800", "numbers": [1, 2.5, None]}
    page = html_page("Title", data, ASSETS)
    inside, _program = Parts(page).texts["script"]
    assert json.loads(inside) == data
    page.encode("utf-8")


def test_a_hostile_title_is_text():
    page = html_page(HOSTILE, {}, ASSETS)
    assert Parts(page).texts["title"] == [HOSTILE]
    assert page.count("<script") == html_page("Title", {}, ASSETS).count("<script")
    assert "<img" not in page


def test_nothing_is_loaded_from_outside():
    page = html_page("Title", {"launches": []}, ASSETS)
    assert re.findall(r"(?i)https?:|//[a-z]|@import|url\(", re.sub(r"(?m)//\s.*$", "", page)) == []
    for tag, attributes in Parts(page).tags:
        assert "src" not in attributes
        assert attributes.get("href", "data:,") == "data:,", tag
    assert "default-src 'none'" in page


def test_infinity_is_refused():
    with pytest.raises(ValueError, match="Out of range"):
        html_page("Title", {"x": float("inf")}, ASSETS)


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "page.html"
    write_page("one\n", path)
    assert path.read_bytes() == b"one\n"
    with pytest.raises(UnicodeEncodeError):
        write_page("\ud800", path)
    assert path.read_bytes() == b"one\n"
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


def test_a_folder_is_left_alone(tmp_path):
    with pytest.raises(OSError, match="not a regular file"):
        write_page("x", tmp_path)


def test_only_the_named_script_runs(open_page, faults, tmp_path):
    """The policy, put to the test: a script, a handler, an image and a style that came in later."""
    page = html_page("Title", {"launches": []}, ["tiles.html", "tiles.css"])
    assert "</main>" in page
    intruders = (
        "<script>document.title = 'taken'</script>"
        "<img src='data:,' onerror=\"document.title = 'taken'\">"
        "<link rel='stylesheet' href='page.css'>"
    )
    path = tmp_path / "page.html"
    write_page(page.replace("</main>", intruders + "</main>"), path)
    assert open_page(path.as_uri()).title() == "Title"
    refused = [fault for fault in faults if "Content Security Policy" in fault]
    assert len(refused) == len(faults) == 3
    faults.clear()
