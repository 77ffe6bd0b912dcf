"""Check a built site: nothing it links to is missing, nothing is loaded from another host.

    python docs/tools/check_links.py site

Every local `href` and `src` leads to a file, every `#fragment` to an element of its page, and no
tag or style sheet loads from another host, so the site works from a folder on a machine without
a network. Plain links to other hosts are what a link is for: they are not followed. Exits with 1
and a list when something is wrong.

*Not here*: what scripts load while they run; `tests/docs/test_site.py` asks a browser.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

_CSS_URL = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s;]+)""")


class Page(HTMLParser):
    """What one page offers as targets, what it links to and what it loads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        # Material's "back to top" links go to #__top, which browsers take as the top of the page.
        self.ids: set[str] = {"__top"}
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect ids and addresses; `<a>` and `<link rel="next">` link, other tags load."""
        links = tag == "a" or dict(attrs).get("rel") in ("canonical", "alternate", "prev", "next")
        for name, value in attrs:
            if not value:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.ids.add(value)
            elif name in ("href", "xlink:href", "src", "poster", "data"):
                (self.links if links else self.loads).append(value)
            elif name == "srcset":
                self.loads += [source.split()[0] for source in value.split(",")]
            elif name == "style":
                self.loads += _CSS_URL.findall(value)


def check(site: Path) -> list[str]:
    """List what is wrong with the site in the folder `site`, one line a fault."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    faults = []
    for path, page in pages.items():
        name = path.relative_to(site)
        faults += [f"{name}: loads {url}" for url in page.loads if urlsplit(url).netloc]
        # The server shows 404.html at any depth: its links are absolute and mean nothing here.
        if path.name != "404.html":
            addresses = dict.fromkeys(page.links + page.loads)
            faults += [
                f"{name}: {fault}" for url in addresses if (fault := _fault(path, url, pages))
            ]
    for path in sorted(site.rglob("*.css")):
        remote = _CSS_URL.findall(path.read_text(encoding="utf-8"))
        faults += [f"{path.relative_to(site)}: loads {url}" for url in remote]
    return faults


def _fault(page: Path, url: str, pages: dict[Path, Page]) -> str | None:
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return None
    fragment = unquote(urldefrag(url).fragment)
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return f"{url} leads to no file"
    if fragment and target in pages and fragment not in pages[target].ids:
        return f"{url} leads to no such place on the page"
    return None


def main() -> None:
    """Check the folder named on the command line."""
    if len(sys.argv) != 2 or not (site := Path(sys.argv[1]).resolve()).is_dir():
        sys.exit("usage: check_links.py FOLDER_OF_A_BUILT_SITE")
    faults = check(site)
    print(*faults, f"{len(faults)} faults", sep="\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
