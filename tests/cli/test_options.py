"""Options that all verbs with a model share."""

import pytest

from minidistil.cli import cli
from minidistil.cli.options import Common

SHARED = ("fill-mask", "classify", "tag", "answer", "choose", "embed", "search")


@pytest.mark.parametrize("verb", SHARED)
def test_every_verb_has_them(verb):
    names = {parameter.name for parameter in cli.commands[verb].params}
    assert names >= set(Common.__annotations__)


def test_dtype_and_attention(shell, models):
    model = ("classify", "--model", models["classifier"], "--json", "--all", "the king of Paris")
    exact = shell(*model).objects[0]["result"]
    assert shell(*model, "--attn", "eager", "--batch-size", "1").code == 0
    for dtype in ("bfloat16", "int8", "float16"):
        near = shell(*model, "--dtype", dtype).objects[0]["result"]
        assert near != exact
        assert near[0]["score"] == pytest.approx(exact[0]["score"], abs=0.05)
    assert shell(*model, "--dtype", "int4").code == 2
    run = shell(*model, "--attn", "flash")
    assert run.code == 2 and "'flash' is not one of 'sdpa', 'eager'" in run.err


def test_no_input_at_a_terminal(shell, models):
    run = shell("classify", "--model", models["classifier"], terminal=True)
    assert run.code == 2 and "there is no input: give TEXT, --file FILE, or pipe it in" in run.err
