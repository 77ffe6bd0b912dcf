"""Every kernel here runs checked; without Triton there is nothing to run."""

from tests.helpers.kernels import HAVE_TRITON, INTERPRETING, examples, kernel_conditions

if not HAVE_TRITON:
    collect_ignore_glob = ["test_*.py", "lab/*"]
elif not INTERPRETING:
    # What of the lab listens to the interpreter.
    collect_ignore_glob = [
        f"lab/test_{name}.py" for name in ("bf16", "hooks", "memory", "meter", "trace", "undefined")
    ]

__all__ = ["examples", "kernel_conditions"]
