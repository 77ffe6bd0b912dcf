"""What a learner has started, solved, and which hints were given: a JSON file in their folder."""

from dataclasses import asdict, dataclass
from pathlib import Path

from minidistil.checkpoints.files import read_json, staged, write_json

FILE = "progress.json"


@dataclass
class Progress:
    """Of one exercise.

    Attributes:
        passed: Its check passed once.
        hints: How many were shown.
        looked: The solution was shown before that.
        checked: The SHA-256 of the file that was checked last.
    """

    passed: bool = False
    hints: int = 0
    looked: bool = False
    checked: str = ""


def load(folder: Path) -> dict[str, Progress]:
    """Progress by the names of exercises; empty where there is no file.

    Raises:
        ValueError: The file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        progress = {name: Progress(**values) for name, values in read_json(path).items()}
        for name, one in progress.items():
            if [*map(type, asdict(one).values())] != [bool, int, bool, str]:
                raise ValueError(f"{name} is {asdict(one)}")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}): remove it to start anew") from error
    return progress


def save(folder: Path, progress: dict[str, Progress]) -> None:
    """Write the file; a failure leaves the old one whole."""
    with staged(folder) as scratch:
        write_json(scratch / FILE, {name: asdict(one) for name, one in progress.items()})
