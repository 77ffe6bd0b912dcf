"""The verb `explain`: the attention explorer of a text."""

from pathlib import Path

import click

from minidistil.cli.classes import class_of


@click.command(
    "explain",
    epilog="""\b
Example:
  minidistil explain "What a lovely film!" --output film.html
""",
)
@click.argument("text")
@click.option("--model", metavar="MODEL", help="Folder or hub id.  [default: the shipped student]")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("explain.html"),
    show_default=True,
    metavar="FILE.html",
)
def explain(text: str, model: str | None, output: Path) -> None:
    """Write a page that shows what each head of a model looks at in TEXT.

    Also the answer, labels or words for [MASK], with each head switched off. The page needs no
    network: open it in a browser.
    """
    from minidistil.assets import STUDENT
    from minidistil.model import DistilBertModel
    from minidistil.tokenization import DistilBertTokenizer
    from minidistil.visual.explorer import explorer_page

    name = STUDENT if model is None else model
    loaded = (class_of(str(name)) or DistilBertModel).from_pretrained(name)
    explorer_page(loaded, DistilBertTokenizer.from_pretrained(name), text, output)
    click.echo(f"{output}: open it in a browser")
