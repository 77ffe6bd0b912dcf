"""Preparation: the library's ids, the recipe's rules, whatever the size of a block."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import AddedToken

from minidistil.distillation import preparation
from minidistil.distillation.preparation import Encoder, prepare
from minidistil.tokenization import DistilBertTokenizer
from tests.distillation.preparing import (
    CLS,
    SEP,
    SPECIAL,
    TOKENIZER,
    UNK,
    VOCAB,
    WORDS,
    corpus,
    files_of,
    rows,
    text_file,
)

ALL = {"max_length": 10_000, "min_tokens": 3, "max_unknown": 1.0}


def by_the_recipe(lines, tokenizer, max_length=512):
    """The original's steps, one sequence at a time: binarized_data.py and lm_seqs_dataset.py."""
    backend = tokenizer.private_backend()
    kept = []
    for line in lines:
        ids = backend.encode(f"[CLS] {line.strip()} [SEP]", add_special_tokens=False).ids
        pieces = [ids]
        if len(ids) > max_length:
            step = max_length - 2
            pieces = [ids[start : start + step] for start in range(0, len(ids), step)]
            pieces = [p if p[0] == CLS else [CLS, *p] for p in pieces]
            pieces = [p if p[-1] == SEP else [*p, SEP] for p in pieces]
        pieces = [piece for piece in pieces if len(piece) > 11]
        kept += [piece for piece in pieces if piece.count(UNK) / len(piece) < 0.5]
    return kept


def test_the_worked_example(tmp_path):
    """[CLS] the king love ##ly . [SEP] are seven tokens, and max_length 6 cuts them into 4 and 3.

    The first piece has its [CLS] and lacks [SEP], the second has [SEP] and lacks [CLS].
    """
    file = text_file(tmp_path, ["The king lovely.", "a"])
    data = prepare(file, TOKENIZER, tmp_path / "out", max_length=6, min_tokens=4)
    words = [[VOCAB[index] for index in row] for row in data]
    assert words == [["[CLS]", "the", "king", "love", "[SEP]"], ["[CLS]", "##ly", ".", "[SEP]"]]
    assert data.meta["dropped_short"] == 1 and data.meta["dropped_unknown"] == 0
    assert data.meta["special_ids"] == {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    assert data.meta["vocab_size"] == len(VOCAB) and data.meta["dtype"] == "uint16"


@pytest.mark.parametrize("max_length", [12, 13, 16, 40, 512])
def test_the_rules_are_the_recipes(tmp_path, max_length):
    lines = corpus(300)
    data = prepare(text_file(tmp_path, lines), TOKENIZER, tmp_path / "out", max_length=max_length)
    expected = by_the_recipe(lines, TOKENIZER, max_length)
    assert rows(data) == expected and len(expected) > 100
    assert data.meta["dropped_short"] > 10 and data.meta["dropped_unknown"] > 3
    assert (
        data.counts.tolist() == np.bincount(np.concatenate(expected), minlength=len(VOCAB)).tolist()
    )


def test_half_unknown_is_dropped(tmp_path):
    lines = [" ".join(["☃"] * n + ["a"] * (12 - n)) for n in (6, 7, 8)]  # of 14 tokens
    lines.append("☃ ☃ ☃")  # short, so it does not count as unknown too
    data = prepare(text_file(tmp_path, lines), TOKENIZER, tmp_path / "out")
    assert [row.count(UNK) for row in rows(data)] == [6]
    assert data.meta["dropped_unknown"] == 2 and data.meta["dropped_short"] == 1


words = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from([*SPECIAL, *WORDS, "[MASK]x"]),
        st.sampled_from(["É", "e\u0301", "\u0301", "İ", "ß", "Σ", "ﬁ"]),
        st.sampled_from(["\t", "\x1c", "\x85", "\u2028", "\u00a0", "\u3000", "\u200d", "\ufeff"]),
    ),
    max_size=8,
)  # fmt: skip
joined = st.builds(str.join, st.sampled_from([" ", "", "  ", "\n"]), words)


@given(
    st.lists(joined, min_size=1, max_size=4), st.booleans(), st.sampled_from([None, True, False])
)
@example(["a\u0301 \u0301b", "東 京東京", "[MASK] [MASK]a"], False, False)
def test_word_by_word_is_what_the_library_makes_of_a_text(texts, lower, strip_accents):
    vocab = {token: index for index, token in enumerate(VOCAB)}
    tokenizer = DistilBertTokenizer(vocab, do_lower_case=lower, strip_accents=strip_accents)
    tokenizer.add_tokens([AddedToken("[MASK]x", single_word=True), AddedToken("lo", lstrip=True)])
    check_against_the_library(tokenizer, texts)


@given(st.lists(joined, min_size=1, max_size=4))
@example(["the king loves the king", "new\tking"])
def test_added_tokens_with_spaces(texts):
    tokenizer = DistilBertTokenizer({token: index for index, token in enumerate(VOCAB)})
    tokenizer.add_tokens(["the king", AddedToken("New King", special=True), "\tk"])
    check_against_the_library(tokenizer, texts)


def check_against_the_library(tokenizer, texts):
    ids, lengths, short, unknown = Encoder(tokenizer, **ALL)(texts)
    got = [row.tolist() for row in np.split(ids, np.cumsum(lengths)[:-1])] if len(lengths) else []
    expected = [e.ids for e in tokenizer.private_backend().encode_batch(texts)]
    assert got == [row for row in expected if len(row) >= 3]
    assert short == sum(len(row) < 3 for row in expected) and unknown == 0


def test_a_large_vocabulary_takes_32_bits(tmp_path):
    vocab = {token: index for index, token in enumerate(VOCAB)} | {"far": 70_000}
    data = prepare(text_file(tmp_path, ["far " * 12]), DistilBertTokenizer(vocab), tmp_path / "out")
    assert rows(data) == [[CLS, *[70_000] * 12, SEP]]
    assert data.meta["dtype"] == "int32" and data.meta["vocab_size"] == 70_001


@pytest.mark.parametrize(("block", "known"), [(1, 1 << 22), (300, 1), (5000, 40), (10**6, 0)])
def test_blocks_and_what_is_known_leave_no_trace(tmp_path, monkeypatch, block, known):
    file = text_file(tmp_path, corpus(200))
    whole = prepare(file, TOKENIZER, tmp_path / "whole")
    monkeypatch.setattr(preparation, "BLOCK", block)
    monkeypatch.setattr(preparation, "KNOWN", known)
    prepare(file, TOKENIZER, tmp_path / "other")
    assert files_of(tmp_path / "other") == files_of(whole.folder)


def test_what_is_known_is_bounded(monkeypatch):
    monkeypatch.setattr(preparation, "KNOWN", 1000)
    encoder = Encoder(TOKENIZER, **ALL)
    for start in range(0, 20_000, 100):
        encoder([" ".join(map(str, range(start, start + 100)))])
        assert len(encoder._known) < 1000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"errors": "ignore"}, "errors='ignore' is neither 'strict' nor 'replace'"),
        ({"max_unknown": 0}, "max_unknown=0 is no share"),
        ({"max_unknown": 50}, "max_unknown=50 is no share"),
        ({"min_tokens": 2}, "min_tokens=2 is no whole number from 3 up"),
        ({"max_length": 11}, "max_length=11 is no whole number from 12 up"),
        ({"max_length": 64.0}, "max_length=64.0 is no whole number"),
    ],
)
def test_what_can_not_be(tmp_path, settings, message):
    file = text_file(tmp_path, corpus(30))
    with pytest.raises(ValueError, match=message):
        prepare(file, TOKENIZER, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()
