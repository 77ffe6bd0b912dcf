"""Laws that an operation must obey, how they are tried, and what is said of the outcome.

A `Law` is a source of cases (a hypothesis strategy) and a function that raises AssertionError where
an operation breaks it; the first line of that function's docstring says what holds, in words.
Hypothesis draws cases, and when one fails looks for the smallest that still fails: that is shown.

Not here: the laws themselves (one file an operation) and how errors are measured (`accuracy.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from minidistil_kernels.testing.accuracy import Errors

SETTINGS = settings(
    derandomize=True,  # the same cases in every run
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
    """

    check: Callable[[Callable[..., Any], Any], None]
    cases: SearchStrategy[Any]

    @property
    def sentence(self) -> str:
        """What holds, in words."""
        return str(self.check.__doc__).strip().rstrip(".")

    def try_on(self, fn: Callable[..., Any], examples: int = 20) -> "Result":
        """Try the law on `fn` with this many random cases.

        Whatever `fn` raises counts as a failure, since `fn` is anybody's.
        """
        tried: list[Any] = []

        @settings(SETTINGS, max_examples=examples)
        @given(case=self.cases)
        def trial(case: Any) -> None:
            tried.append(case)
            self.check(fn, case)

        try:
            trial()
        except Exception as error:  # anything at all can come out of somebody's function
            # Hypothesis runs the smallest failing case last.
            reason = f"{type(error).__name__}: {error}"
            return Result(self.sentence, False, repr(tried[-1]), reason)
        return Result(self.sentence, True)


@dataclass(frozen=True)
class Result:
    """What came of one law: whether it held, else the smallest case found and what it raised."""

    sentence: str
    holds: bool
    smallest_case: str | None = None
    reason: str | None = None

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
        """The report as plain values, for JSON."""
        return {"holds": self.holds} | asdict(self)

    def __str__(self) -> str:
        held = sum(result.holds for result in self.results)
        lines = [f"{self.name}: {held} of {len(self.results)} laws hold", *map(str, self.results)]
        if self.errors:
            lines.append("largest error against the float64 reference, yours and PyTorch's own")
            lines.extend(map(str, self.errors))
        return "\n".join(lines)


def try_laws(
    name: str,
    fn: Callable[..., Any],
    laws: Sequence[Law],
    measure: Callable[[Callable[..., Any]], list[Errors]],
    examples: int,
) -> Report:
    """Try every law on `fn`; measure its errors where it can run at all."""
    results = [law.try_on(fn, examples) for law in laws]
    try:
        errors = measure(fn)
    except Exception:  # already reported by the laws, with a smaller case
        errors = []
    return Report(f"{name}({getattr(fn, '__name__', fn)})", results, errors)
