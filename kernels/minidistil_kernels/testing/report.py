"""Laws that an operation must obey, how they are tried, and what is said of the outcome.

A `Law` is a source of cases (a hypothesis strategy) and a function that raises AssertionError where
an operation breaks it; the first line of that function's docstring says what holds, in words.
A few hard cases are fixed, so that whether they are tried is not a matter of luck; Hypothesis then
draws more, and when one fails looks for the smallest that still fails: that is shown.

Not here: the laws themselves (one file an operation) and how errors are measured (`accuracy.py`).
"""

import math
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from minidistil_kernels.testing.accuracy import Errors, assert_accurate

# Somebody's function can raise anything at all. A law raises AssertionError.
FAILURES = (Exception, SystemExit)

SETTINGS = settings(
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    # Explaining a failure reruns it many times; shrinking already finds the smallest case.
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Law:
    """One sentence about an operation that can be tried.

    Attributes:
        check: `check(fn, case)` raises AssertionError where `fn` breaks the law; its docstring is
            the sentence.
        cases: Where the cases come from. A case is a small dataclass that makes its tensors.
        hard: Cases that are tried first, always.
        subject: Stands before the sentence, where it is said of something else, too.
    """

    check: Callable[[Callable[..., Any], Any], None]
    cases: SearchStrategy[Any]
    hard: Sequence[Any] = ()
    subject: str = ""

    @property
    def sentence(self) -> str:
        """What holds, in words."""
        return self.subject + str(self.check.__doc__).strip().rstrip(".")

    def try_on(self, fn: Callable[..., Any], examples: int = 20) -> "Result":
        """Try the law on `fn` with the hard cases, then with this many random ones.

        Whatever `fn` raises counts as a failure, since `fn` is anybody's.
        """
        failures: list[Result] = []

        def attempt(case: Any) -> None:
            try:
                self.check(fn, case)
            except FAILURES as error:
                failures.append(Result.failed(self.sentence, case, error))
                raise

        # A seed of its own: else all laws would see the same few cases.
        @seed(zlib.crc32(self.sentence.encode()))
        @settings(SETTINGS, max_examples=examples)
        @given(case=self.cases)
        def random_cases(case: Any) -> None:
            attempt(case)

        def hard_cases() -> None:
            for case in self.hard:
                attempt(case)

        # Random cases even where a hard one fails: a smaller one may fail, too.
        for trial in (hard_cases, random_cases):
            try:
                with warnings.catch_warnings():
                    # NumPy's, on the NaN and the infinities that laws bring on purpose.
                    warnings.simplefilter("ignore", RuntimeWarning)
                    trial()
            except FAILURES:
                if not failures:  # Hypothesis itself gave up
                    raise
        # The smallest failing case comes last. A function that fails only at times fails, too.
        return failures[-1] if failures else Result(self.sentence, True)


@dataclass(frozen=True)
class Result:
    """What came of one law: whether it held, else the smallest case found and what it raised."""

    sentence: str
    holds: bool
    smallest_case: str | None = None
    reason: str | None = None

    @classmethod
    def failed(cls, sentence: str, case: Any, error: BaseException) -> "Result":
        """The outcome of a law that raised `error` on `case`."""
        return cls(sentence, False, repr(case), f"{type(error).__name__}: {error}")

    def __str__(self) -> str:
        if self.holds:
            return f"  holds  {self.sentence}"
        reason = str(self.reason).strip().replace("\n", "\n         ")
        return f"  FAILS  {self.sentence}\n         case: {self.smallest_case}\n         {reason}"


@dataclass(frozen=True)
class Report:
    """What came of every law, and how far `fn` is from the exact result."""

    name: str
    results: list[Result]
    errors: list[Errors]

    @property
    def holds(self) -> bool:
        """Whether every law held."""
        return all(result.holds for result in self.results)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values. JSON has no NaN or infinity: such an error is None."""
        errors = [
            asdict(error) | {"yours": error.yours if math.isfinite(error.yours) else None}
            for error in self.errors
        ]
        return {"holds": self.holds} | asdict(self) | {"errors": errors}

    def __str__(self) -> str:
        held = sum(result.holds for result in self.results)
        lines = [f"{self.name}: {held} of {len(self.results)} laws hold", *map(str, self.results)]
        if self.errors:
            lines.append(
                "largest error against float64: yours, and plain PyTorch's in the same dtype"
            )
            lines.extend(map(str, self.errors))
        return "\n".join(lines)


def try_laws(
    name: str,
    fn: Callable[..., Any],
    laws: Sequence[Law],
    measure: Callable[[Callable[..., Any], Any], list[Errors]],
    typical: Sequence[Any],
    examples: int,
) -> Report:
    """Try every law on `fn`, then hold its errors on typical cases, larger than random ones.

    Args:
        name: The operation's.
        fn: Anybody's function.
        laws: What it must obey.
        measure: `measure(fn, case)` gives its errors on one case.
        typical: Cases of the size that the operation meets in a model.
        examples: Random cases a law.
    """
    results = [law.try_on(fn, examples) for law in laws]
    errors: list[Errors] = []
    typically = Result("Equals the reference, forward and backward, at a typical size", True)
    for case in typical:
        try:
            measured = measure(fn, case)
            errors.extend(measured)
            assert_accurate(measured)
        except FAILURES as error:
            if typically.holds:  # the first failure is shown
                typically = Result.failed(typically.sentence, case, error)
    report_name = f"{name}({getattr(fn, '__name__', fn)})"
    return Report(report_name, [*results, typically], errors)
