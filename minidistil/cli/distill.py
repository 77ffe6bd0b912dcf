"""The verbs of distillation: distill prepare, distill run."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from minidistil.cli.options import given

EXAMPLE = """\b
Example:
  minidistil distill prepare README.md --tokenizer distilbert-base-uncased --output tokens
"""


@click.group("distill", epilog=EXAMPLE)
def distill() -> None:
    """Make a small model from a large one, the teacher."""


@distill.command("prepare", epilog=EXAMPLE)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--tokenizer", required=True, metavar="MODEL", help="The teacher: folder or hub id.")
@click.option("--output", required=True, metavar="FOLDER", help="Where to.")
@click.option("--max-length", default=512, show_default=True, help="Tokens; more are cut.")
@click.option("--min-tokens", default=12, show_default=True, help="Shorter sequences are dropped.")
@click.option(
    "--max-unknown",
    default=0.5,
    show_default=True,
    help="Share of [UNK] from which on a sequence is dropped.",
)
@click.option(
    "--errors",
    type=click.Choice(["strict", "replace"]),
    default="strict",
    show_default=True,
    help="What to do with bytes that are not UTF-8.",
)
def prepare(files: tuple[str, ...], tokenizer: str, output: str, **rules: Any) -> None:
    """Tokenize text, a sequence a line, into FOLDER.

    Each FILE is plain text, or JSON lines with a "text" where it ends in .jsonl. If the command is
    stopped, the same command goes on where it was.
    """
    from minidistil.distillation.preparation import prepare as prepare_files
    from minidistil.tokenization import DistilBertTokenizer

    data = prepare_files(files, DistilBertTokenizer.from_pretrained(tokenizer), output, **rules)
    short, unknown = data.meta["dropped_short"], data.meta["dropped_unknown"]
    click.echo(
        f"{output}: {len(data):,} sequences, {data.meta['tokens']:,} tokens; "
        f"dropped {short:,} short, {unknown:,} unknown"
    )


@distill.command(
    "run",
    epilog="""\b
Example:
  minidistil distill run tokens --teacher teacher --layers 0,2,4 --output student
  torchrun --nproc-per-node 2 -m minidistil distill run tokens --teacher teacher ...
""",
)
@click.argument("data", metavar="FOLDER")
@click.option("--teacher", required=True, metavar="MODEL", help="Folder or hub id.")
@click.option("--output", required=True, metavar="FOLDER", help="For the student.")
@click.option("--layers", metavar="I,J,...", help="Of the teacher.  [default: 0,2,4,7,9,11]")
@click.option("--ce", type=float, help="Weight of the teacher's probabilities.  [default: 5]")
@click.option("--mlm", type=float, help="Weight of the masked words.  [default: 2]")
@click.option("--cos", type=float, help="Weight of the hidden states' direction.  [default: 1]")
@click.option("--mse", type=float, help="Weight of the hidden states' distance.  [default: 0]")
@click.option("--temperature", type=float)
@click.option("--masked-only", is_flag=True, default=None, help="Hold ce to masked tokens.")
@click.option("--epochs", type=click.IntRange(min=1))
@click.option("--tokens-per-batch", type=click.IntRange(min=1), help="Of one process.")
@click.option("--accumulation", type=click.IntRange(min=1), help="Batches to a step.")
@click.option("--learning-rate", type=float)
@click.option("--warmup", type=float, help="Share of the steps.")
@click.option("--weight-decay", type=float)
@click.option("--max-grad-norm", type=float)
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]))
@click.option("--seed", type=int)
@click.option("--device", default="cpu", show_default=True, metavar="DEVICE")
@click.option("--attn", metavar="NAME", help="Attention implementation.  [default: sdpa]")
@click.option("--parallel", type=click.Choice(["ddp", "fsdp"]), default="ddp", show_default=True)
@click.option("--gradient-checkpointing", is_flag=True, help="Less memory, a third more time.")
@click.option("--compile", "compiled", is_flag=True, help="Through torch.compile.")
@click.option(
    "--checkpoint-every", type=click.IntRange(min=1), default=1000, show_default=True, help="Steps."
)
@click.option(
    "--log-every", type=click.IntRange(min=1), default=50, show_default=True, help="Steps."
)
@click.option("--tensorboard", is_flag=True, help="Also write event files.")
def run(
    data: str,
    teacher: str,
    output: str,
    layers: str | None,
    ce: float | None,
    mlm: float | None,
    cos: float | None,
    mse: float | None,
    device: str,
    attn: str | None,
    gradient_checkpointing: bool,
    compiled: bool,
    parallel: str,
    checkpoint_every: int,
    log_every: int,
    tensorboard: bool,
    **recipe: Any,
) -> None:
    """Train a student on what `prepare` wrote into FOLDER.

    If the command is stopped, the same command goes on from its last checkpoint. What is left out
    of the recipe has the default of minidistil.distillation.Recipe, which is DistilBERT's.
    """
    from minidistil.distillation import LossWeights, Recipe, TokenFile, load_teacher
    from minidistil.distillation import distill as run_recipe
    from minidistil.tokenization import DistilBertTokenizer
    from minidistil.training import fingerprints, processes

    weights = LossWeights(**given({"ce": ce, "mlm": mlm, "cos": cos, "mse": mse}))
    if layers is not None:
        try:
            recipe["layers"] = tuple(int(layer) for layer in layers.split(","))
        except ValueError as error:
            raise click.UsageError(f"--layers is {layers!r}, expected such as 0,2,4") from error
    model = load_teacher(teacher, weights)
    if attn is not None:
        model.set_attn_implementation(attn)
    tokens, tokenizer = TokenFile(data), DistilBertTokenizer.from_pretrained(teacher)
    if tokens.meta["vocabulary"] != fingerprints.of_vocabulary(tokenizer):
        raise click.UsageError(
            f"{data} was made with another vocabulary than {teacher} has: prepare the corpus with "
            f"--tokenizer {teacher}"
        )
    with processes.process_group(device) as place:
        run_recipe(
            model,
            tokens,
            Path(output),
            Recipe(weights=weights, **given(recipe)),
            device=place,
            parallel=parallel,
            gradient_checkpointing=gradient_checkpointing,
            compiled=compiled,
            checkpoint_every=checkpoint_every,
            log_every=log_every,
            tensorboard=tensorboard,
        )
        if processes.rank() == 0:
            tokenizer.save_pretrained(output)
            if find_spec("matplotlib") is not None:
                from minidistil.visual.curves import draw_curves

                draw_curves({output: output}).savefig(Path(output) / "curves.svg")
            click.echo(f"{output}: a student of {len(tokens):,} sequences")
