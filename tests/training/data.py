"""Real data, where there is some, and a vocabulary for texts of tests."""

import os
from pathlib import Path

import pytest

from minidistil import DistilBertTokenizer
from tests.pipelines.checkpoints import VOCAB


def real_file(name: str) -> Path:
    """A file below the folder of real data."""
    folder = os.environ.get("MINIDISTIL_DATA")
    if folder is None:
        pytest.skip(f"MINIDISTIL_DATA, the folder that holds {name}, is unset")
    return Path(folder) / name


def small_tokenizer() -> DistilBertTokenizer:
    """Some words, and all else in pieces of one character."""
    return DistilBertTokenizer({token: index for index, token in enumerate(VOCAB)})
