"""Lines, tables and JSON lines: places, quoting, and what is no table."""

import pytest

from minidistil.training.fields import Fields, lines, rows


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def values(path, names=None, header=None):
    return [row.values for row in rows(path, names, header)]


def places(path, header=None):
    return [int(row.place.rpartition(":")[2]) for row in rows(path, None, header)]


def test_lines_end_at_a_line_feed_and_nowhere_else(tmp_path):
    path = write(tmp_path, "x.txt", "\ufeffa\u2028b\rc\r\n\x0cd\n\ne")
    assert [line for _, line in lines(path)] == ["a\u2028b\rc\r\n", "\x0cd\n", "\n", "e"]
    assert [place for place, _ in lines(path)] == [f"{path}:{n}" for n in (1, 2, 3, 4)]


def test_a_csv_is_quoted(tmp_path):
    path = write(tmp_path, "x.CSV", 'text,label\r\n"a, ""b""\nc",1\r\n\r\nd,\r\n')
    assert values(path) == [{"text": 'a, "b"\nc', "label": "1"}, {"text": "d", "label": ""}]
    assert places(path) == [2, 5]  # the first record has two lines, and a line is empty


def test_a_tsv_is_not_quoted(tmp_path):
    path = write(tmp_path, "x.tsv", 'text\tlabel\n"a\t1\nb" c\t2\n')
    assert values(path) == [{"text": '"a', "label": "1"}, {"text": 'b" c', "label": "2"}]


def test_a_header_of_ones_own(tmp_path):
    path = write(tmp_path, "x.tsv", "a\t1\nb\t2\n")
    assert values(path, header=("text", "label"))[0] == {"text": "a", "label": "1"}
    assert places(path, header=("text", "label")) == [1, 2]


def test_json_lines(tmp_path):
    path = write(tmp_path, "x.jsonl", '{"a": 1}\n\n{"a": "\\u00e9"}\r\n')
    assert values(path) == [{"a": 1}, {"a": "é"}]
    assert places(path) == [1, 3]


def test_any_other_file_is_lines_of_text(tmp_path):
    assert values(write(tmp_path, "x.neg", " a b \r\n \nc")) == [{"text": " a b "}, {"text": "c"}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"text\n\xff\n", r"x\.csv:2: byte 1 of the line, 0xff, is not UTF-8"),
        ("x.csv", "a,b\n1,2\n1,2,3\n", r"x\.csv:3: 3 columns, \['1', '2', '3'\], for the names"),
        ("x.csv", "a,b\n1\n", r"x\.csv:2: 1 columns"),
        ("x.csv", "a,a\n1,2\n", r"x\.csv:2: 2 columns.* for the names \['a', 'a'\]"),
        ("x.csv", 'a\nb\n"c\nd\n', r"x\.csv:3: unexpected end of data; see that quotes are closed"),
        ("x.csv", 'a,b\n"c"d,e\n', r"x\.csv:2: ',' expected after"),
        ("x.csv", "a\n" + "b" * 200_000, r"x\.csv:2: field larger .* as JSON lines"),
        ("x.jsonl", '{"a": 1}\n{"a": \n', r"x\.jsonl:2: not a line of JSON: Expecting value"),
        ("x.jsonl", "[" * 100_000, r"x\.jsonl:1: not a line of JSON"),
        ("x.jsonl", f'{{"a": {"9" * 5000}}}', r"x\.jsonl:1: not a line of JSON"),
        ("x.jsonl", "[1]", r"x\.jsonl:1: '\[1\]' is no JSON object"),
        ("x.txt", "a\nb\n".encode("utf-16"), r"x\.txt:1: byte 1 of the line, 0xff"),
    ],
)
def test_what_is_refused(tmp_path, name, content, message):
    with pytest.raises(ValueError, match=message):
        values(write(tmp_path, name, content))


def test_a_field_has_another_name():
    row = Fields("f:1", {"sentence": "a", "n": 1}, {"text": "sentence"})
    assert row.take("text", str) == "a"
    assert row.take("n") == 1
    with pytest.raises(
        ValueError, match=r"f:1: no 'label' among \['sentence', 'n'\]; pass columns"
    ):
        row.take("label")
    with pytest.raises(ValueError, match="f:1: 'n' is '1', not a str"):
        row.take("n", str)


def test_texts():
    assert Fields("f:1", {"a": ["b", "c"]}).texts("a") == ("b", "c")
    for value in ("bc", ["b", 1], ["b", "\ud800"], None):
        with pytest.raises(ValueError, match="f:1: 'a' (is|holds)"):
            Fields("f:1", {"a": value}).texts("a")
