"""The drawings show the numbers they were given."""

import pytest

from minidistil_kernels.lab import GPUS, Counts, Traffic, draw_bytes, draw_roofline

NAIVE = Traffic({"three": Counts(bytes_loaded=6_000_000, unique_loaded=4_000_000, flops_dot=10**7)})
FUSED = Traffic({"one": Counts(bytes_loaded=1_000_000, unique_loaded=1_000_000, flops_dot=10**7)})
RUNS = {"naive": NAIVE, "fused": FUSED}


def test_the_bars_are_megabytes_with_the_first_run_on_top():
    (axes,) = draw_bytes(RUNS, lower_bound=1_000_000).axes
    requested, unique = axes.containers
    assert [bar.get_width() for bar in requested] == [6.0, 1.0]
    assert [bar.get_width() for bar in unique] == [4.0, 1.0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["naive", "fused"]
    assert axes.yaxis_inverted()
    assert axes.lines[0].get_xdata() == [1.0, 1.0]
    assert not draw_bytes(RUNS).axes[0].lines


@pytest.mark.parametrize("gpu", list(GPUS))
def test_each_run_lies_on_the_roof(gpu):
    peak = GPUS[gpu]
    (axes,) = draw_roofline(RUNS, gpu).axes
    lines = {str(line.get_label()): line for line in axes.lines}
    assert list(lines["naive"].get_xdata()) == [10 / 6, 10 / 4]  # FLOP per byte
    assert list(lines["fused"].get_xdata()) == [10, 10]
    for label in RUNS:
        x, y = lines[label].get_xdata(), lines[label].get_ydata()
        assert list(y) == pytest.approx([min(peak.half, i * peak.bandwidth) / 1e12 for i in x])
    tensor_roof = axes.lines[0].get_ydata()
    assert max(tensor_roof) == pytest.approx(peak.half / 1e12)
    assert gpu in axes.get_title()


def test_the_table_is_plausible():
    for gpu in GPUS.values():
        assert 1e11 < gpu.bandwidth < gpu.fp32 < gpu.half < 1e15
        # Every one of them needs tens of operations per byte before arithmetic is the limit.
        assert 50 < gpu.half / gpu.bandwidth < 500


def test_what_has_no_place_under_a_roof():
    with pytest.raises(ValueError, match=r"gpu is 'A1000'; the table knows T4, A100"):
        draw_roofline(RUNS, "A1000")
    copy = Traffic({"copy": Counts(bytes_loaded=8)})
    with pytest.raises(ValueError, match=r"run 'copy' has 8 bytes and 0 FLOPs"):
        draw_roofline({"copy": copy})
