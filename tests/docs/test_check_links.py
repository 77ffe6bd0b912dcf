import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "docs" / "tools" / "check_links.py"
INDEX = """<link rel="stylesheet" href="style.css"><link rel="next" href="api/attention.html">
<h1 id="top">Home</h1> <a href="#top">up</a> <a href="api/attention.html#h%C3%A9ad">head</a>
<a href="https://example.org">elsewhere</a> <a href="mailto:a@example.org">write</a>
<a href="api">folder</a> <a href="#__top">top</a>"""
ATTENTION = """<h2 id="héad">Head</h2> <a href="../index.html?q=1#top">home</a>"""


def check(site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), str(site)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "api").mkdir()
    (tmp_path / "index.html").write_text(INDEX, encoding="utf-8")
    (tmp_path / "api" / "index.html").write_text("", encoding="utf-8")
    (tmp_path / "api" / "attention.html").write_text(ATTENTION, encoding="utf-8")
    (tmp_path / "style.css").write_text("a { background: url(picture.png) }", encoding="utf-8")
    return tmp_path


def test_a_sound_site_passes(site):
    result = check(site)
    assert (result.returncode, result.stdout.strip()) == (0, "0 faults")


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        ('<a href="api/heads.html">x</a>', "api/heads.html leads to no file"),
        ('<a href="empty">x</a>', "empty leads to no file"),
        ('<img src="data-way.svg">', "data-way.svg leads to no file"),
        ('<a href="#bottom">x</a>', "#bottom leads to no such place on the page"),
        ('<a href="api/attention.html#lost">x</a>', "#lost leads to no such place on the page"),
        ('<script src="https://cdn.example/x.js"></script>', "loads https://cdn.example/x.js"),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', "loads //cdn.example/x.css"),
        ('<img srcset="https://cdn.example/x.png 2x">', "loads https://cdn.example/x.png"),
        ('<p style="background: url(https://cdn.example/p.png)">', "loads https://cdn.example/p"),
    ],
)
def test_a_planted_fault_is_found(site, planted, fault):
    (site / "empty").mkdir()
    page = site / "index.html"
    page.write_text(page.read_text(encoding="utf-8") + planted, encoding="utf-8")
    result = check(site)
    assert result.returncode == 1
    assert fault in result.stdout
    assert result.stdout.endswith("1 faults\n")


def test_a_style_sheet_that_loads_from_another_host_is_found(site):
    (site / "style.css").write_text('@import "https://cdn.example/f.css";', encoding="utf-8")
    result = check(site)
    assert result.returncode == 1
    assert "style.css: loads https://cdn.example/f.css" in result.stdout


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    result = check(tmp_path / "nowhere")
    assert result.returncode == 1
    assert "usage" in result.stderr
