"""Pages in headless Chromium: what they do, what they complain of, what they ask other hosts for.

    def test_a_page(open_page):
        page = open_page(path.as_uri(), width=360, dark=True)
        page.click("#next")

A test that opened a page fails where the page wrote a warning or an error to the console, threw,
or made a request to another host; the fixture `faults` holds what it did. Without Chromium such
tests are skipped.
"""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
HERE = ("", "127.0.0.1")  # hosts: of file: and data:, and of a server on this machine
# Material draws diagrams where neither tests nor axe can look; here they can.
OPEN_SHADOWS = """
const attach = Element.prototype.attachShadow;
Element.prototype.attachShadow = function () { return attach.call(this, { mode: "open" }); };
"""


class OpenPage(Protocol):
    """Opens an address in a window of its own."""

    def __call__(self, address: str, *, width: int = 1280, dark: bool = False) -> "Page": ...


def installed() -> str:
    """The path of the browser; without one the test is skipped."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    return path or pytest.skip(f"needs a browser: {', '.join(NAMES)}")


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """One browser for the tests of a file.

    Not for all tests: until it is closed, this thread counts as inside an event loop, and other
    tests could not start one.
    """
    path = installed()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def faults() -> Iterator[list[str]]:
    """What the pages of a test did wrong; a test that means it looks at the list and clears it."""
    found: list[str] = []
    yield found
    assert found == []


@pytest.fixture
def open_page(chromium: "Browser", faults: list[str]) -> Iterator[OpenPage]:
    contexts = []

    def open_page(address: str, *, width: int = 1280, dark: bool = False) -> "Page":
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        context.add_init_script(OPEN_SHADOWS)
        page = context.new_page()

        def complain(what: str) -> None:
            faults.append(f"{page.url}: {what}")

        def console(message) -> None:
            if message.type in ("error", "warning"):
                complain(message.text)

        def request(request) -> None:
            if (urlsplit(request.url).hostname or "") not in HERE:
                complain(f"asks for {request.url}")

        page.on("console", console)
        page.on("pageerror", lambda error: complain(str(error)))
        page.on("request", request)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()


def violations(page: "Page", *theirs: str) -> list[str]:
    """What axe-core finds that shuts people out, `theirs` aside: rule, place and reason."""
    from axe_playwright_python.sync_playwright import Axe

    # Without preload: it would ask for the style sheets anew, which a page in a folder may not.
    response = Axe().run(page, options={"resultTypes": ["violations"], "preload": False}).response
    assert response["passes"], "axe-core looked at something"
    return [
        f"{rule['id']}: {node['target']}: {node['failureSummary']}"
        for rule in response["violations"]
        if rule["id"] not in theirs
        for node in rule["nodes"]
    ]
