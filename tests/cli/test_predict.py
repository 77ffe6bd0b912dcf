"""The verbs with a head, from bytes on standard input to lines of output."""

import json

import pytest

from minidistil import DistilBertForTokenClassification
from minidistil.pipelines import pipeline
from tests.cli.conftest import HEADS
from tests.pipelines.checkpoints import TEXTS, assert_same, save_checkpoint

# verb, model, task, settings of the verb's defaults
VERBS = [
    ("fill-mask", "mlm", "fill-mask", {}),
    ("classify", "classifier", "text-classification", {"top_k": 1}),
    ("tag", "tagger", "ner", {"aggregation_strategy": "first", "stride": 32}),
]


def texts_for(verb):
    return [f"{text[:20]} [MASK]" if verb == "fill-mask" else text for text in TEXTS]


@pytest.mark.parametrize(("verb", "model", "task", "settings"), VERBS)
def test_json_lines_are_the_pipelines_results(shell, models, verb, model, task, settings):
    texts = texts_for(verb)
    run = shell(verb, "--model", models[model], "--json", stdin="\n".join([*texts, "", texts[0]]))
    assert run.code == 0 and run.err == ""
    want = pipeline(task, models[model], **settings)(texts)
    assert [one["text"] for one in run.objects] == [*texts, "", texts[0]]
    assert_same([one["result"] for one in run.objects], [*want, None, want[0]])
    assert "\\u" not in run.out  # no escapes: 東 stays 東


@pytest.mark.parametrize(("verb", "model", "task", "settings"), VERBS)
def test_text_is_a_line_for_a_line(shell, models, verb, model, task, settings):
    texts = texts_for(verb)
    run = shell(verb, "--model", models[model], stdin="\n".join(["", *texts, " ", ""]))
    assert run.code == 0
    # A text without entities has an empty line, too.
    want = [bool(result) for result in pipeline(task, models[model], **settings)(texts)]
    assert [bool(line) for line in run.lines] == [False, *want, False]
    assert sum(want) >= 4


def test_files_in_order_and_standard_input_among_them(shell, models, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"{name}\n{name} again", encoding="utf-8")
    arguments = [f"--file={source}" for source in (tmp_path / "two", "-", tmp_path / "one")]
    run = shell("classify", "--model", models["classifier"], "--json", *arguments, stdin="king\n")
    assert [one["text"] for one in run.objects] == ["two", "two again", "king", "one", "one again"]


def test_arguments_or_files_not_both(shell, models):
    run = shell("classify", "--model", models["classifier"], "a", "--file", "-")
    assert run.code == 2 and "not both" in run.err


def test_pairs_and_other_fields(shell, models):
    rows = [{"id": 1, "text": "a", "text_pair": "the king"}, {"text": "a"}, {"text": None, "id": 3}]
    run = shell(
        "classify",
        *("--model", models["classifier"], "--format", "jsonl", "--json"),
        stdin="\n".join(map(json.dumps, rows)),
    )
    classify = pipeline("text-classification", models["classifier"], top_k=1)
    want = [*classify([{"text": "a", "text_pair": "the king"}, "a"]), None]
    assert_same([one.pop("result") for one in run.objects], want)
    assert want[0] != want[1]
    assert [list(one) for one in run.objects] == [[*row, "result"] for row in rows]


def test_a_second_text_that_is_none(shell, models):
    lines = '{"text": "a"}\n{"text": "hello", "text_pair": 5}\n'
    run = shell("classify", "--model", models["classifier"], "--format", "jsonl", stdin=lines)
    assert run.code == 1 and len(run.lines) == 1
    assert run.err == "Error: standard input:2: 'text_pair' is 5, not a string\n"


def test_classify_shows_labels(shell, models):
    model = models["classifier"]
    scores = pipeline("text-classification", model, top_k=None)("Ada")
    shown = "  ".join(f"{one['label']} {one['score']:.4f}" for one in scores)
    assert shell("classify", "--model", model, "--all", "Ada").lines == [shown]
    assert shell("classify", "--model", model, "Ada").lines == [shown.split("  ")[0]]
    assert shell("classify", "--model", model, "--top-k", "2", "--all", "Ada").code == 2


def test_fill_mask_shows_every_mask(shell, models):
    run = shell("fill-mask", "--model", models["mlm"], "--top-k", "2", "[MASK] the [MASK]")
    assert [len(mask.split("  ")) for mask in run.lines[0].split(" | ")] == [2, 2]
    arguments = ["--target", "king", "--target", "paris", "--json"]
    run = shell("fill-mask", "--model", models["mlm"], *arguments, "the [MASK]")
    assert {fill["token_str"] for fill in run.objects[0]["result"]} == {"king", "paris"}


def test_tag_without_aggregation(shell, models):
    arguments = ["--model", models["tagger"], "--aggregation", "none"]
    (one,) = shell("tag", *arguments, "--json", TEXTS[0]).objects
    assert_same(one["result"], pipeline("ner", models["tagger"])(TEXTS[0]))
    words = [part.split(":")[1] for part in shell("tag", *arguments, TEXTS[0]).lines[0].split("  ")]
    assert words == [f"{entity['word']} {entity['score']:.4f}" for entity in one["result"]]


def test_tag_with_few_positions(shell, tmp_path):
    """The default stride is no longer than half of what the model takes."""
    model = save_checkpoint(
        tmp_path, DistilBertForTokenClassification, max_position_embeddings=12, id2label={0: "X"}
    )
    (one,) = shell("tag", "--model", model, "--json", "in paris").objects
    assert_same(one["result"], pipeline("ner", model, aggregation_strategy="first")("in paris"))
    text = "in paris " * 20
    (long,) = shell("tag", "--model", model, "--json", text).objects
    assert max(entity["end"] for entity in long["result"]) == len(text.strip())
    run = shell("tag", "--model", model, "--stride", "10", text)
    assert run.code == 1 and "stride=10 must be less than the 10 tokens" in run.err


def test_answer(shell, models):
    model = models["squad"]
    ask = pipeline("question-answering", model)
    want = ask(question="Who?", context=TEXTS[0], top_k=3)
    run = shell("answer", "--model", model, "--top-k", "3", "Who?", TEXTS[0])
    assert run.lines == ["  ".join(f"{one['answer']} {one['score']:.4f}" for one in want)]
    stdin = f"Who?\t{TEXTS[0]}\n\nWho?\t{TEXTS[1]}\n"
    objects = shell("answer", "--model", model, "--json", stdin=stdin).objects
    assert_same(objects[0]["result"], ask(question="Who?", context=TEXTS[0]))
    assert objects[1] == {"question": "", "context": "", "result": None}
    assert objects[2]["result"]["answer"] in TEXTS[1]
    run = shell("answer", "--model", model, "--impossible", "--top-k", "999", "Who?", "Ada was")
    assert "(no answer)" in run.out
    run = shell("answer", "--model", "no/model", "Who?")
    assert run.code == 2 and "context missing: needs question and context" in run.err


def test_choose(shell, models):
    item = {"prompt": "the king", "choices": ["was born.", "loved", "Paris"]}
    want = pipeline("multiple-choice", models["swag"])(item)
    shown = [f"{want['choice']} {want['scores'][want['choice']]:.4f}"]
    model = ("choose", "--model", models["swag"])
    assert shell(*model, item["prompt"], *item["choices"]).lines == shown
    assert shell(*model, stdin="the king\twas born.\tloved\tParis\n").lines == shown
    run = shell(*model, "--format", "jsonl", "--json", stdin=json.dumps(item))
    assert_same(run.objects[0].pop("result"), want)


def test_the_line_that_breaks_is_named_after_the_results_before_it(shell, models):
    model = ("--model", models["mlm"])
    run = shell("fill-mask", *model, stdin="a [MASK]\n\nno mask\n[MASK]\n")
    assert run.code == 1 and len(run.lines) >= 1 and run.lines[0]
    assert run.err == "Error: standard input:3: the text has no [MASK]: 'no mask'\n"
    run = shell("fill-mask", *model, stdin=b"a [MASK]\n\n\xff [MASK]\n")
    assert run.code == 1 and len(run.lines) == 2
    assert "standard input:3: byte 1 of the line, 0xff" in run.err
    run = shell("fill-mask", *model, "--errors", "replace", stdin=b"\xff [MASK]\n")
    assert run.code == 0 and len(run.lines) == 1


def test_heads_are_all_tried():
    assert set(HEADS) - {"base"} == {"mlm", "classifier", "tagger", "squad", "swag"}


def test_choose_with_the_head_of_another_task(shell, models):
    run = shell("choose", "--model", models["classifier"], "a", "b", "c")
    assert run.code == 1 and run.err.count("\n") == 1
    assert "has no trained classifier.bias, classifier.weight of the shape" in run.err
    assert "pass a checkpoint fine-tuned for multiple-choice" in run.err
    assert "=" not in run.err  # no keyword of Python's
