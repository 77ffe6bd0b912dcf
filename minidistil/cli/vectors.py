"""The verbs that work with vectors of texts: embed, search."""

import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minidistil.cli.options import Common, common_options
from minidistil.cli.records import Record
from minidistil.cli.results import results_of, shortest, write

if TYPE_CHECKING:
    import numpy as np

SHOWN = 300  # characters of a passage


def _replaceable(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """A file to write, new or there: to rename a new file over anything else would destroy it."""
    if path is not None and path.exists() and not path.is_file():
        raise click.BadParameter(f"{path} is not a regular file", context, option)
    return path


@click.command(
    "embed",
    epilog="""\b
Example:
  minidistil embed "A cat sat on the mat." "A feline rested."
""",
)
@click.argument("text", nargs=-1)
@click.option(
    "--pooling",
    type=click.Choice(["mean", "cls"]),
    default="mean",
    show_default=True,
    help="How a model makes one vector of a text: ask its card.",
)
@click.option("--no-normalize", is_flag=True, help="Leave vectors at their length.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    callback=_replaceable,
    metavar="FILE.npy",
    help="Write a float32 array, a row for each line, instead of JSON lines.",
)
@common_options
def embed(
    common: Common, text: tuple[str, ...], pooling: str, no_normalize: bool, output: Path | None
) -> None:
    """Make a vector of each text.

    The default model is the student that comes with the package: English sentences.
    JSON fields: text. An empty line has no result: null, or a row of NaN in FILE.npy.
    """
    records = common.records(text, ("text",))
    predict = common.pipeline("feature-extraction", pooling=pooling, normalize=not no_normalize)
    results = results_of(records, lambda record: record.values["text"], predict)
    if output is None:
        for record, vector in results:
            write(record, vector, as_json=True, show=str)
    else:
        vectors = (vector for _, vector in results)
        count = _save_vectors(output, vectors, predict.model.config.dim)
        click.echo(f"{output}: {count} vectors of {predict.model.config.dim}", err=True)


def _save_vectors(path: Path, vectors: "Iterable[np.ndarray | None]", dim: int) -> int:
    """Write rows to a .npy file without holding them in memory; the whole file or nothing."""
    import numpy as np

    from minidistil.checkpoints.files import staged

    count = 0
    header: dict[str, Any] = {"descr": "<f4", "fortran_order": False, "shape": (0, dim)}
    with staged(path.parent) as scratch, (scratch / path.name).open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for vector in vectors:
            row = np.full(dim, np.nan, np.float32) if vector is None else vector
            file.write(row.astype("<f4").tobytes())
            count += 1
        # NumPy leaves room in a header for any number of rows, so that it can be written again.
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (count, dim)})
    return count


@click.command(
    "search",
    epilog="""\b
Example:
  minidistil search --in README.md "how do I install it?"
""",
)
@click.argument("query", nargs=-1)
@click.option(
    "--in",
    "sources",
    required=True,
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="File or folder to search; .jsonl files hold objects with a text. May be repeated.",
)
@click.option(
    "--split",
    type=click.Choice(["paragraphs", "lines"]),
    default="paragraphs",
    show_default=True,
    help="What a passage is in a text file.",
)
@click.option(
    "--index",
    type=click.Path(path_type=Path),
    callback=_replaceable,
    metavar="FILE",
    help="Keep vectors here, so that only new passages are embedded next time: those of this "
    "search, no others. The file is written once, when all of them are, or at Ctrl-C.",
)
@click.option("--top-k", type=click.IntRange(min=1), default=5, show_default=True, help="Hits.")
@common_options
def search(
    common: Common,
    query: tuple[str, ...],
    sources: tuple[Path, ...],
    split: str,
    index: Path | None,
    top_k: int,
) -> None:
    """Find the passages that mean what a QUERY means. Quote a query of several words.

    The default model is the student that comes with the package: English sentences.
    Without QUERY, queries are read from --file or standard input, one a line. A passage
    longer than the model is split. JSON fields: query. An empty line has no result (null).
    """
    records = common.records(query, ("query",))
    find = _searcher(common, sources, split, index)

    def hits_of(queries: Iterator[str]) -> Iterator[list[Any]]:
        return (find(text, top_k) for text in queries)

    for record, hits in results_of(records, lambda record: record.values["query"], hits_of):
        if common.as_json:
            write(record, hits, as_json=True, show=str)
        else:
            _show_hits(record, hits or [])


def _searcher(common: Common, sources: tuple[Path, ...], split: str, index: Path | None) -> Any:
    from minidistil.cli.passages import read_passages
    from minidistil.pipelines.index import VectorIndex
    from minidistil.pipelines.search import Search

    passages = list(read_passages(sources, split, common.errors))
    vectors = VectorIndex(index)
    find = Search(common.pipeline("feature-extraction"), passages, vectors)
    if vectors.stale:
        click.echo(f"{index}: made by another model, so it was rebuilt", err=True)
    known = len(find.passages) - find.embedded
    click.echo(f"{len(find.passages)} passages, {known} of them known from the index", err=True)
    return find


def _show_hits(record: Record, hits: list[Any]) -> None:
    click.secho(record.values["query"], bold=True)
    for hit in hits:
        place = click.style(f"{hit['source']}:{hit['line']}", dim=True)
        click.echo(f"  {shortest(hit['score']):.3f}  {place}")
        text = textwrap.shorten(hit["text"], SHOWN, placeholder=" ...")
        click.echo(textwrap.fill(text, 96, initial_indent=" " * 9, subsequent_indent=" " * 9))
