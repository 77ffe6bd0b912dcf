"""The built site in a browser, opened from its folder and from a server on this machine."""

import functools
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.docs.test_pages import DOCS, NAV, ROOT
from tests.helpers.browser import violations

pytestmark = pytest.mark.site
SITE = ROOT / "site"
PAGES = [
    path.with_suffix(".html").as_posix()
    for path in [
        *map(Path, NAV),
        *(Path("tutorials", s.name) for s in sorted(ROOT.glob("tutorials/*.py"))),
    ]
]
DIAGRAMS = {
    page.relative_to(DOCS).with_suffix(".html").as_posix(): text.count("```mermaid")
    for page in DOCS.rglob("*.md")
    if "```mermaid" in (text := page.read_text(encoding="utf-8"))
}
# Faults of Material, on every page:
THEIRS = (
    "aria-dialog-name",  # the search is a dialog without a name
    "landmark-unique",  # the buttons of every code block are a landmark; two of them, two alike
)


# What a page says outside of code and drawn formulas.
WORDS = """() => {
  const article = document.querySelector("article").cloneNode(true);
  article.querySelectorAll("code, .katex").forEach((part) => part.remove());
  return article.textContent;
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module", params=["file", "http"])
def address(request):
    """Where the site begins, with a slash."""
    assert (SITE / "index.html").exists(), "make docs builds it"
    if request.param == "file":
        yield f"{SITE.as_uri()}/"
        return
    handler = functools.partial(Quiet, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize("name", PAGES)
def test_every_page_draws_its_formulas_and_diagrams(open_page, address, name):
    page = open_page(address + name)
    assert page.locator("article h1").count() == 1
    diagrams = DIAGRAMS.get(name, 0)
    assert page.locator("script[src$='mermaid.min.js']").count() == bool(diagrams)
    if diagrams:
        page.locator("div.mermaid svg").nth(diagrams - 1).wait_for()
    assert page.locator("div.mermaid svg").count() == diagrams
    assert page.locator(".arithmatex:not(:has(.katex)), .katex-error").count() == 0
    words = page.evaluate(WORDS)
    assert not re.search(r"\$\$|\\[(\[]", words), "a formula that was not drawn"
    assert len(words) > 100


def test_search_finds_a_word_and_leads_to_it(open_page, address):
    page = open_page(f"{address}index.html")
    page.locator("input[name='query']").press_sequentially("softmax")
    found = page.locator(".md-search-result__item a").first
    found.wait_for()
    assert "softmax" in found.inner_text().lower()
    found.click()
    page.wait_for_url(re.compile(r"h=softmax"))
    assert page.locator("article mark").first.inner_text().lower() == "softmax"


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)], ids=["light", "dark"])
@pytest.mark.parametrize(
    "name",
    [
        "index.html",
        "notation.html",
        "tutorials/09_attention_backward.html",
        "api/attention.html",
        *sorted(DIAGRAMS),
    ],
)
def test_nobody_is_shut_out(open_page, name, width, dark):
    page = open_page((SITE / name).as_uri(), width=width, dark=dark)
    if name in DIAGRAMS:
        page.locator("div.mermaid svg").first.wait_for()
    page.evaluate("document.fonts.ready.then(() => null)")  # until then formulas are narrower
    assert violations(page, *THEIRS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "no scrolling sideways"
