"""What a run tells while it goes: JSON lines on disk, a progress bar, TensorBoard if wanted.

    run/log.jsonl   {"step": 100, "loss": 3.21, "learning_rate": 4.9e-04, ...}

There is a line every so many steps and one at each checkpoint. A resumed run drops the lines that
its checkpoint does not know of, so the file reads as if nothing had happened.

Not here: the curves drawn from it (`minidistil.visual.curves`).
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from tqdm import tqdm

from minidistil.checkpoints.files import staged


class RunLog:
    """The log of one run: a line every so many steps, with the means since the last."""

    def __init__(
        self, folder: Path, steps: int, done: int, every: int, tensorboard: bool = False
    ) -> None:
        """Open the log.

        Args:
            folder: Of the run.
            steps: How many the run will have taken at its end.
            done: How many were taken before; lines of later ones are dropped.
            every: Steps to a line.
            tensorboard: Also write event files for TensorBoard.

        Raises:
            ValueError: TensorBoard is wanted and not installed, or `log.jsonl` is something else.
        """
        self.path = folder / "log.jsonl"
        self.every = every
        lines = read_log(self.path)
        if not all("step" in line for line in lines):
            raise ValueError(f"{self.path} is not a log of a training run: a line has no step")
        kept = [json.dumps(line) + "\n" for line in lines if line["step"] <= done]
        with staged(folder) as scratch:
            (scratch / self.path.name).write_text("".join(kept), encoding="utf-8")
        self._file = self.path.open("a", encoding="utf-8")
        self._bar = tqdm(total=steps, initial=done, unit="step", disable=None)
        self._board = _summary_writer(folder) if tensorboard else None
        self._sums: Counter[str] = Counter()
        self._count, self._start = 0, time.perf_counter()

    def add(self, step: int, measured: Mapping[str, float]) -> None:
        """Take in what step number `step`, counted from 1, measured; "tokens" become a speed."""
        self._sums.update(measured)
        self._count += 1
        self._bar.update()
        if step % self.every == 0:
            self.write(step)

    def write(self, step: int) -> None:
        """Write a line, if there was a step since the last."""
        if not self._count:
            return
        line = {name: value / self._count for name, value in self._sums.items()}
        speed = self._sums["tokens"] / (time.perf_counter() - self._start)
        line = {"step": step, **line, "tokens_per_second": speed}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        self._bar.set_postfix({name: f"{line[name]:.4g}" for name in [*self._sums][:-1]})
        if self._board is not None:
            for name, value in line.items():
                self._board.add_scalar(name, value, step)
        self._sums.clear()
        self._count, self._start = 0, time.perf_counter()

    def close(self) -> None:
        """Close the files."""
        self._bar.close()
        self._file.close()
        if self._board is not None:
            self._board.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; none where there is no file. A last line cut off by a crash is left out.

    Raises:
        ValueError: Another line is no JSON object.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    try:
        found = [json.loads(line) for line in whole]
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not a log of a training run: {error}") from error
    if not all(isinstance(line, dict) for line in found):
        raise ValueError(f"{path} is not a log of a training run: a line is no JSON object")
    return found


def _summary_writer(folder: Path) -> Any:
    # TensorBoard imports TensorFlow where it is installed: seconds, for nothing that is used here,
    # and an LLVM beside which Triton's can't be loaded any more. This is its switch against that.
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError("TensorBoard is not installed: pip install 'minidistil[train]'") from error
    return SummaryWriter(str(folder / "tensorboard"))
