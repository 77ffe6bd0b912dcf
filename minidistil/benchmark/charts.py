"""Pictures of benchmarks, in the style of all pictures here.

    table of peers --draw_ratios--> bars;  table of sizes --draw_scaling--> lines

Not here: the numbers (`comparison.py`, `scaling.py`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minidistil.benchmark.report import Report
from minidistil.visual.pictures import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_ratios(reports: Sequence[Report]) -> "Figure":
    """The ratios of `comparison.compare` as bars, a panel a row of work; shorter is faster.

    The line on a bar goes from quartile to quartile. Who did not run has no bar.

    Args:
        reports: As `compare` returns them.

    Raises:
        ValueError: No report.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    if not reports:
        raise ValueError("no table to draw")
    names = [row["peer"] for row in reports[0].rows]
    with style.context(STYLE):
        figure = Figure(figsize=(2.2 + 2.6 * len(reports), 1.2 + 0.25 * len(names)))
        panels = figure.subplots(1, len(reports), sharey=True, squeeze=False)[0]
        for axes, report in zip(panels, reports, strict=True):
            run = [row for row in report.rows if "ratio" in row]
            middle = [row["ratio"] for row in run]
            around = [
                [row["ratio"] - row["low"] for row in run],
                [row["high"] - row["ratio"] for row in run],
            ]
            axes.barh(range(len(names)), [row.get("ratio", 0) for row in report.rows])
            places = [names.index(row["peer"]) for row in run]
            axes.errorbar(middle, places, xerr=around, fmt="none", ecolor="0.3")
            axes.axvline(1, color="0.3", linewidth=0.8)
            axes.set(title=report.title.partition(":")[0], xlabel=f"time over that of\n{names[0]}")
        panels[0].set_yticks(range(len(names)), names)
        panels[0].invert_yaxis()
    return figure


def draw_scaling(report: Report) -> "Figure":
    """Tokens a second and peak memory of `scaling.scaling` against the batch, a line a length.

    Args:
        report: As `scaling` returns it.

    Raises:
        ValueError: A table without a row.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    if not report.rows:
        raise ValueError("no row to draw")
    lines: dict[int, list[Mapping[str, Any]]] = {}
    for row in report.rows:
        lines.setdefault(row["length"], []).append(row)
    with style.context(STYLE):
        figure = Figure(figsize=(9, 3.6))
        for axes, key in zip(figure.subplots(1, 2), ("tokens/s", "peak MB"), strict=True):
            for number, (length, rows) in enumerate(lines.items()):
                shown = [row for row in rows if row[key] is not None]
                batches, values = [row["batch"] for row in shown], [row[key] for row in shown]
                # The marks differ too: a colour alone is lost on who can't tell it.
                axes.plot(batches, values, marker="osD^vP"[number % 6], label=f"{length} tokens")
                if key == "tokens/s":
                    low, high = ([row[end] for row in shown] for end in ("low", "high"))
                    axes.fill_between(batches, low, high, alpha=0.2)
            ticks = sorted({row["batch"] for row in report.rows})
            axes.set(xlabel="texts in a batch", ylabel=key, xscale="log", ylim=(0, None))
            axes.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
            axes.minorticks_off()
            axes.grid()
        figure.axes[0].legend()
    return figure
