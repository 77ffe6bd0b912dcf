"""Whatever somebody's function does, every check returns a report that can be read."""

import json

import pytest
import torch

from minidistil.ops import resolve_attention
from minidistil_kernels import reference, testing
from tests.kernels.testing.wrong import changed

EAGER = resolve_attention("eager")
RIGHT = {
    name: EAGER.padded if name == "attention" else getattr(reference, name)
    for name in (check.removeprefix("check_") for check in testing.__all__ if check != "Report")
}


def divides_by_zero(*args, **kwargs):
    return 1 / 0


def exits(*args, **kwargs):
    raise SystemExit(3)


def returns_nothing(*args, **kwargs):
    return None


def returns_a_number(*args, **kwargs):
    return 0.5


BAD = {
    divides_by_zero: "ZeroDivisionError: division by zero",
    exits: "SystemExit: 3",
    returns_nothing: "returned NoneType, not ",
    returns_a_number: "returned float, not ",
}


@pytest.mark.parametrize("op", RIGHT)
@pytest.mark.parametrize("bad", BAD)
def test_a_function_that_cannot_be_tried(op, bad):
    """No crash: each law says why it fails, and on what. It never got as far as an error."""
    report = getattr(testing, f"check_{op}")(bad, examples=1)
    assert report.name == f"{op}({bad.__name__})"
    assert report.errors == [] and not any(result.holds for result in report.results), report
    assert all("Case(" in result.smallest_case for result in report.results)
    reasons = [result.reason for result in report.results]
    assert any(BAD[bad] in reason for reason in reasons), reasons
    assert f"0 of {len(reasons)} laws hold" in str(report)
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize("op", RIGHT)
@pytest.mark.parametrize(
    ("change", "fails"),
    [
        (lambda x: x[None], "Returns "),
        (lambda x: x.double(), "Returns "),
        (lambda x: x.detach(), "The same call gives the same bits"),
        (lambda x: x * float("nan"), "Equals the reference"),
    ],
    ids=["another shape", "another dtype", "no gradient", "NaN"],
)
def test_a_result_changed(op, change, fails):
    report = getattr(testing, f"check_{op}")(changed(RIGHT[op], change), examples=1)
    assert not report.holds
    failed = {result.sentence for result in report.results if not result.holds}
    assert any(sentence.startswith(fails) for sentence in failed), failed
    json.dumps(report.to_dict(), allow_nan=False)


def modifies_float_inputs(fn):
    def wrong(*args, **kwargs):
        for x in [*args, *kwargs.values()]:
            if torch.is_tensor(x) and x.is_floating_point():
                x.mul_(2)
        return fn(*args, **kwargs)

    return wrong


@pytest.mark.parametrize("op", RIGHT)
def test_a_function_that_modifies_its_inputs(op):
    """Seen by autograd or not, it is reported and spoils nothing for the next law."""
    wrong = modifies_float_inputs(RIGHT[op])
    for function in (wrong, torch.no_grad()(wrong)):
        report = getattr(testing, f"check_{op}")(function, examples=1)
        (result,) = (r for r in report.results if r.sentence.startswith("Leaves its inputs"))
        assert not result.holds and not report.holds


@pytest.mark.parametrize("op", RIGHT)
def test_a_law_is_one_sentence(op):
    """Students read it: one line, no two alike."""
    packed = {"packed": EAGER.packed} if op == "attention" else {}
    report = getattr(testing, f"check_{op}")(RIGHT[op], examples=1, **packed)
    sentences = [result.sentence for result in report.results]
    assert len(set(sentences)) == len(sentences) >= 8
    for sentence in sentences:
        assert len(sentence) > 15 and "\n" not in sentence and not sentence.endswith("."), sentence
