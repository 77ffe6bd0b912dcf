"""The verbs of fine-tuning: finetune, evaluate."""

import json
from pathlib import Path
from typing import Any

import click

from minidistil.cli.options import given

TASKS = click.Choice(
    ["text-classification", "token-classification", "question-answering", "multiple-choice"]
)
PROBLEMS = {
    "single": "single_label_classification",
    "multi": "multi_label_classification",
    "regression": "regression",
}


# What says how a teacher is listened to.
TAUGHT = ("unlabelled", "alpha_teacher", "temperature")

COLUMNS = click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="OURS=THEIRS",
    help="What the file calls a field, such as label=stars. May be repeated.",
)
TASK = click.option("--task", type=TASKS, default="text-classification", show_default=True)
DEVICE = click.option("--device", default="cpu", show_default=True, metavar="DEVICE")


def _read(
    path: str, task: str, problem_type: str, columns: tuple[str, ...], labelled: bool = True
) -> Any:
    from minidistil.training.readers import read_examples

    names = {ours: theirs for ours, _, theirs in (pair.partition("=") for pair in columns)}
    if not all(names.values()):
        raise click.UsageError(f"--column is {' '.join(columns)!r}, expected OURS=THEIRS")
    return read_examples(
        path, task, problem_type=problem_type, columns=names or None, labelled=labelled
    )


def _shown(scores: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in scores.items())


@click.command(
    "finetune",
    epilog="""\b
Example:
  minidistil finetune --model distilbert/distilbert-base-uncased \\
      --train reviews.csv --eval held-out.csv --output my-model
  minidistil classify --model my-model "What a film!"
""",
)
@click.option("--model", required=True, metavar="MODEL", help="Where to start: folder or hub id.")
@click.option("--train", required=True, metavar="FILE", help="To learn from.")
@click.option("--eval", "held_out", metavar="FILE", help="To choose the best epoch by.")
@click.option("--output", required=True, metavar="FOLDER", help="For the trained model.")
@click.option("--teacher", metavar="MODEL", help="A larger model of the same task, to learn from.")
@click.option("--unlabelled", metavar="FILE", help="More texts, for the teacher to answer.")
@TASK
@click.option(
    "--labels",
    type=click.Choice([*PROBLEMS]),
    default="single",
    show_default=True,
    help="Of a text: one name, several names, or a number.",
)
@COLUMNS
@DEVICE
@click.option("--epochs", type=click.IntRange(min=1))
@click.option("--patience", type=click.IntRange(min=1))
@click.option("--batch-size", type=click.IntRange(min=1))
@click.option("--max-length", type=click.IntRange(min=3))
@click.option("--learning-rate", type=float)
@click.option("--balanced", is_flag=True, default=None, help="Weigh classes by how rare they are.")
@click.option("--alpha-teacher", type=float)
@click.option("--temperature", type=float)
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]))
@click.option("--seed", type=int)
def finetune(
    model: str,
    train: str,
    held_out: str | None,
    output: str,
    teacher: str | None,
    unlabelled: str | None,
    task: str,
    labels: str,
    columns: tuple[str, ...],
    device: str,
    **settings: Any,
) -> None:
    """Train a model for a task of yours.

    Files are tables (.csv, .tsv), JSON lines (.jsonl), CoNLL for tags, SQuAD for questions. If the
    command is stopped, the same command goes on from its last checkpoint. What is left out of the
    settings has the default of minidistil.training.finetuning.Tuning.
    """
    from minidistil.tokenization import DistilBertTokenizer
    from minidistil.training import fingerprints, processes
    from minidistil.training.finetuning import Tuning, finetune
    from minidistil.training.start import start_from

    settings = given(settings)
    for name, value in {"unlabelled": unlabelled, **settings}.items():
        if teacher is None and value is not None and name in TAUGHT:
            raise click.UsageError(f"--{name.replace('_', '-')} needs a --teacher")
    if labels != "single" and task != "text-classification":
        raise click.UsageError(f"--labels {labels} is for texts, not for {task}")
    problem = PROBLEMS[labels]
    records = _read(train, task, problem, columns)
    judged = _read(held_out, task, problem, columns) if held_out else []
    tuning = Tuning(**settings)
    start = start_from(model, task, records, problem, tuning.seed)
    tokenizer, guide = DistilBertTokenizer.from_pretrained(model), None
    if teacher is not None:
        guide = type(start).from_pretrained(teacher, dtype="float32")
        theirs = DistilBertTokenizer.from_pretrained(teacher)
        if fingerprints.of_vocabulary(theirs) != fingerprints.of_vocabulary(tokenizer):
            raise click.UsageError(
                f"{teacher} has another vocabulary than {model}: it would read other words"
            )
    if unlabelled is not None:
        records += _read(unlabelled, task, problem, columns, labelled=False)
    with processes.process_group(device) as place:
        scores = finetune(
            start.to(place),
            tokenizer,
            records,
            Path(output),
            tuning,
            held_out=judged,
            teacher=guide,
            device=place,
        )
        if processes.rank() == 0:
            for line in scores:
                click.echo(_shown(line))
            click.echo(f"{output}: trained on {len(records):,} records")


@click.command(
    "evaluate",
    epilog="""\b
Example:
  minidistil evaluate held-out.csv --model my-model
""",
)
@click.argument("file")
@click.option("--model", required=True, metavar="MODEL", help="Folder or hub id.")
@TASK
@COLUMNS
@DEVICE
@click.option(
    "--null-threshold",
    type=float,
    help="Of questions: by how much 'no answer' must outdo an answer.  [default: 0 where the file "
    "has questions without an answer; else it never does]",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def evaluate(
    file: str,
    model: str,
    task: str,
    columns: tuple[str, ...],
    device: str,
    null_threshold: float | None,
    as_json: bool,
) -> None:
    """Score a model on labelled data."""
    from minidistil.pipelines import pipeline
    from minidistil.training.evaluation import evaluate
    from minidistil.training.examples import make_examples

    ready = pipeline(task, model, device=device)
    config = ready.model.config
    problem = config.problem_type or "single_label_classification"
    records = _read(file, task, problem, columns)
    examples = make_examples(
        records,
        ready.tokenizer,
        max_length=config.max_position_embeddings,
        id2label=config.id2label,
        problem_type=problem,
    )
    scores = evaluate(ready.model, records, examples, null_threshold=null_threshold)
    click.echo(json.dumps(scores, allow_nan=False) if as_json else _shown(scores))
