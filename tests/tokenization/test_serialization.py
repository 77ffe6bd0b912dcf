import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import transformers
from tokenizers import Tokenizer, models

from minidistil.tokenization import DistilBertTokenizer
from minidistil.tokenization.serialization import read_vocab

from .samples import TINY_VOCAB

TEXT = "UNwant\u00e9d \u00e9 <e>Low newword \u535a\u63a8"
SETTINGS: dict[str, Any] = {
    "do_lower_case": False,
    "strip_accents": True,
    "tokenize_chinese_chars": False,
    "model_max_length": 99,
    "padding_side": "left",
    "truncation_side": "left",
    "clean_up_tokenization_spaces": True,
}


def filled(**settings: Any) -> DistilBertTokenizer:
    vocab = {**TINY_VOCAB, "e": 15, "\u535a": 16, "##\u63a8": 17, "Low": 18}
    tokenizer = DistilBertTokenizer(vocab, **settings)
    tokenizer.add_tokens(["newword"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<e>"]})
    return tokenizer


def same(one: Any, other: Any) -> bool:
    return (
        one.get_vocab() == other.get_vocab()
        and one(TEXT, return_offsets_mapping=True)["input_ids"] == other(TEXT)["input_ids"]
        and one.all_special_tokens == other.all_special_tokens
        and all(getattr(one, name) == getattr(other, name) for name in SETTINGS)
    )


@pytest.mark.parametrize("settings", [{}, SETTINGS], ids=["uncased", "everything else"])
def test_round_trip_here_and_in_transformers(tmp_path: Path, settings: dict[str, Any]) -> None:
    tokenizer = filled(**settings)
    tokenizer.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    }
    assert same(tokenizer, DistilBertTokenizer.from_pretrained(tmp_path))
    for theirs in (transformers.DistilBertTokenizer, transformers.AutoTokenizer):
        assert same(tokenizer, theirs.from_pretrained(tmp_path))
    config = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["tokenizer_class"] == "DistilBertTokenizer"
    assert config["do_lower_case"] is tokenizer.do_lower_case


def test_what_transformers_saves(tmp_path: Path) -> None:
    theirs = transformers.DistilBertTokenizer(vocab=filled().get_vocab(), **SETTINGS)
    theirs.add_tokens(["Otherword"])
    theirs.add_special_tokens({"additional_special_tokens": ["<e>"]})
    theirs("low", truncation=True, padding="max_length", max_length=4)
    theirs.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "tokenizer.json").read_text())["padding"] is not None
    ours = DistilBertTokenizer.from_pretrained(tmp_path)
    assert same(ours, theirs)
    assert len(ours(TEXT).input_ids) > 4


def test_vocab_txt_alone_and_overrides(tmp_path: Path) -> None:
    filled().save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    assert same(filled(), DistilBertTokenizer.from_pretrained(tmp_path))
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "special_tokens_map.json").write_text(
        json.dumps({"mask_token": {"content": "low"}, "additional_special_tokens": ["<e>"]})
    )
    tokenizer = DistilBertTokenizer.from_pretrained(tmp_path, do_lower_case=False)
    assert tokenizer.mask_token == "low"
    assert tokenizer.convert_tokens_to_ids("<e>") == tokenizer.vocab_size == 19
    assert tokenizer.tokenize("LOW") == ["[UNK]"]
    with pytest.raises(TypeError, match="nonsense"):
        DistilBertTokenizer.from_pretrained(tmp_path, nonsense=1)


def test_paths_in_the_constructor(tmp_path: Path) -> None:
    tokenizer = filled()
    tokenizer.save_pretrained(tmp_path)
    vocab_file, tokenizer_file = tmp_path / "vocab.txt", tmp_path / "tokenizer.json"
    assert DistilBertTokenizer(tokenizer_file=tokenizer_file).get_vocab() == tokenizer.get_vocab()
    for one in (DistilBertTokenizer(str(vocab_file)), DistilBertTokenizer(vocab_file=vocab_file)):
        assert one.vocab_size == tokenizer.vocab_size


def test_settings_of_tokenizer_json_without_a_config(tmp_path: Path) -> None:
    filled(do_lower_case=False).save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    assert DistilBertTokenizer.from_pretrained(tmp_path).tokenize("Low") == ["Low"]


def test_a_vocabulary_with_gaps_has_no_vocab_txt(tmp_path: Path) -> None:
    tokenizer = DistilBertTokenizer({**TINY_VOCAB, "late": 40})
    tokenizer.save_pretrained(tmp_path)
    assert not (tmp_path / "vocab.txt").exists()
    assert DistilBertTokenizer.from_pretrained(tmp_path).convert_tokens_to_ids("late") == 40


def test_other_tokenizers_are_refused(tmp_path: Path) -> None:
    Tokenizer(models.BPE()).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match="no DistilBERT tokenizer: model.type is 'BPE'"):
        DistilBertTokenizer.from_pretrained(tmp_path)
    Tokenizer(models.WordPiece(TINY_VOCAB)).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match="normalizer.type is None, not 'BertNormalizer'"):
        DistilBertTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", b"{", "tokenizer.json is not valid JSON"),
        ("vocab.txt", b"\xff\xfe", "vocab.txt is no UTF-8 text"),
        ("vocab.txt", b"\n", "vocab.txt holds no token"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        DistilBertTokenizer.from_pretrained(tmp_path)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"neither tokenizer\.json nor vocab\.txt"):
        DistilBertTokenizer.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="missing"):
        DistilBertTokenizer.from_pretrained(tmp_path / "missing")


def test_an_older_tokenizers_map_does_not_come_back(tmp_path: Path) -> None:
    path = tmp_path / "special_tokens_map.json"
    path.write_text(json.dumps({"additional_special_tokens": ["<old>"], "cls_token": "<old>"}))
    for tokenizer in (DistilBertTokenizer(TINY_VOCAB), filled()):
        tokenizer.save_pretrained(tmp_path)
        found = DistilBertTokenizer.from_pretrained(tmp_path)
        assert found.get_vocab() == tokenizer.get_vocab()
        assert same(found, transformers.DistilBertTokenizer.from_pretrained(tmp_path))


def write_config(folder: Path, **settings: Any) -> None:
    (folder / "vocab.txt").write_text("\n".join(TINY_VOCAB))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def test_the_list_of_the_config_replaces_that_of_the_map(tmp_path: Path) -> None:
    path = tmp_path / "special_tokens_map.json"
    path.write_text(json.dumps({"additional_special_tokens": ["<old>", "<e>"]}))
    for config, extra in (
        ({}, ["<old>", "<e>"]),
        ({"extra_special_tokens": ["<e>"]}, ["<e>"]),
        ({"additional_special_tokens": [{"content": "<e>"}], "extra_special_tokens": {}}, ["<e>"]),
        ({"additional_special_tokens": None}, []),
    ):
        write_config(tmp_path, **config)
        assert DistilBertTokenizer.from_pretrained(tmp_path).all_special_tokens[5:] == extra


def test_named_extra_special_tokens(tmp_path: Path) -> None:
    write_config(tmp_path, extra_special_tokens={"image_token": "<img>"})
    ours = DistilBertTokenizer.from_pretrained(tmp_path)
    theirs = transformers.DistilBertTokenizer.from_pretrained(tmp_path)
    assert ours.all_special_tokens[5:] == ["<img>"]
    assert ours("low <img>").input_ids == theirs("low <img>")["input_ids"]
    assert len(ours) == len(theirs)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("additional_special_tokens", "<Z>", "is '<Z>', not a list of tokens"),
        ("additional_special_tokens", ["<Z>", 7], "holds 7, which is no token"),
        ("extra_special_tokens", {"z": {"lstrip": True}}, "holds {'lstrip': True}, which is no"),
        ("cls_token", {"lstrip": True}, "holds {'lstrip': True}, which is no token"),
        ("do_lower_case", "yes", "='yes' is none of [True, False]"),
        ("strip_accents", 0, "=0 is none of [True, False, None]"),
        ("model_max_length", "512", "='512' is no whole number from 1 up"),
        ("model_max_length", 512.0, "=512.0 is no whole number from 1 up"),
        ("padding_side", "middle", "='middle' is none of ['right', 'left']"),
        ("truncation_side", [], "=[] is none of"),
        ("added_tokens_decoder", None, " is None, not ids and their tokens"),
        ("added_tokens_decoder", {"x": {"content": "<x>"}}, ": 'x' is no id"),
        ("added_tokens_decoder", {"15": None}, " holds None, which is no token"),
        ("added_tokens_decoder", {"15": {"content": "x", "lstrip": 1}}, ": lstrip of 'x' is 1"),
    ],
)
def test_a_broken_config(tmp_path: Path, name: str, value: Any, message: str) -> None:
    write_config(tmp_path, **{name: value})
    place = f"{tmp_path / 'tokenizer_config.json'}: {name}"
    with pytest.raises(ValueError, match=f"{re.escape(place)} ?{re.escape(message.strip())}"):
        DistilBertTokenizer.from_pretrained(tmp_path)


class Somewhere(os.PathLike[str]):
    """A path that is no `Path`, and whose str() does not say where."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __fspath__(self) -> str:
        return str(self.folder)


def test_any_kind_of_path(tmp_path: Path) -> None:
    folder = Somewhere(tmp_path)
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path} has neither")):
        DistilBertTokenizer.from_pretrained(folder)
    filled().save_pretrained(folder)
    assert same(filled(), DistilBertTokenizer.from_pretrained(folder))


def test_an_added_token_keeps_its_id(tmp_path: Path) -> None:
    filled().save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    state["added_tokens"][-1]["id"] = 77
    path.write_text(json.dumps(state), encoding="utf-8")
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(ValueError, match=r"'<e>' is saved with id 77, but .* gives it 20"):
        DistilBertTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("extra", [[], ["<s>"]])
def test_added_tokens_of_older_checkpoints(tmp_path: Path, extra: list[str]) -> None:
    write_config(tmp_path, mask_token="[MASK]", extra_special_tokens=extra)
    path = tmp_path / "added_tokens.json"
    path.write_text(json.dumps({"<s>": 17, "[MASK]": 4, "Big": 16, "<new>": 15}))
    ours = DistilBertTokenizer.from_pretrained(tmp_path)
    theirs = transformers.DistilBertTokenizer.from_pretrained(tmp_path)
    assert ours.convert_tokens_to_ids(["<new>", "Big", "<s>"]) == [15, 16, 17]
    assert len(ours) == len(theirs) == 18
    text = "low <new> <NEW>big [MASK] [mask] <s> <S> low"
    assert ours(text).input_ids == theirs(text)["input_ids"]
    assert ours.all_special_tokens == theirs.all_special_tokens


def test_added_tokens_are_those_of_the_config_where_it_lists_them(tmp_path: Path) -> None:
    write_config(tmp_path, added_tokens_decoder={"15": {"content": "<q>"}})
    (tmp_path / "added_tokens.json").write_text('{"<new>": 15}')
    assert DistilBertTokenizer.from_pretrained(tmp_path).convert_ids_to_tokens(15) == "<q>"


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ({"<new>": 17}, "'<new>' is saved with id 17, but the vocabulary gives it 15"),
        ({"<new>": "15"}, "added_tokens.json: '<new>'='15' is no whole number"),
        ({"\ud800": 15}, "added_tokens.json holds '.ud800', which is no token"),
        ([], "added_tokens.json holds a JSON list"),
    ],
)
def test_broken_added_tokens(tmp_path: Path, added: Any, message: str) -> None:
    write_config(tmp_path)
    (tmp_path / "added_tokens.json").write_text(json.dumps(added))
    with pytest.raises(ValueError, match=message):
        DistilBertTokenizer.from_pretrained(tmp_path)


def test_lines_of_a_vocab_txt_are_read_as_the_library_reads_them(tmp_path: Path) -> None:
    """Blanks at the end of a line are no part of a token; a lone carriage return ends no line."""
    path = tmp_path / "vocab.txt"
    lines = [
        "[UNK]",
        "hello ",
        "  y",
        "z\t",
        "a\u00a0",
        "c\r",
        "d\re",
        "",
        "dup",
        "dup \u2028",
        "f",
    ]
    path.write_text("\n".join(lines), encoding="utf-8", newline="")
    theirs = models.WordPiece.read_file(str(path))
    assert read_vocab(path) == {token: index for token, index in theirs.items() if token}
    assert read_vocab(path)["hello"] == 1 and read_vocab(path)["f"] == 10
