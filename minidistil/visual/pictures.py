"""Still pictures of a model: what a head reads, layer by head, and vectors as points in a plane.

    model(..., output_attentions=True) -> attentions --draw_maps--> who reads whom
    one number a head                                --draw_heads--> a table in colours
    vectors with names                               --draw_points--> who lies beside whom

All are in one style (`style.mplstyle`); `matplotlib.style.use("minidistil.visual.style")` gives it
to pictures of your own. Each function returns a figure: `figure.savefig("heads.png")`.

Not here: losses (`curves.py`), bytes and roofs of a kernel (`minidistil_kernels.lab`), pages to
click in (`explorer.py`, `tiles.py`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = "minidistil.visual.style"
# More heads than this, and a number no longer fits into its cell.
NUMBERS_UP_TO = 16


def draw_maps(maps: Mapping[str, Float[Tensor, "S S"]], tokens: Sequence[str]) -> "Figure":
    """Attention maps beside one another: a row reads, a column is read, darker is more.

    Args:
        maps: Title to weights; a row of weights sums to 1.
        tokens: The S tokens.

    Raises:
        ValueError: No map, or one that is not (S, S).
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    count = len(tokens)
    if not maps:
        raise ValueError("no map to draw: give a title and weights of (S, S)")
    for title, weights in maps.items():
        if weights.shape != (count, count):
            raise ValueError(
                f"the map {title!r} is {tuple(weights.shape)}, {count} tokens need "
                f"({count}, {count})"
            )
    with style.context(STYLE):
        side = 1.6 + 0.2 * count
        figure = Figure(figsize=(side * len(maps), side + 0.4))
        panels = figure.subplots(1, len(maps), squeeze=False)[0]
        for axes, (title, weights) in zip(panels, maps.items(), strict=True):
            axes.imshow(weights.detach().float().cpu().numpy(), vmin=0, vmax=1)
            axes.set(title=title, xlabel="key: is read", ylabel="query: reads")
            axes.set_xticks(range(count), _plain(tokens), rotation=90)
            axes.set_yticks(range(count), _plain(tokens))
    return figure


def draw_heads(values: Float[Tensor, "L H"], label: str) -> "Figure":
    """One number of each head, as a table in colours: a row is a layer.

    Args:
        values: (L, H), finite.
        label: What the numbers are, with their unit.

    Raises:
        ValueError: Not two dimensions, or a number that is not finite.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    if values.ndim != 2 or not values.numel() or not values.isfinite().all():
        raise ValueError(
            f"values must be finite numbers of (L, H), got {tuple(values.shape)}"
            f"{'' if values.isfinite().all() else ' with one that is not'}"
        )
    table = values.detach().float().cpu().numpy()
    layers, heads = table.shape
    with style.context(STYLE):
        figure = Figure(figsize=(1.8 + 0.55 * heads, 1.2 + 0.45 * layers))
        axes = figure.subplots()
        picture = axes.imshow(table, aspect="auto")
        figure.colorbar(picture, label=label)
        if heads <= NUMBERS_UP_TO:
            middle = (table.min() + table.max()) / 2
            for layer, row in enumerate(table):
                for head, value in enumerate(row):
                    shade = "white" if value > middle else "black"
                    axes.text(
                        head, layer, f"{value:.2g}", color=shade, ha="center", va="center", size=8
                    )
        axes.set(xlabel="head", ylabel="layer")
        axes.set_xticks(range(heads))
        axes.set_yticks(range(layers))
    return figure


def draw_points(groups: Mapping[str, Mapping[str, Float[Tensor, " D"]]]) -> "Figure":
    """Vectors as points in the plane that keeps most of their differences.

    The plane is that of the first two principal components: of all planes, distances between the
    points' shadows on it are closest to those between the vectors. The axes say how much of the
    differences (the variance) each keeps. What lies far apart is far apart; what lies together may
    only look so.

    Args:
        groups: A colour's label to its vectors by name, such as {"towns": {"paris": vector}}.

    Raises:
        ValueError: Fewer than three vectors, or all of them the same.

    Source: Pearson 1901, "On lines and planes of closest fit to systems of points in space".
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    vectors = [vector for members in groups.values() for vector in members.values()]
    if len(vectors) < 3 or not all(groups.values()):
        sizes = ", ".join(f"{label!r} has {len(members)}" for label, members in groups.items())
        raise ValueError(f"three vectors make a plane and one a group: {sizes or 'no group'}")
    rows = torch.stack(vectors).detach().float().cpu()
    centred = rows - rows.mean(0)
    _, lengths, axes_of = torch.linalg.svd(centred, full_matrices=False)
    if not lengths[0]:
        raise ValueError(f"all {len(vectors)} vectors are the same: there is no plane to see")
    flat, kept = centred @ axes_of[:2].T, lengths.square() / lengths.square().sum()
    with style.context(STYLE):
        figure = Figure(figsize=(7, 4.6))
        axes = figure.subplots()
        places = iter(flat.tolist())
        for number, (label, members) in enumerate(groups.items()):
            part = [next(places) for _ in members]
            # The marks differ too: a colour alone is lost on who can't tell it.
            axes.scatter(*zip(*part, strict=True), label=label, marker="osD^vP"[number % 6])
            for name, (x, y) in zip(members, part, strict=True):
                axes.annotate(
                    _plain([name])[0], (x, y), xytext=(5, 3), textcoords="offset points", size=8
                )
        axes.set(
            xlabel=f"first component, {kept[0]:.0%} of the differences",
            ylabel=f"second, {kept[1]:.0%}",
        )
        axes.legend()
    return figure


def _plain(names: Sequence[str]) -> list[str]:
    """Matplotlib takes what is between two dollars for mathematics; a token is none."""
    return [name.replace("$", r"\$") for name in names]
