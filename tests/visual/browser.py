"""Pages in headless Chromium: the document after its scripts ran, and what the console said."""

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium: chromium, chromium-browser or google-chrome"
)


@dataclass
class Document:
    """The elements of a page: (tag, attributes), and the text of those with an id."""

    console: list[str]
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    def first(self, tag: str) -> dict[str, str]:
        return next(attributes for name, attributes in self.elements if name == tag)

    def figures(self) -> dict[str, dict[str, str]]:
        """Attributes of the drawn tensors, by name."""
        return {a["data-name"]: a for tag, a in self.elements if "data-name" in a}


class _Reader(HTMLParser):
    def __init__(self, document: Document) -> None:
        super().__init__()
        self.document, self.open = document, ""

    def handle_starttag(self, tag, attrs):
        attributes = {name: value or "" for name, value in attrs}
        self.document.elements.append((tag, attributes))
        self.open = attributes.get("id", self.open)

    def handle_data(self, data):
        self.document.texts[self.open] = self.document.texts.get(self.open, "") + data


def load(page: Path, profile: Path, fragment: str = "", milliseconds: int = 2000) -> Document:
    """Open a page and read it back after that much of the browser's own, quick time."""
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu",
            "--enable-logging=stderr", f"--user-data-dir={profile}",
            f"--virtual-time-budget={milliseconds}", "--dump-dom", page.as_uri() + fragment,
        ],
        capture_output=True, encoding="utf-8", timeout=120, check=True,
    )  # fmt: skip
    document = Document(re.findall(r"CONSOLE.*", done.stderr))
    _Reader(document).feed(done.stdout)
    return document
