"""How laws are tried and what is said of the outcome, on laws about numbers."""

import json
import sys
from dataclasses import dataclass

import pytest
from hypothesis import assume
from hypothesis import strategies as st

from minidistil_kernels.testing import accuracy
from minidistil_kernels.testing.report import Law, Report, Result, try_laws


@dataclass(frozen=True)
class Case:
    n: int = 0


CASES = st.builds(Case, n=st.integers(0, 1000))


def keeps_order(fn, case):
    """A larger number has a larger image."""
    if not fn(case.n + 1) > fn(case.n):  # pytest would add to the message of an assert
        raise AssertionError(f"f({case.n + 1}) is not above f({case.n})")


LAW = Law(keeps_order, CASES)


def test_a_law_that_holds():
    result = LAW.try_on(lambda n: 2 * n)
    assert result == Result("A larger number has a larger image", True)
    assert str(result) == "  holds  A larger number has a larger image"


def test_the_smallest_case_is_shown():
    """min(n, 200) stops rising at 200, however large the number drawn first."""
    result = LAW.try_on(lambda n: min(n, 200))
    assert not result.holds
    assert result.smallest_case == "Case(n=200)"
    assert result.reason == "AssertionError: f(201) is not above f(200)"
    assert str(result).splitlines() == [
        "  FAILS  A larger number has a larger image",
        "         case: Case(n=200)",
        "         AssertionError: f(201) is not above f(200)",
    ]


def test_the_number_of_examples():
    calls = []
    assert LAW.try_on(lambda n: calls.append(n) or n, examples=7).holds
    assert len(calls) == 2 * 7


def test_hard_cases_are_always_tried():
    calls = []
    law = Law(keeps_order, CASES, hard=(Case(5000), Case(6000)))
    assert law.try_on(lambda n: calls.append(n) or n, examples=1).holds
    assert calls[:4] == [5001, 5000, 6001, 6000] and len(calls) == 6


def test_a_hard_case_is_shown_where_no_smaller_one_fails():
    law = Law(keeps_order, CASES, hard=(Case(5000), Case(6000)))
    assert law.try_on(lambda n: min(n, 4000)).smallest_case == "Case(n=5000)"
    assert law.try_on(lambda n: min(n, 200)).smallest_case == "Case(n=200)"


def test_the_same_cases_in_every_run():
    first, second = [], []
    for calls in (first, second):
        LAW.try_on(lambda n, calls=calls: calls.append(n) or n, examples=20)
    assert first == second and len(set(first)) > 10


def exit_(n):
    sys.exit("enough")


@pytest.mark.parametrize(
    ("fn", "reason"),
    [
        (lambda n: 1 // (n - n), "ZeroDivisionError: integer division or modulo by zero"),
        (lambda n: None, "TypeError: '>' not supported between instances"),
        (lambda: 0, "TypeError: "),
        (exit_, "SystemExit: enough"),
    ],
)
def test_whatever_is_raised_is_reported(fn, reason):
    result = LAW.try_on(fn, examples=3)
    assert not result.holds
    assert result.reason.startswith(reason)
    assert result.smallest_case == "Case(n=0)"


def test_a_function_cannot_reject_its_cases():
    """What Hypothesis takes for "another case, please" is a failure of the function here."""
    result = LAW.try_on(lambda n: assume(False), examples=3)
    assert not result.holds and result.reason.startswith("UnsatisfiedAssumption"), result


def test_a_function_that_fails_only_at_times():
    """Right whenever it is asked again: still a failure, and with the reason of that one time."""
    calls = iter(range(10**6))
    result = LAW.try_on(lambda n: -n if next(calls) == 8 else n, examples=20)
    assert not result.holds
    assert result.reason.startswith("AssertionError: f(")


def test_a_law_without_cases_is_not_one_that_holds():
    with pytest.raises(Exception, match="[Uu]nsatisfiable|Unable to satisfy"):
        Law(keeps_order, CASES.filter(lambda case: False)).try_on(lambda n: n)


def errors_of(yours, pytorch=1e-7, bound=1e-6):
    return [accuracy.Errors("output 0", "float32", yours, pytorch, bound)]


def test_a_report():
    def double(n):
        return 2 * n

    report = try_laws("doubling", double, [LAW], lambda fn, case: errors_of(5e-7), [Case(5)], 5)
    assert report.holds
    assert str(report).splitlines() == [
        "doubling(double): 2 of 2 laws hold",
        "  holds  A larger number has a larger image",
        "  holds  Equals the reference, forward and backward, at a typical size",
        "largest error against float64: yours, and plain PyTorch's in the same dtype",
        "  float32   output 0             5.0e-07   PyTorch 1.0e-07",
    ]
    assert report.to_dict()["results"][0] == {
        "sentence": "A larger number has a larger image",
        "holds": True,
        "smallest_case": None,
        "reason": None,
    }


def test_an_error_at_a_typical_size_is_a_failure():
    """Every random case holds, the typical ones are too large: the first is shown."""

    def measure(fn, case):
        return errors_of(case.n * 1e-6)

    report = try_laws("doubling", abs, [LAW], measure, [Case(1), Case(2), Case(3)], 5)
    assert not report.holds and report.results[0].holds
    assert report.results[1].smallest_case == "Case(n=2)"
    assert "output 0 in float32: error 2.00e-06 > 1.00e-06" in report.results[1].reason
    assert len(report.errors) == 3


def test_a_function_that_cannot_run_at_a_typical_size():
    def measure(fn, case):
        raise MemoryError("too large")

    report = try_laws("doubling", abs, [LAW], measure, [Case(9)], 5)
    assert not report.holds and report.errors == []
    assert report.results[1].reason == "MemoryError: too large"
    assert "largest error" not in str(report)


@pytest.mark.parametrize("error", [float("nan"), float("inf")])
def test_the_report_of_an_infinite_error_is_json(error):
    report = Report("f", [], errors_of(error))
    read = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert read["errors"][0]["yours"] is None and read["errors"][0]["pytorch"] == 1e-7
    assert str(error) in str(report)
