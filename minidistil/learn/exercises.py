"""Exercises: found, told apart by name, and turned into the file that a learner fills in.

A solution marks what the learner writes:

    # answer            the lines that are right
    # instead           (if wanted) commented lines that the learner finds in their place, such as
    #   x = y           a fault to be found; without them it is `raise NotImplementedError`
    # end

So there is one text of each exercise, and its task, solution and start can't drift apart.
"""

import ast
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidistil.learn.running import run_file

ROOT = Path(__file__).parents[2] / "tutorials"
# Where a wheel puts them: of the environment, or of the user.
INSTALLED = [
    Path(sysconfig.get_path("data", scheme)) / "share" / "minidistil"
    for scheme in (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
]
ANSWER, INSTEAD, END = "# answer", "# instead", "# end"
START = 'raise NotImplementedError("your part")'


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        name: Such as "03a_softmax": the tutorial that it belongs to, a letter, what it is about.
        folder: Holds `exercises/` and `solutions/`.
    """

    name: str
    folder: Path

    @property
    def chapter(self) -> str:
        """The number of its tutorial, such as "03"."""
        return self.name[:2]

    @property
    def title(self) -> str:
        """One line of what it is about."""
        return self.task.partition("\n")[0].rstrip(".")

    @property
    def task(self) -> str:
        """What is to be done, as the learner's file begins."""
        return ast.get_docstring(ast.parse(self._marked())) or ""

    @property
    def hints(self) -> list[str]:
        """The HINTS of its checks, read without running them, which needs PyTorch.

        Raises:
            ValueError: The checks have none.
        """
        path = self.folder / "exercises" / f"{self.name}.py"
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "HINTS":
                return ast.literal_eval(node.value)
        raise ValueError(f"{path} has no HINTS")

    def start(self) -> str:
        """The file that a learner starts from."""
        return "\n".join(_lines(self._marked(), solved=False)) + "\n"

    def solution(self) -> str:
        """The file as it should be."""
        return "\n".join(_lines(self._marked(), solved=True)) + "\n"

    def wrong(self) -> dict[str, str]:
        """Answers that must be refused, by what is wrong with them.

        Raises:
            ValueError: The text that one replaces does not stand in the solution just once.
        """
        right, found = self.solution(), {}
        for why, (old, new) in self.checks().WRONG.items():
            if (count := right.count(old)) != 1:
                raise ValueError(f"{self.name}: {old!r} stands {count} times in the solution")
            found[why] = right.replace(old, new)
        return found

    def checks(self) -> Any:
        """The module with HINTS, LAWS and WRONG."""
        return run_file(self.folder / "exercises" / f"{self.name}.py")

    def _marked(self) -> str:
        path = self.folder / "solutions" / f"{self.name}.py"
        return path.read_text(encoding="utf-8")


def all_exercises() -> list[Exercise]:
    """Every exercise, in the order of the course.

    Raises:
        FileNotFoundError: They are not installed.
    """
    for folder in (ROOT, *INSTALLED):
        names = sorted(path.stem for path in (folder / "exercises").glob("[0-9]*.py"))
        if names:
            return [Exercise(name, folder) for name in names]
    places = ", ".join(map(str, (ROOT, *INSTALLED)))
    raise FileNotFoundError(
        f"there are no exercises in {places}: install minidistil anew, or from a checkout"
    )


def find(name: str) -> Exercise:
    """The exercise that a learner means by "03a", "softmax", "03a_softmax" or a file of that name.

    Raises:
        ValueError: None, or more than one.
    """
    known, wanted = all_exercises(), Path(name).stem
    for fits in (
        lambda exercise: exercise.name == wanted,
        lambda exercise: wanted in exercise.name.split("_", 1),
    ):
        found = [exercise for exercise in known if fits(exercise)]
        if len(found) == 1:
            return found[0]
    raise ValueError(f"{name!r} is none of the exercises: `minidistil learn` lists them")


def _lines(text: str, solved: bool) -> Iterator[str]:
    mode, begun = "", False
    for line in text.splitlines():
        mark = line.strip()
        if mark == ANSWER:
            mode, begun = ANSWER, False
        elif mark == INSTEAD:
            mode, begun = INSTEAD, True
        elif mark == END:
            if not solved and not begun:
                yield line.replace(END, START)
            mode = ""
        elif mode == INSTEAD and not solved:
            yield line.replace("# ", "", 1) if mark != "#" else ""
        elif mode != INSTEAD and (solved or not mode):
            yield line
