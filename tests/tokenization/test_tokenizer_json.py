import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from minidistil.tokenization import DistilBertTokenizer

from .samples import TINY_VOCAB

TEXTS = ["Low UNwant\u00e9d", "running <new>"]


def state_of(folder: Path) -> dict[str, Any]:
    tokenizer = DistilBertTokenizer(TINY_VOCAB)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder)
    (folder / "tokenizer_config.json").unlink()
    return json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))


def changed(state: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """A copy with another value at a place such as "model.vocab"; `...` takes it out."""
    state = copy.deepcopy(state)
    *parents, name = place.split(".")
    part: Any = state
    for parent in parents:
        part = part[int(parent) if isinstance(part, list) else parent]
    if value is ...:
        del part[name]
    else:
        part[int(name) if isinstance(part, list) else name] = value
    return state


def load(folder: Path, state: dict[str, Any]) -> DistilBertTokenizer:
    (folder / "tokenizer.json").write_text(json.dumps(state), encoding="utf-8")
    return DistilBertTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("normalizer.clean_text", False, "normalizer.clean_text is False, not True"),
        ("model.max_input_chars_per_word", 9, "model.max_input_chars_per_word is 9, not 100"),
        ("model.continuing_subword_prefix", "@", "model.continuing_subword_prefix is '@'"),
        ("normalizer", [], "normalizer.type is None, not 'BertNormalizer'"),
        ("normalizer.lowercase", ..., "normalizer.lowercase=None is none of [True, False]"),
        ("normalizer.lowercase", "yes", "normalizer.lowercase='yes' is none of [True, False]"),
        ("normalizer.strip_accents", 0, "normalizer.strip_accents=0 is none of"),
        ("normalizer.handle_chinese_chars", ..., "normalizer.handle_chinese_chars=None is none"),
        ("model", [1], "model.type is None, not 'WordPiece'"),
        ("model.vocab", ..., "model.vocab is None, not a JSON dict"),
        ("model.vocab", ["low"], "model.vocab is ['low'], not a JSON dict"),
        ("model.vocab.low", "13", "the vocabulary gives 'low' the id '13', not a whole number"),
        ("model.unk_token", ..., "model.unk_token=None is no string"),
        ("added_tokens", None, "added_tokens is None, not a JSON list"),
        ("added_tokens.5.id", ..., "added_tokens[5].id=None is no whole number from 0 up"),
        ("added_tokens.5.id", "15", "added_tokens[5].id='15' is no whole number"),
        ("added_tokens.5", "<new>", "added_tokens[5] holds '<new>', which is no token with"),
        ("added_tokens.5.content", ..., "added_tokens[5] holds {"),
        ("added_tokens.5.lstrip", 1, "added_tokens[5]: lstrip of '<new>' is 1, not true or false"),
        ("post_processor", None, "post_processor is None, which is not [CLS] A [SEP]"),
        ("post_processor", [1], "post_processor is [1], which is not"),
        ("post_processor.single.0.SpecialToken.id", "[SEP]", "post_processor is {"),
        ("post_processor.pair.4.SpecialToken.id", "[CLS]", "post_processor is {"),
        ("post_processor.pair.1.Sequence.id", "B", "post_processor is {"),
        ("post_processor.special_tokens.[CLS].ids", [7], "post_processor is {"),
        ("post_processor.special_tokens.[SEP].tokens", ["low"], "post_processor is {"),
        ("post_processor.special_tokens", {}, "post_processor is {"),
        ("post_processor.type", "RobertaProcessing", "post_processor is {"),
    ],
)
def test_a_file_is_not_read_half(tmp_path: Path, place: str, value: Any, message: str) -> None:
    state = state_of(tmp_path)
    name = re.escape(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match=f"^{name}: .*{re.escape(message)}"):
        load(tmp_path, changed(state, place, value))


BERT = {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("post_processor", BERT),
        ("post_processor.pair.3.Sequence.type_id", 0),
        ("model.type", ...),
        ("added_tokens", ...),
    ],
)
def test_other_ways_to_say_the_same(tmp_path: Path, place: str, value: Any) -> None:
    state = changed(state_of(tmp_path), place, value)
    ours = load(tmp_path, state)
    theirs = Tokenizer.from_str(json.dumps({"added_tokens": [], **state}))
    for text in (*TEXTS, tuple(TEXTS)):
        first, second = (text, None) if isinstance(text, str) else text
        assert ours(first, second).input_ids == theirs.encode(first, second).ids


@pytest.mark.parametrize("part", ["cls", "sep"])
def test_bert_processing_with_other_ids(tmp_path: Path, part: str) -> None:
    state = changed(state_of(tmp_path), "post_processor", {**BERT, part: ["[CLS]", 7]})
    with pytest.raises(ValueError, match="post_processor is {'type': 'BertProcessing'"):
        load(tmp_path, state)


def test_the_special_tokens_are_the_files(tmp_path: Path) -> None:
    """Until tokenizer_config.json, which has the last word, names others."""
    DistilBertTokenizer(TINY_VOCAB, cls_token="low", sep_token="wa").save_pretrained(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    path.unlink()
    theirs = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    ours = DistilBertTokenizer.from_pretrained(tmp_path)
    assert (ours.cls_token, ours.sep_token) == ("low", "wa")
    assert ours("un").input_ids == theirs.encode("un").ids == [13, 9, 8]
    path.write_text('{"cls_token": "[CLS]"}')
    assert DistilBertTokenizer.from_pretrained(tmp_path)("un").input_ids == [1, 9, 8]
