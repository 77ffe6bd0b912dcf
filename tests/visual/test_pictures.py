"""Pictures show the numbers that they were given."""

from io import BytesIO

import pytest
import torch

from minidistil.visual.pictures import draw_heads, draw_maps, draw_points


def written(figure):
    """A picture that was really drawn: what cannot be rendered fails here."""
    figure.savefig(file := BytesIO(), format="png")
    assert file.getvalue().startswith(b"\x89PNG")
    return figure.axes


def test_maps():
    first, second = torch.rand(2, 3, 3).softmax(-1)
    axes = written(draw_maps({"a": first, "b": second}, ["[CLS]", "$5", "$x$"]))
    assert [panel.get_title() for panel in axes] == ["a", "b"]
    for panel, weights in zip(axes, (first, second), strict=True):
        assert torch.equal(torch.tensor(panel.images[0].get_array()), weights)
        assert panel.images[0].get_clim() == (0, 1)
        # A dollar is a dollar, not the begin of a formula.
        assert [label.get_text() for label in panel.get_yticklabels()] == [
            "[CLS]", r"\$5", r"\$x\$",
        ]  # fmt: skip


def test_heads():
    values = torch.tensor([[0.1, 0.9], [0.5, -0.25], [0.0, 1.0]])
    table, bar = written(draw_heads(values, "drop of the answer"))
    assert [text.get_text() for text in table.texts] == ["0.1", "0.9", "0.5", "-0.25", "0", "1"]
    assert torch.equal(torch.tensor(table.images[0].get_array()), values)
    assert (table.get_ylabel(), bar.get_ylabel()) == ("layer", "drop of the answer")
    many, _ = written(draw_heads(torch.zeros(2, 17), "none"))
    assert not many.texts


def test_points_keep_their_distances_where_a_plane_can():
    torch.manual_seed(0)
    plane = torch.linalg.qr(torch.randn(8, 2))[0].T  # two directions in eight dimensions
    flat = torch.randn(7, 2)
    rows = flat @ plane + torch.randn(8)
    named = dict(zip("stuvxyz", rows, strict=True))
    groups = {
        label: {name: named[name] for name in names}
        for label, names in (("a", "stuv"), ("b", "xyz"))
    }
    (axes,) = written(draw_points(groups))
    shown = torch.cat([torch.tensor(dots.get_offsets().data) for dots in axes.collections]).float()
    assert torch.allclose(torch.cdist(shown, shown), torch.cdist(flat, flat), atol=1e-4)
    assert [text.get_text() for text in axes.texts] == [*"stuvxyz"]
    shares = [
        int(text.split("%")[0].split()[-1]) for text in (axes.get_xlabel(), axes.get_ylabel())
    ]
    assert shares[0] >= shares[1] > 0 and sum(shares) in (99, 100, 101)


def test_errors():
    with pytest.raises(ValueError, match="no map to draw"):
        draw_maps({}, ["a"])
    with pytest.raises(ValueError, match=r"'x' is \(2, 3\), 3 tokens need \(3, 3\)"):
        draw_maps({"x": torch.zeros(2, 3)}, ["a", "b", "c"])
    with pytest.raises(ValueError, match=r"\(L, H\), got \(3,\)"):
        draw_heads(torch.zeros(3), "x")
    with pytest.raises(ValueError, match="with one that is not"):
        draw_heads(torch.tensor([[float("nan"), 1.0]]), "x")
    point = torch.zeros(4)
    with pytest.raises(ValueError, match="one a group: no group"):
        draw_points({})
    with pytest.raises(ValueError, match="'b' has 0"):
        draw_points({"a": {"x": point, "y": point, "z": point}, "b": {}})
    with pytest.raises(ValueError, match="all 3 vectors are the same"):
        draw_points({"a": {"x": point, "y": point, "z": point}})
