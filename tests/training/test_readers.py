"""Files of every task, right and wrong, and the real ones."""

import json
from collections import Counter

import pytest

from minidistil.training.readers import TASKS, read_examples
from minidistil.training.records import ChoiceRecord, QuestionRecord, TagRecord, TextRecord
from tests.training.data import real_file

TEXT, TAGS, QUESTIONS, CHOICES = TASKS
MULTI = "multi_label_classification"


@pytest.fixture
def read(tmp_path):
    def read(name, content, task, **options):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8", newline="")
        return read_examples(path, task, **options)

    return read


def squad(**question):
    asked = {"id": "q", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 3}]}
    paragraph = {"context": "So Ada came.", "qas": [asked | question]}
    return json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": [paragraph]}]})


def test_texts_of_three_forms(read, tmp_path):
    expected = [("a, b", "pos"), ("c", "neg")]
    for name, content in {
        "x.csv": 'label,text\npos,"a, b"\n neg,c\n',
        "x.tsv": "text\tlabel\na, b\tpos\nc\tneg \n",
        "x.jsonl": '{"text": "a, b", "label": "pos"}\n{"label": "neg", "text": "c", "x": 1}\n',
    }.items():
        records = read(name, content, TEXT)
        assert [(record.text, record.label) for record in records] == expected
        assert records[-1].place == f"{tmp_path / name}:{2 if 'json' in name else 3}"
        assert all(record.text_pair is None for record in records)


def test_pairs_and_other_names(read):
    content = "premise,hypothesis,gold\na,b,0\n"
    names = {"text": "premise", "text_pair": "hypothesis", "label": "gold"}
    (record,) = read("x.csv", content, TEXT, columns=names)
    assert (record.text, record.text_pair, record.label) == ("a", "b", "0")
    (record,) = read("x.jsonl", '{"text": "a", "text_pair": "b", "label": 3}', TEXT)
    assert (record.text_pair, record.label) == ("b", "3")


def test_an_empty_line_above_the_names(read):
    (record,) = read("x.csv", "\ntext,label\na,x\n", TEXT)
    assert (record.text, record.label) == ("a", "x")


def test_lines_of_text_have_no_columns_to_rename(read):
    names = {"text": "review"}
    (record,) = read("x.txt", "a film\n", TEXT, labelled=False, columns=names)
    assert record.text == "a film"


@pytest.mark.parametrize(("task", "name"), [(TEXT, "txt"), (TAGS, "text"), (QUESTIONS, "id")])
def test_a_column_that_is_no_field_is_refused(read, task, name):
    with pytest.raises(ValueError, match=f"columns has '{name}'; the fields of {task} are"):
        read("x.jsonl", "{}", task, columns={name: "x"})


def test_several_labels(read):
    records = read("x.tsv", "text\tlabel\na\t2, 10\nb\t\n", TEXT, problem_type=MULTI)
    assert [record.label for record in records] == [("2", "10"), ()]
    content = '{"text": "a", "label": ["x", 1]}\n{"text": "b", "label": []}'
    records = read("x.jsonl", content, TEXT, problem_type=MULTI)
    assert [record.label for record in records] == [("x", "1"), ()]


def test_numbers(read):
    for name, content in (
        ("x.csv", "text,label\na,2.5\n"),
        ("x.jsonl", '{"text":"a","label":2.5}'),
    ):
        assert read(name, content, TEXT, problem_type="regression")[0].label == 2.5


def test_without_labels(read):
    assert read("x.txt", "a b\n\nc\n", TEXT, labelled=False)[1].text == "c"
    assert read("x.csv", "text,label\na,1\n", TEXT, labelled=False)[0].label is None
    assert read("x.conll", "a\nb\n", TAGS, labelled=False)[0].words == ("a", "b")
    assert read("x.conll", "a S-x\n", TAGS, labelled=False)[0].tags is None
    assert read("x.jsonl", '{"tokens": ["a"]}', TAGS, labelled=False)[0].tags is None
    (question,) = read("x.json", squad(answers=None), QUESTIONS, labelled=False)
    assert question.answers == () and not question.impossible
    assert (
        read("x.csv", "prompt,choice0,choice1\na,b,c\n", CHOICES, labelled=False)[0].label is None
    )


def test_conll(read, tmp_path):
    content = (
        "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n  \n"
        "-DOCSTART-\n\nU.N. NNP I-NP I-ORG \n"
    )
    records = read("x.txt", content, TAGS)
    assert records == [
        TagRecord(("EU", "rejects"), ("B-ORG", "O"), f"{tmp_path / 'x.txt'}:3"),
        TagRecord(("U.N.",), ("I-ORG",), f"{tmp_path / 'x.txt'}:9"),
    ]
    (record,) = read("x.bio", "New York\tB-a-b\r\n\u3000x\tI-a-b\r\n\t\r\n", TAGS)
    assert (record.words, record.tags) == (("New York", "\u3000x"), ("B-a-b", "I-a-b"))


def test_tags_in_json(read, tmp_path):
    (record,) = read("x.jsonl", '{"tokens": ["a", "b"], "tags": ["O", "I-x"]}', TAGS)
    assert record == TagRecord(("a", "b"), ("O", "I-x"), f"{tmp_path / 'x.jsonl'}:1")


def test_squad(read, tmp_path):
    place = f"{tmp_path / 'x.json'}, question 'q'"
    (record,) = read("x.json", squad(), QUESTIONS)
    assert record == QuestionRecord("q", "Who?", "So Ada came.", (("Ada", 3),), False, place)
    plausible = [{"text": "So", "answer_start": 0}]
    content = squad(answers=[], is_impossible=True, plausible_answers=plausible)
    assert read("x.json", content, QUESTIONS)[0].impossible


def test_choices(read, tmp_path):
    expected = ChoiceRecord("a", ("b", "c", "d"), 1, f"{tmp_path / 'x.csv'}:2")
    assert read("x.csv", "prompt,label,choice0,choice1,choice2\na,1,b,c,d\n", CHOICES) == [expected]
    names = {"prompt": "start", "choices": "ending"}
    content = "start,ending_a,ending_b,ending_c,label\na,b,c,d,1\n"
    assert read("x.csv", content, CHOICES, columns=names) == [expected]
    # A column's number counts, not its place; and not every name that starts so is a choice.
    table = "prompt,choice10,choice2,choice_source,label\na,ten,two,the web,0\n"
    assert read("x.csv", table, CHOICES)[0].choices == ("two", "ten")
    line = '{"prompt": "a", "choices": ["b", "c"], "choice_lang": "en", "label": 1}'
    (record,) = read("x.jsonl", line, CHOICES)
    assert (record.choices, record.label) == (("b", "c"), 1)


@pytest.mark.parametrize(
    ("name", "content", "task", "message"),
    [
        ("x.csv", "", TEXT, r"x\.csv holds no record"),
        ("x.csv", "text,label\n", TEXT, "holds no record"),
        ("x.conll", "\n\n", TAGS, "holds no record"),
        ("x.json", '{"data": []}', QUESTIONS, "holds no record"),
        (
            "x.csv",
            "sentence,label\na,1\n",
            TEXT,
            r"x\.csv:2: no 'text' among \['sentence', 'label'",
        ),
        ("x.csv", "text\na\n", TEXT, "x.csv:2: no 'label' .* labelled=False .--unlabelled. where"),
        ("x.txt", "a\n", TEXT, "x.txt:1: no 'label'"),
        ("x.csv", "text,label\na,\n", TEXT, "x.csv:2: '' is no label"),
        ("x.jsonl", '{"text": "a", "label": null}', TEXT, "x.jsonl:1: None is no label"),
        ("x.jsonl", '{"text": "a", "label": 0.5}', TEXT, "0.5 is no label; .*'regression'"),
        ("x.jsonl", '{"text": "a", "label": ["b"]}', TEXT, r"\['b'\] is no label"),
        ("x.jsonl", '{"text": 1, "label": "b"}', TEXT, "x.jsonl:1: 'text' is '1', not a str"),
        ("x.jsonl", '{"text": "\\ud800", "label": "b"}', TEXT, "'text' holds half a surrogate"),
        ("x.jsonl", '{"text": "a", "label": "\\ud800"}', TEXT, "'label' holds half a surrogate"),
        ("x.jsonl", "5\n", TEXT, "x.jsonl:1: '5' is no JSON object"),
        ("x.conll", "a O\nb\n", TAGS, r"x\.conll:2: \['b'\] is not a token and its tag in 2 col"),
        ("x.conll", "a\nb\n", TAGS, r"x\.conll:1: \['a'\] is not a token and its tag"),
        ("x.conll", "a\tO\nb\tB-x\tO\n", TAGS, r"x\.conll:2: .* in 2 columns"),
        ("x.conll", "a\tO\n\tO\n", TAGS, r"x\.conll:2: \['', 'O'\]"),
        ("x.conll", "a\tO\nb\t\n", TAGS, r"x\.conll:2: \['b'\]"),
        ("x.conll", "a O\n\nb S-x\n", TAGS, r"x\.conll:3: the tag 'S-x' is not O, B-kind or I-k"),
        ("x.conll", "a B-\n", TAGS, "the tag 'B-' is not O"),
        ("x.conll", "a NOUN\n", TAGS, "the tag 'NOUN' is not O"),
        ("x.jsonl", '{"tokens": ["a"], "tags": []}', TAGS, "x.jsonl:1: 1 tokens and 0 tags"),
        ("x.jsonl", '{"tokens": [], "tags": []}', TAGS, "x.jsonl:1: 0 tokens and 0 tags"),
        ("x.jsonl", '{"tokens": ["a"], "tags": [3]}', TAGS, "'tags' is '3', not a str"),
        ("x.json", "{", QUESTIONS, "x.json is not valid JSON"),
        ("x.json", "[]", QUESTIONS, "x.json holds a JSON list"),
        ("x.json", "{}", QUESTIONS, "x.json: no 'data' among"),
        (
            "x.json",
            '{"data": [{"paragraphs": [1]}]}',
            QUESTIONS,
            "after 0 questions: '1' is no JSON",
        ),
        (
            "x.json",
            squad(answers=[{"text": "Ada", "answer_start": 4}]),
            QUESTIONS,
            "x.json, question 'q': the answer 'Ada' does not stand at character 4 .* found at 3",
        ),
        ("x.json", squad(answers=[{"text": "Bob", "answer_start": 3}]), QUESTIONS, r"at -1 \(-1:"),
        ("x.json", squad(answers=[{"text": "e.", "answer_start": -2}]), QUESTIONS, "character -2"),
        ("x.json", squad(answers=[{"text": "", "answer_start": 3}]), QUESTIONS, "the answer ''"),
        ("x.json", squad(answers=[]), QUESTIONS, "0 answers, and is_impossible=False; labelled="),
        ("x.json", squad(is_impossible=True), QUESTIONS, "1 answers, and is_impossible=True"),
        ("x.json", squad(id=5), QUESTIONS, "'id' is '5', not a str"),
        ("x.csv", "prompt,choices,label\na,b,0\n", CHOICES, "x.csv:2: two choices are needed"),
        (
            "x.csv",
            "prompt,choice0,choice1,label\na,b,c,2\n",
            CHOICES,
            "'2' is no choice's number, 0 t",
        ),
        ("x.csv", "prompt,choice0,choice1,label\na,b,c,\n", CHOICES, "'' is no choice's number"),
        (
            "x.jsonl",
            '{"prompt": "a", "choices": ["b", "c"], "label": -1}',
            CHOICES,
            "'-1' is no ch",
        ),
        (
            "x.jsonl",
            '{"prompt": "a", "choices": ["b", null], "label": 0}',
            CHOICES,
            "'None', not a",
        ),
    ],
)
def test_what_is_refused(read, name, content, task, message):
    with pytest.raises(ValueError, match=message):
        read(name, content, task)


@pytest.mark.parametrize("label", ["x", "nan", "inf", "1e999", ""])
def test_what_is_no_number(read, label):
    with pytest.raises(ValueError, match=f"x.csv:2: the label '{label}' is no number"):
        read("x.csv", f"text,label\na,{label}\n", TEXT, problem_type="regression")


def test_numbers_in_json_that_are_none(read):
    for value in ("null", "[1]", "1" + "0" * 400, "NaN"):
        with pytest.raises(ValueError, match="x.jsonl:1: the label .* is no number"):
            read("x.jsonl", f'{{"text": "a", "label": {value}}}', TEXT, problem_type="regression")


def test_several_labels_that_are_none(read):
    for value in ("null", '[""]', "[null]", '["\\ud800"]', "2"):
        with pytest.raises(ValueError, match="x.jsonl:1: .*(is no label|half a surrogate|no list)"):
            read("x.jsonl", f'{{"text": "a", "label": {value}}}', TEXT, problem_type=MULTI)


def test_a_question_has_an_id_of_its_own(read):
    whole = json.loads(squad())
    with pytest.raises(ValueError, match="question 'q': there is another one with this id"):
        read("x.json", json.dumps({"data": whole["data"] * 2}), QUESTIONS)


def test_arguments(read):
    with pytest.raises(ValueError, match="'fill-mask' is none of"):
        read("x.csv", "", "fill-mask")
    with pytest.raises(ValueError, match="'multi' is none of"):
        read("x.csv", "", TEXT, problem_type="multi")
    with pytest.raises(FileNotFoundError):
        read_examples("nowhere.csv", TEXT)


def test_wnut17():
    """Sizes and kinds as its authors count them; empty lines hold a tab in one of the files."""
    sizes, kinds = {}, Counter()
    for name in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"):
        records = read_examples(real_file(f"wnut17/{name}"), TAGS)
        sizes[name] = (len(records), sum(len(record.words) for record in records))
        kinds.update(tag[2:] for record in records for tag in record.tags if tag[0] == "B")
    assert [*sizes.values()] == [(3394, 62730), (1009, 15733), (1287, 23394)]
    assert {*kinds} == {"corporation", "creative-work", "group", "location", "person", "product"}


def test_goemotions():
    records = read_examples(
        real_file("goemotions/dev.tsv"), TEXT, problem_type=MULTI, header=("text", "label", "id")
    )
    assert len(records) == 5426
    assert {int(label) for record in records for label in record.label} == {*range(28)}
    # Nothing is quoted in it, and some texts start with a quotation mark.
    assert sum(record.text.count('"') for record in records) == 884


def test_xquad():
    records = read_examples(real_file("xquad/xquad.en.json"), QUESTIONS)
    assert len(records) == 1190
    assert len({record.context for record in records}) == 240
    for record in records:
        ((text, start),) = record.answers
        assert record.context[start : start + len(text)] == text


def test_lines_of_reviews():
    records = read_examples(real_file("sentence_polarity/rt-polarity.neg"), TEXT, labelled=False)
    assert len(records) == 5331
    assert records[0] == TextRecord("simplistic , silly and tedious . ", place=records[0].place)
