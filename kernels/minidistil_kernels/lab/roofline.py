"""Two drawings of what `meter` counted: the bytes as bars, and the roofline.

The roofline model: a kernel that does F operations and moves B bytes runs at most at

    min(peak FLOP/s, F / B * peak bytes/s)

Left of the ridge, where F / B = peak FLOP/s / peak bytes/s, memory sets the limit and fewer bytes
make a kernel faster; right of it, arithmetic does. A run has a span of F / B: its lower end if
every requested byte comes from memory, its upper end if only the unique ones do. It is drawn on the
roof, where no kernel quite gets: a limit, not a measurement.

Source: Williams, Waterman and Patterson 2009, "Roofline", doi 10.1145/1498765.1498785.
Not here: times, which only a GPU has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minidistil_kernels.lab.meter import Traffic

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Gpu:
    """Peak numbers of a GPU, from its maker.

    Attributes:
        bandwidth: Bytes/s of device memory.
        fp32: FLOP/s in float32, on the general cores.
        half: FLOP/s of dots in float16 on the tensor cores, accumulating in float32, dense (data
            sheets print twice that, "with sparsity"). bfloat16 is as fast, where there is any.
    """

    bandwidth: float
    fp32: float
    half: float


GPUS: dict[str, Gpu] = {
    # NVIDIA T4 Tensor Core GPU datasheet. Has no bfloat16.
    "T4": Gpu(bandwidth=320e9, fp32=8.1e12, half=65e12),
    # NVIDIA A100 Tensor Core GPU datasheet, A100 80GB SXM.
    "A100": Gpu(bandwidth=2039e9, fp32=19.5e12, half=312e12),
    # NVIDIA L4 Tensor Core GPU datasheet: 242 TFLOPS with sparsity.
    "L4": Gpu(bandwidth=300e9, fp32=30.3e12, half=121e12),
    # NVIDIA H100 Tensor Core GPU datasheet, H100 SXM: 1979 TFLOPS with sparsity.
    "H100": Gpu(bandwidth=3.35e12, fp32=67e12, half=989e12),
    # NVIDIA Ada GPU Architecture whitepaper, appendix on the GeForce RTX 4090.
    "RTX 4090": Gpu(bandwidth=1008e9, fp32=82.6e12, half=165.2e12),
}


def draw_bytes(runs: Mapping[str, Traffic], lower_bound: int | None = None) -> "Figure":
    """Bars: the bytes each run requests, in full colour the unique ones among them.

    Args:
        runs: Label to what was metered, such as {"naive": ..., "fused": ...}.
        lower_bound: Bytes: every input read once and every output written once; a line.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.2 + 0.6 * len(runs)), layout="constrained")
    axes = figure.subplots()
    labels = list(runs)
    requested = [traffic.total.requested / 1e6 for traffic in runs.values()]
    unique = [traffic.total.unique / 1e6 for traffic in runs.values()]
    axes.barh(labels, requested, color="tab:blue", alpha=0.4, label="requested")
    axes.barh(labels, unique, color="tab:blue", label="unique per launch")
    if lower_bound is not None:
        axes.axvline(lower_bound / 1e6, color="black", linestyle="--", label="lower bound")
    axes.invert_yaxis()  # the first run on top
    axes.set_xlabel("traffic / MB")
    axes.legend()
    return figure


def draw_roofline(runs: Mapping[str, Traffic], gpu: str = "A100") -> "Figure":
    """Each run under the roofs of a GPU.

    Args:
        runs: Label to what was metered.
        gpu: A name in `GPUS`.

    Raises:
        ValueError: An unknown GPU, or a run without traffic or FLOPs, which has no place there.
    """
    from matplotlib.figure import Figure

    if gpu not in GPUS:
        raise ValueError(f"gpu is {gpu!r}; the table knows {', '.join(GPUS)}")
    for label, traffic in runs.items():
        if not traffic.total.requested or not traffic.total.flops:
            raise ValueError(
                f"run {label!r} has {traffic.total.requested} bytes and {traffic.total.flops} "
                "FLOPs: a roofline needs both"
            )
    peak = GPUS[gpu]
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    spans = {
        label: np.array([t.total.flops / t.total.requested, t.total.flops / t.total.unique])
        for label, t in runs.items()
    }
    ridge = peak.half / peak.bandwidth
    intensity = np.geomspace(
        min(0.1, *(span[0] / 2 for span in spans.values())),
        max(10 * ridge, *(span[1] * 2 for span in spans.values())),
        200,
    )
    for name, flops in (("float16 tensor cores", peak.half), ("float32", peak.fp32)):
        roof = np.minimum(flops, intensity * peak.bandwidth)
        axes.loglog(intensity, roof / 1e12, color="black", linewidth=1)
        axes.annotate(
            f"{name}: {flops / 1e12:g} TFLOP/s", (intensity[-1], flops / 1e12), ha="right",
            va="bottom",
        )  # fmt: skip
    for label, span in spans.items():
        limit = np.minimum(peak.half, span * peak.bandwidth) / 1e12
        axes.plot(span, limit, marker="o", linewidth=3, label=label)
    axes.set_xlabel("FLOP per byte: all requested bytes ... unique bytes")
    axes.set_ylabel("at most / TFLOP/s")
    axes.set_title(f"{gpu}, {peak.bandwidth / 1e9:g} GB/s")
    axes.legend(loc="lower right")
    return figure
