"""The diagram of the design draws the imports that are there."""

import ast
import re
from itertools import pairwise

from tests.docs.test_pages import DOCS, ROOT

BOX = re.compile(r'(\w+)\["([^"]+)"\]')


def read(page):
    """Parts by box, and the arrows between boxes, of a page's diagram."""
    diagram = re.search(r"```mermaid\n(.+?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert diagram
    boxes = {box: re.split(r",?<br>|, ", label) for box, label in BOX.findall(diagram[1])}
    arrows = []
    for line in diagram[1].splitlines():
        ends = [end.strip().split(" & ") for end in BOX.sub(r"\1", line).split("-->")]
        arrows += [(a, b) for tails, heads in pairwise(ends) for a in tails for b in heads]
    return {box: boxes.get(box, [box]) for arrow in arrows for box in arrow}, arrows


def imports():
    """(importing part, imported part) of the two packages; a part is a file or a folder.

    What a function imports counts where it is the command line's, which imports nothing earlier.
    """
    found = set()
    for path in [*ROOT.glob("minidistil/**/*.py"), *ROOT.glob("kernels/**/*.py")]:
        folder, name = path.relative_to(ROOT).parts[:2]
        part = name.removesuffix(".py") if folder == "minidistil" else "minidistil_kernels"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree) if part == "cli" else tree.body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("minidistil"):
                package, _, rest = str(node.module).partition(".")
                found.add((part, rest.partition(".")[0] if package == "minidistil" else package))
    return found


def reachable(arrows, start):
    ahead = {b for a, b in arrows if a == start}
    return ahead | {c for b in ahead for c in reachable(arrows, b)}


def test_the_arrows_of_the_design_are_the_imports():
    boxes, arrows = read(DOCS / "design.md")
    box_of = {part: box for box, parts in boxes.items() for part in parts}
    there = {(box_of.get(a), box_of.get(b)) for a, b in imports()}
    assert len(arrows) > 10 and {*arrows} <= there
    against = {(a, b) for a, b in there if a in reachable(arrows, b)}
    assert against == set(), "imports that go up"
