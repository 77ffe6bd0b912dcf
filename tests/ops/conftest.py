"""Kernels behind the seam run checked too."""

from tests.helpers.kernels import examples, memory_checked

__all__ = ["examples", "memory_checked"]
