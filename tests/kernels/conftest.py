"""Every kernel here runs checked; without Triton there is nothing to run."""

from tests.helpers.kernels import HAVE_TRITON, examples, memory_checked

if not HAVE_TRITON:
    collect_ignore_glob = ["test_*.py", "lab/*"]

__all__ = ["examples", "memory_checked"]
