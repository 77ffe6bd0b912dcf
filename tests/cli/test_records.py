"""Lines and JSON lines, and what is wrong with some of them."""

import click
import pytest

from minidistil.cli.records import given_records, read_lines, read_records

QUESTION = ("question", "context")
CHOICES = ("prompt", "choices")


@pytest.fixture
def file(tmp_path):
    def write(content: bytes) -> str:
        path = tmp_path / "in"
        path.write_bytes(content)
        return str(path)

    return write


def values(path, names, input_format):
    return [(one.values, one.empty) for one in read_records((path,), names, input_format, "strict")]


def test_lines_end_at_line_feeds_only(file):
    path = file("\ufeffone\r\n two\u2028three\x0bfour \n\nfünf".encode())
    assert list(read_lines(path, "strict")) == [
        (f"{path}:1", "one"),
        (f"{path}:2", " two\u2028three\x0bfour "),
        (f"{path}:3", ""),
        (f"{path}:4", "fünf"),
    ]
    assert list(read_lines(file(b""), "strict")) == []


def test_bytes_that_are_not_utf8(file):
    path = file(b"fine\nna\xefve\n")
    with pytest.raises(ValueError, match=f"{path}:2: byte 3 of the line, 0xef, is not UTF-8"):
        list(read_lines(path, "strict"))
    assert [line for _, line in read_lines(path, "replace")] == ["fine", "na\ufffdve"]


def test_text(file):
    path = file(b"a\tb\n\n \t\nc")
    assert values(path, ("text",), "text") == [
        ({"text": "a\tb"}, False),
        ({"text": ""}, True),
        ({"text": ""}, True),
        ({"text": "c"}, False),
    ]
    path = file(b"Who?\tHe.\n\nWho?\t\n")
    assert values(path, QUESTION, "text") == [
        ({"question": "Who?", "context": "He."}, False),
        ({"question": "", "context": ""}, True),
        ({"question": "Who?", "context": ""}, True),
    ]
    path = file(b"It\trained\tsang\tslept\n")
    assert values(path, CHOICES, "text") == [
        ({"prompt": "It", "choices": ["rained", "sang", "slept"]}, False)
    ]


def test_objects(file):
    path = file('{"text": "é", "id": 7}\n\n{"text": null}\n{"text": " "}\n'.encode())
    assert values(path, ("text",), "jsonl") == [
        ({"text": "é", "id": 7}, False),
        ({"text": ""}, True),
        ({"text": None}, True),
        ({"text": " "}, True),
    ]


@pytest.mark.parametrize(
    ("line", "names", "input_format", "message"),
    [
        ("Who?", QUESTION, "text", "needs question and context, .*; there is 1"),
        ("a\tb\tc", QUESTION, "text", "needs question and context, .*; there are 3"),
        ("a\tb", CHOICES, "text", "needs prompt and two choices or more, .*; there are 2"),
        ("Who?", QUESTION, "text", "context missing"),
        ("a\tb\tc", QUESTION, "text", "too many"),
        ("a\tb", CHOICES, "text", "choices missing"),
        ("[" * 200_000, ("text",), "jsonl", r"nested too deeply: \[{40}$"),
        ("{bad", ("text",), "jsonl", "not JSON: .* at character 2"),
        ("[1]", ("text",), "jsonl", r"a JSON object with text is needed, not \[1\]"),
        ('{"txt": "a"}', ("text",), "jsonl", r"no 'text'; its keys are \['txt'\]"),
        ('{"text": 3}', ("text",), "jsonl", "'text' is 3, not a string"),
        (r'{"text": "a \ud83d\ude00 \ud800"}', ("text",), "jsonl", r"lone surrogate '.ud800'"),
        (r'{"text": "a", "kept": [{"\uDFFF": 1}]}', ("text",), "jsonl", "lone surrogate '.udfff'"),
        ('{"prompt": "a", "choices": "bc"}', CHOICES, "jsonl", "not a list of strings"),
        ('{"prompt": "a", "choices": ["b", 1]}', CHOICES, "jsonl", "not a list of strings"),
    ],
)
def test_a_line_that_does_not_fit_is_named(file, line, names, input_format, message):
    path = file(f"\n{line}\n".encode())
    with pytest.raises(ValueError, match=f"{path}:2: .*{message}"):
        list(read_records((path,), names, input_format, "strict"))


def test_whole_surrogate_pairs_are_characters(file):
    path = file(rb'{"text": "\ud83d\ude00 \\ud800"}')
    assert values(path, ("text",), "jsonl") == [({"text": "\U0001f600 \\ud800"}, False)]


def test_the_format_goes_by_the_ending(tmp_path):
    line = '{"text": "a"}'
    paths = [tmp_path / "in.jsonl", tmp_path / "in.txt"]
    for path in paths:
        path.write_text(line, encoding="utf-8")
    files = tuple(map(str, paths))
    read = [one.values["text"] for one in read_records(files, ("text",), None, "strict")]
    assert read == ["a", line]
    read = [one.values["text"] for one in read_records(files, ("text",), "text", "strict")]
    assert read == [line, line]


def test_arguments():
    assert [one.values for one in given_records(("a\tb", ""), ("text",))] == [
        {"text": "a\tb"},
        {"text": ""},
    ]
    (one,) = given_records(("Who?", "He."), QUESTION)
    assert one.values == {"question": "Who?", "context": "He."}
    (one,) = given_records(("It", "rained", "sang"), CHOICES)
    assert one.values == {"prompt": "It", "choices": ["rained", "sang"]}
    with pytest.raises(click.UsageError, match="needs question and context"):
        given_records(("Who?",), QUESTION)
