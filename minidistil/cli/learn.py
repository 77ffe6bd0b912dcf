"""The verb `learn`: exercises that are started, checked and solved, and a class that is graded."""

import hashlib
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from minidistil.learn.exercises import Exercise
    from minidistil.learn.progress import Progress

EXAMPLE = """\b
Example:
  minidistil learn start 03a
  minidistil learn check 03a
"""


@click.group("learn", invoke_without_command=True, epilog=EXAMPLE)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("learn"),
    show_default=True,
    metavar="FOLDER",
    help="Where your files and your progress are.",
)
@click.pass_context
def learn(context: click.Context, folder: Path) -> None:
    """Exercises for the tutorials, checked on this machine. Without a COMMAND: what there is.

    Works without network and GPU. Tutorials 07 to 10 and some exercises of 07 and 08 need Triton,
    which is there on Linux.
    """
    # Before anything imports hypothesis or Triton.
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", tempfile.gettempdir())
    context.obj = folder
    if context.invoked_subcommand is None:
        _list(folder)
    elif context.invoked_subcommand in ("check", "grade") and find_spec("hypothesis") is None:
        command = subprocess.list2cmdline([sys.executable, "-m", "pip", "install", "hypothesis"])
        raise click.ClickException(f"checks need hypothesis: {command}")


def _list(folder: Path) -> None:
    from minidistil.learn.exercises import all_exercises
    from minidistil.learn.progress import load

    progress, known = load(folder), all_exercises()
    chapter = ""
    for exercise in known:
        if exercise.chapter != chapter:
            chapter = exercise.chapter
            click.secho(f"{chapter} {_tutorial(exercise)}", bold=True)
        one = progress.get(exercise.name)
        mark = " " if one is None else "x" if one.passed else "."
        click.echo(f"  [{mark}] {exercise.name:24} {exercise.title}")
    done = sum(exercise.name in progress and progress[exercise.name].passed for exercise in known)
    click.echo("[x] solved, [.] started")
    following = "" if done == len(known) else " Next: minidistil learn start"
    click.echo(f"{done} of {len(known)} solved.{following}")


def _tutorial(exercise: "Exercise") -> str:
    scripts = [path.stem[3:] for path in exercise.folder.glob(f"{exercise.chapter}_*.py")]
    return "".join(scripts).replace("_", " ")


@learn.command("start", epilog=EXAMPLE)
@click.argument("name", required=False)
@click.pass_obj
def start(folder: Path, name: str | None) -> None:
    """Write the file of the exercise NAME, or of the first that is not solved, to be filled in."""
    from minidistil.checkpoints.files import staged
    from minidistil.learn.exercises import find
    from minidistil.learn.progress import Progress, load, save

    progress = load(folder)
    unsolved = _unsolved(progress)
    if name is None and not unsolved:
        raise click.ClickException("all exercises are solved")
    exercise = unsolved[0] if name is None else find(name)
    path = folder / f"{exercise.name}.py"
    if path.exists():
        raise click.ClickException(f"{path} is there already: edit it, or remove it to start anew")
    with staged(folder) as scratch:
        (scratch / path.name).write_text(exercise.start(), encoding="utf-8")
    progress.setdefault(exercise.name, Progress())
    save(folder, progress)
    click.echo(
        f"{exercise.title}.\nFill in {path}, then: minidistil learn check {exercise.name[:3]}"
    )


@learn.command("check", epilog=EXAMPLE)
@click.argument("name", required=False)
@click.pass_obj
def check(folder: Path, name: str | None) -> int:
    """Try your file of the exercise NAME on fixed and random cases; without NAME, all your files.

    Shows the smallest case that fails, and one hint more each time that the file has changed.
    Stops after 60 seconds.
    """
    from minidistil.learn.exercises import all_exercises, find

    known = all_exercises() if name is None else [find(name)]
    chosen = [exercise for exercise in known if (folder / f"{exercise.name}.py").is_file()]
    if not chosen:
        what = f"{known[0].name}.py" if name else "01a_....py or other exercise"
        raise click.ClickException(
            f"there is no {folder.resolve() / what}: run this where you ran `start`, or begin with "
            f"`minidistil learn start {name or ''}".rstrip()
            + "`"
        )
    passed = [_check(exercise, folder) for exercise in chosen]  # all, even after one that fails
    if not all(passed):
        return 1
    _name_next(folder, chosen[-1])
    return 0


def _name_next(folder: Path, solved: "Exercise") -> None:
    from minidistil.learn.progress import load

    unsolved = _unsolved(load(folder))
    following = [exercise for exercise in unsolved if exercise.name > solved.name] or unsolved
    if not following:
        click.echo("All exercises are solved.")
        return
    one = following[0]
    verb = "check" if (folder / f"{one.name}.py").exists() else "start"
    click.echo(f"Next: {one.title}: minidistil learn {verb} {one.name[:3]}")


def _unsolved(progress: "dict[str, Progress]") -> "list[Exercise]":
    from minidistil.learn.exercises import all_exercises

    passed = {name for name, one in progress.items() if one.passed}
    return [exercise for exercise in all_exercises() if exercise.name not in passed]


def _check(exercise: "Exercise", folder: Path) -> bool:
    from minidistil.learn.apart import check_apart
    from minidistil.learn.progress import Progress, load, save

    path = folder / f"{exercise.name}.py"
    text = path.read_bytes()
    outcome = check_apart(exercise, path)
    progress = load(folder)
    one = progress.setdefault(exercise.name, Progress())
    checked, one.checked = one.checked, hashlib.sha256(text).hexdigest()
    if outcome.passed:
        one.passed = True
        laws = outcome.laws
        click.secho(f"{exercise.name}: solved, {laws} of {laws} laws hold", bold=True)
    elif outcome.stopped:
        click.secho(f"{exercise.name}: {outcome.message}")
    else:
        click.secho(f"{exercise.name}: {outcome.held} of {outcome.laws} laws hold", bold=True)
        click.echo(outcome.message)
        # A hint is for an answer that was thought of and is wrong.
        unedited = text.decode(errors="replace").split() == exercise.start().split()
        if outcome.case and not unedited:
            _give_hint(exercise, one, changed=one.checked != checked)
    save(folder, progress)
    return outcome.passed


def _give_hint(exercise: "Exercise", one: "Progress", changed: bool) -> None:
    hints = exercise.hints
    if changed and one.hints < len(hints):
        one.hints += 1
    for number, hint in enumerate(hints[: one.hints], 1):
        click.echo(f"Hint {number} of {len(hints)}: {hint}")
    if one.hints == len(hints):
        number = exercise.name[:3]
        click.echo(f"There are no more hints: `minidistil learn solution {number}` shows an answer")
    elif not changed:
        click.echo("The file is as it was: the next hint comes when it has changed.")


@learn.command("solution", epilog=EXAMPLE)
@click.argument("name")
@click.pass_obj
def solution(folder: Path, name: str) -> None:
    """Print a solution of the exercise NAME."""
    from minidistil.learn.exercises import find
    from minidistil.learn.progress import Progress, load, save

    exercise = find(name)
    progress = load(folder)
    one = progress.setdefault(exercise.name, Progress())
    one.looked |= not one.passed
    save(folder, progress)
    click.echo(exercise.solution(), nl=False)


@learn.command(
    "grade",
    epilog="""\b
Example (submissions/NAME/03a_softmax.py is what NAME handed in for 03a):
  minidistil learn grade submissions --json grades.json
""",
)
@click.argument("submissions", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--seconds",
    default=60,
    show_default=True,
    type=click.IntRange(min=1),
    help="Of each file; then it is stopped.",
)
@click.option(
    "--memory",
    default=2048,
    show_default=True,
    type=click.IntRange(min=512),
    help="Of each file, in MiB beyond what PyTorch takes.",
)
@click.option(
    "--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Files at a time."
)
@click.option(
    "--json",
    "report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write every outcome here.",
)
def grade(submissions: Path, seconds: int, memory: int, jobs: int, report: Path | None) -> None:
    """Grade a folder of submissions, a folder for each learner. For teachers.

    Each file runs in a process of its own with limits of time and memory, in an empty folder. That
    keeps one from spoiling another; it is no prison: grade only files of people you know. Needs
    Linux or macOS; tested on Linux.
    """
    from minidistil.checkpoints.files import staged, write_json
    from minidistil.learn.grading import grade_all, table

    grades = grade_all(submissions, seconds=seconds, memory=memory << 20, jobs=jobs)
    if report is not None:
        with staged(report.parent) as scratch:
            write_json(scratch / report.name, grades)
    click.echo(table(grades))
