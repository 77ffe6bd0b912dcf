"""Records and results stay together, whatever is empty or breaks; floats survive."""

import json

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from minidistil.cli.records import Record
from minidistil.cli.results import results_of, shortest, write
from minidistil.pipelines import InputError


def records(*texts):
    return [Record({"text": text}, ("text",), f"in:{i}") for i, text in enumerate(texts, start=1)]


def upper(texts, bad="bad", ahead=3):
    """A pipeline's manners: read some inputs ahead, answer those before a bad one, then fail."""
    window = []
    for index, text in enumerate(texts):
        if text == bad:
            yield from window
            raise InputError(index, "is bad")
        window.append(text.upper())
        if len(window) == ahead:
            yield from window
            window = []
    yield from window


def pairs(given):
    return [
        (record.values["text"], result)
        for record, result in results_of(given, lambda record: record.values["text"], upper)
    ]


@hypothesis.given(st.lists(st.sampled_from(["a", "b", "", " "])))
def test_every_record_has_its_result(texts):
    want = [(text, text.upper() if text.strip() else None) for text in texts]
    assert pairs(records(*texts)) == want


@pytest.mark.parametrize("before", [["a"], ["a", "", "b", "c", "d", ""], ["", ""], []])
def test_a_bad_record_is_named_by_its_place(before):
    results = results_of(records(*before, "bad", "z"), lambda record: record.values["text"], upper)
    got = []
    with pytest.raises(ValueError, match=f"^in:{len(before) + 1}: is bad$"):
        for record, result in results:
            got.append((record.values["text"], result))
    # Empty records just before the bad one wait for a result that does not come.
    want = [(text, text.upper() or None) for text in before]
    assert got == want[: len(got)] and all(result is None for _, result in want[len(got) :])


def test_a_pipeline_that_takes_inputs_one_by_one_names_the_place_too():
    def each(texts):
        for text in texts:
            yield from upper([text])

    given = records("a", "", "b", "c", "bad")
    results = results_of(given, lambda record: record.values["text"], each)
    with pytest.raises(ValueError, match=r"^in:5: is bad$"):
        list(results)


def test_results_before_an_unreadable_line_come_first():
    def lines():
        yield from records("a", "", "b")
        raise ValueError("in:4: not UTF-8")

    got = []
    with pytest.raises(ValueError, match="in:4: not UTF-8"):
        for record, result in results_of(lines(), lambda record: record.values["text"], upper):
            got.append((record.values["text"], result))
    assert got == [("a", "A"), ("", None), ("b", "B")]


@hypothesis.given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_is_the_same_when_read_back(value):
    text = json.dumps(shortest(value))
    assert np.float32(json.loads(text)) == np.float32(value)


def test_floats_are_short():
    assert shortest({"score": float(np.float32(0.1)), "rest": [1, "a", None, 2.0]}) == {
        "score": 0.1,
        "rest": [1, "a", None, 2.0],
    }
    assert shortest(np.array([0.2, 3], np.float32)) == [0.2, 3.0]


def test_a_field_named_result_is_not_overwritten(capsys):
    record = Record({"text": "a", "result": 1}, ("text",), "in:7")
    write(record, "b", False, str)
    with pytest.raises(ValueError, match=r"^in:7: the object has a 'result' already"):
        write(record, "b", True, str)
    assert capsys.readouterr().out == "b\n"


def test_one_line_a_record(capsys):
    (record,) = records("a\nb")
    write(record, "é\r\nf\u2028g\th", False, str)
    write(record, None, False, str)
    write(record, "é\n", True, str)
    write(record, None, True, str)
    assert capsys.readouterr().out == (
        'é f g\th\n\n{"text": "a\\nb", "result": "é\\n"}\n{"text": "a\\nb", "result": null}\n'
    )


@pytest.mark.parametrize(
    "broken",
    [
        float("nan"),
        [{"label": "a", "score": float("inf")}],
        {"scores": [0.5, -float("inf")]},
        np.array([0, np.nan], np.float32),
    ],
)
def test_a_result_that_is_not_finite_is_an_error(broken):
    fine = [1.5, {"label": "a", "score": 1, "rest": [None, "nan"]}, np.zeros(2, np.float32)]
    given = records("a", "", "b", "c", "d")
    answers = iter([*fine, broken])
    results = results_of(given, lambda _: "", lambda items: (next(answers) for _ in items))
    for value in (fine[0], None, *fine[1:]):
        assert next(results)[1] is value
    with pytest.raises(ValueError, match=r"^in:5: the result holds NaN or infinity"):
        next(results)


@pytest.mark.parametrize("value", [float("nan"), [float("inf")]])
def test_a_field_that_json_can_not_hold(capsys, value):
    record = Record({"text": "a", "kept": value}, ("text",), "in:7")
    with pytest.raises(ValueError, match=r"^in:7: a field holds NaN or infinity"):
        write(record, "b", True, str)
    write(record, "b", False, str)
    assert capsys.readouterr().out == "b\n"


def test_what_can_not_be_an_input_is_told_after_the_results_before_it():
    def item_of(record):
        if record.values["text"] == "bad":
            raise ValueError(f"{record.place}: is bad")
        return record.values["text"]

    got = []
    with pytest.raises(ValueError, match=r"^in:4: is bad$"):
        for record, result in results_of(records("a", "", "b", "bad", "c"), item_of, upper):
            got.append((record.values["text"], result))
    assert got == [("a", "A"), ("", None), ("b", "B")]
