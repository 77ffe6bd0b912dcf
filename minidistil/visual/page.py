"""The shell of a page: one HTML file with its style, data and script inside.

    page = html_page("Tiles", {"launches": [...]}, ["tiles.html", "tiles.css", "tiles.js"])
    write_page(page, "tiles.html")

The shell brings `page.css` (colours, light and dark; text; buttons); a visualisation brings its own
HTML, style and script, all from `assets/`. The script finds the data, as text, in the element with
the id `data`.

Whatever the data contain is text to the browser. They cannot end the element they are in, and the
page's Content-Security-Policy lets nothing be loaded, and nothing run but the one script whose
hash it names.

Source: HTML Standard, "Restrictions for contents of script elements"; CSP Level 3, hash sources.
Not here: what the pages show (`tiles.py`).
"""

import base64
import hashlib
import html
import json
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from minidistil.checkpoints.files import staged

SHELL = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src '$css_hash'; script-src '$script_hash'">
<title>$title</title>
<link rel="icon" href="data:,">
<style>$css</style>
</head>
<body>
<main>
<h1>$title</h1>
<noscript><p>This page is drawn by its own script: allow JavaScript to see it.</p></noscript>
$body
</main>
<script type="application/json" id="data">$data</script>
<script>$script</script>
</body>
</html>
""")


def html_page(title: str, data: Any, assets: Sequence[str]) -> str:
    """A whole page.

    Args:
        title: Plain text.
        data: What `json.dumps` takes.
        assets: Names of files; those of one kind are joined in this order.

    Raises:
        ValueError: The data hold NaN or infinity, which JSON has no words for.
    """
    css = _joined(["page.css", *assets], ".css")
    script = '"use strict";\n' + _joined(assets, ".js")
    # Inside <script> only "<" matters: it begins "</script" and "<!--". What is not ASCII becomes
    # an escape too, so that no unpaired surrogate is left to trip UTF-8.
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return SHELL.substitute(
        title=html.escape(title),
        css=css,
        css_hash=_hash(css),
        body=_joined(assets, ".html"),
        data=text,
        script=script,
        script_hash=_hash(script),
    )


def write_page(page: str, path: str | Path) -> None:
    """Write a page, whole or not at all; folders are made, an old file is replaced.

    Raises:
        OSError: `path` cannot be written, such as a folder.
    """
    path = Path(os.path.abspath(path))
    with staged(path.parent) as scratch:
        # The hashes are of what a browser reads: it would turn \r\n into \n.
        (scratch / path.name).write_text(page, encoding="utf-8", newline="\n")


def _joined(names: Sequence[str], kind: str) -> str:
    folder = files("minidistil.visual") / "assets"
    return "".join((folder / n).read_text(encoding="utf-8") for n in names if n.endswith(kind))


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
