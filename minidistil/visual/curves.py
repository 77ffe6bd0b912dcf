"""Curves of a training run, drawn from its log.

    run/log.jsonl --draw_curves--> a figure: every loss, the learning rate

Not here: the log (`minidistil.training.log`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minidistil.training.log import read_log
from minidistil.visual.pictures import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_LOSSES = {"step", "grad_norm", "learning_rate", "tokens", "tokens_per_second"}


def draw_curves(runs: Mapping[str, str | Path]) -> "Figure":
    """Every loss of one or more runs against the step.

    Args:
        runs: Label of a run to its folder.

    Raises:
        ValueError: A run has no log, or an empty one.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    logs = {label: read_log(Path(folder) / "log.jsonl") for label, folder in runs.items()}
    for label, log in logs.items():
        if not log:
            raise ValueError(f"the run {label!r} in {runs[label]} has no line in its log.jsonl")
    firsts = dict.fromkeys(name for log in logs.values() for name in log[0])
    shown: Sequence[str] = [*(name for name in firsts if name not in NO_LOSSES), "learning_rate"]
    with style.context(STYLE):
        figure = Figure(figsize=(7, 2 * len(shown)))
        panels = figure.subplots(len(shown), sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(panels, shown, strict=True):
            for label, log in logs.items():
                lines = [line for line in log if name in line]
                steps, values = [line["step"] for line in lines], [line[name] for line in lines]
                axes.plot(steps, values, label=label)
            axes.set_ylabel(name.replace("_", " "))
            axes.grid()
        panels[0].legend()
        panels[-1].set_xlabel("step")
    return figure
