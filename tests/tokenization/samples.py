"""A vocabulary to calculate with by hand, and the real ones."""

import os
from pathlib import Path

import pytest

# The vocabulary of BERT's own tests.
SPECIAL_TOKENS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
WORDPIECES = ["want", "##want", "##ed", "wa", "un", "runn", "##ing", ",", "low", "lowest"]
TINY_VOCAB = {token: index for index, token in enumerate(SPECIAL_TOKENS + WORDPIECES)}


def real_vocab_file(name: str) -> Path:
    """Path of BERT's vocab.txt, `uncased` or `cased`."""
    folder = os.environ.get("MINIDISTIL_DATA")
    if folder is None:
        pytest.skip("MINIDISTIL_DATA, the folder that holds vocab/bert-base-*-vocab.txt, is unset")
    return Path(folder) / "vocab" / f"bert-base-{name}-vocab.txt"
