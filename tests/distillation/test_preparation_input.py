"""What preparation reads: text and JSON lines, bytes that are none, files that are wrong."""

import json

import pytest

from minidistil.distillation import preparation
from minidistil.distillation.data import TokenFile
from minidistil.distillation.preparation import prepare
from tests.distillation.preparing import CLS, SEP, TOKENIZER, UNK, corpus, rows, text_file


def test_json_lines_are_the_texts(tmp_path):
    lines = corpus(50)
    objects = [json.dumps({"id": n, "text": line}) for n, line in enumerate(lines)]
    objects.insert(7, "")  # an empty line is no text
    text = prepare(text_file(tmp_path, lines), TOKENIZER, tmp_path / "a")
    for name in ("x.jsonl", "y.JSONL", "z.ndjson"):
        as_json = prepare(text_file(tmp_path, objects, name), TOKENIZER, tmp_path / name[0])
        assert rows(text) == rows(as_json)


def test_files_follow_one_another(tmp_path):
    lines = corpus(60)
    files = [text_file(tmp_path, lines[i : i + 20], f"{i}.txt") for i in (0, 20, 40)]
    parts = prepare(iter(files), TOKENIZER, tmp_path / "parts")
    whole = prepare(str(text_file(tmp_path, lines)), TOKENIZER, tmp_path / "whole")
    assert rows(parts) == rows(whole)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_line_endings_and_byte_order_marks(tmp_path, ending, start, name):
    line = json.dumps({"text": "king " * 12}) if name.endswith("l") else "king " * 12
    path = tmp_path / name
    path.write_bytes((start + line + ending + line + ending).encode())
    assert rows(prepare(path, TOKENIZER, tmp_path / "out")) == [[CLS, *[6] * 12, SEP]] * 2


GOOD = b"the king loves the king's lovely song a b c d\n"
BAD = {
    "utf-8": ("a.txt", GOOD * 2 + b"the k\xffng\n",
              r"a\.txt:3: .*byte 0xff in position 5.*errors='replace'"),
    "first line": ("a.txt", b"\xef\xbb\xbf\xff\n", r"a\.txt:1: .*0xff"),
    "compressed": ("a.txt", b"\x1f\x8b\x08\x00", r"a\.txt:1: .*0x8b"),
    "no json": ("a.jsonl", b'{"text": "a"}\nking\n', r"a\.jsonl:2: Expecting value"),
    "no text": ("a.jsonl", b'{"body": "king"}\n', r'a\.jsonl:1: an object with a string "text" is '
                r'needed, not \{"body": "king"\}'),
    "no string": ("a.jsonl", b'{"text": ["king"]}\n', r"a\.jsonl:1: an object with a string"),
    "no object": ("a.jsonl", b'["king"]', r"a\.jsonl:1: an object with a string"),
    "half a pair": ("a.jsonl", b'{"text": "\\ud800"}', r"a\.jsonl:1: an object with a string"),
    "deep": ("a.jsonl", b"[" * 100_000, r"a\.jsonl:1: .*recursion"),
    "empty": ("a.txt", b"", r"a\.txt is empty"),
    "nothing left": ("a.txt", b"the king\n\n",
                     r"no sequence is left in .*out: {'dropped_short': 2"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(tmp_path, kind):
    name, content, message = BAD[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path / name, TOKENIZER, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no finished token file"):
        TokenFile(tmp_path / "out")


def test_the_line_of_an_error_in_a_later_block_of_a_later_file(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "BLOCK", 100)
    (tmp_path / "a.txt").write_bytes(GOOD * 5)
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbf" + GOOD * 10 + b"\xff\n" + GOOD)
    with pytest.raises(ValueError, match=r"b\.txt:11: .*0xff"):
        prepare([tmp_path / "a.txt", tmp_path / "b.txt"], TOKENIZER, tmp_path / "out")


def test_bad_bytes_replaced(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"king " * 12 + b"\xff\n")
    data = prepare(tmp_path / "a.txt", TOKENIZER, tmp_path / "out", errors="replace")
    assert rows(data) == [[CLS, *[6] * 12, UNK, SEP]] or rows(data) == [[CLS, *[6] * 12, SEP]]


def test_wrong_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        prepare(tmp_path / "none", TOKENIZER, tmp_path / "out")
    with pytest.raises(ValueError, match="is no regular file"):
        prepare(tmp_path, TOKENIZER, tmp_path / "out")
    with pytest.raises(ValueError, match="give a file"):
        prepare([], TOKENIZER, tmp_path / "out")
    assert not (tmp_path / "out").exists()
