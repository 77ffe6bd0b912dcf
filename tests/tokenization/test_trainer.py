import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidistil.tokenization.trainer import SPECIAL_TOKENS, train_vocabulary

TEXTS = ["hug hug pug", "hugs and pugs, bugs and mugs!", "Hug 博 café"] * 3
SCRIPT = """
from minidistil.tokenization.trainer import train_vocabulary
texts = ["".join(chr(97 + i * j % 26) for j in range(1, i % 9 + 2)) for i in range(400)]
vocab = train_vocabulary(texts, 90, limit_alphabet=20).get_vocab()
print(sorted(vocab.items(), key=lambda item: item[1]))
"""


def test_the_worked_example() -> None:
    """hug 10 times, pug 5 times, bun 4 times: ##u ##g is seen 15 times, more than any other pair.

    With it merged, h ##ug is seen 10 times and comes next, then p ##ug with 5. What is left is bun
    with 4: b ##u and ##u ##n are even, and b ##u wins by its smaller numbers.
    """
    tokenizer = train_vocabulary(["hug " * 10 + "pug " * 5 + "bun " * 4], 5 + 6 + 3 + 4)
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    assert tokens == [*SPECIAL_TOKENS, *"bghnpu", "##g", "##n", "##u", "##ug", "hug", "pug", "bu"]


def test_the_same_text_gives_the_same_vocabulary_in_every_process() -> None:
    """Hash tables differ from process to process, so one process would prove nothing."""
    runs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(runs) == 1


@given(texts=st.lists(st.text("abcXé博,' ", min_size=1, max_size=30), min_size=1, max_size=5))
def test_every_training_word_is_known(texts: list[str]) -> None:
    texts = [*texts, "a"]
    tokenizer = train_vocabulary(texts, 200, min_frequency=1)
    assert all(tokenizer.unk_token_id not in tokenizer.encode(text) for text in texts)
    assert [tokenizer.convert_ids_to_tokens(index) for index in range(5)] == SPECIAL_TOKENS


def test_files_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    settings_ = {"do_lower_case": False, "strip_accents": False, "tokenize_chinese_chars": False}
    tokenizer = train_vocabulary([path], 60, **settings_)
    assert tokenizer.get_vocab() == train_vocabulary(TEXTS, 60, **settings_).get_vocab()
    assert tokenizer.tokenize("Hug café")[0].startswith("H")
    tokenizer.save_pretrained(tmp_path)
    assert type(tokenizer).from_pretrained(tmp_path).get_vocab() == tokenizer.get_vocab()


def test_min_frequency_stops_merging() -> None:
    assert "hug" in train_vocabulary(["hug hug"], 99, min_frequency=2).get_vocab()
    assert "hug" not in train_vocabulary(["hug hug"], 99, min_frequency=3).get_vocab()


def test_errors() -> None:
    with pytest.raises(ValueError, match="no word to learn from"):
        train_vocabulary([" ", ""])
    with pytest.raises(ValueError, match=r"vocab_size=9 is too small: 5 .* 3 .* 2 .* need 10"):
        train_vocabulary(["hug"], 9)
    with pytest.raises(TypeError, match="not the single 'hug'"):
        train_vocabulary("hug")
    with pytest.raises(TypeError, match="None is neither a text nor"):
        train_vocabulary(cast(Any, iter(["hug", None])))


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("café".encode("latin-1"))
    with pytest.raises(ValueError, match="latin.txt is not UTF-8: it holds the byte 0xe9"):
        train_vocabulary([path])
