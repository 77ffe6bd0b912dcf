"""The verbs that have a head predict: fill-mask, classify, tag, answer, choose."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from minidistil.cli.options import Common, common_options
from minidistil.cli.records import Record
from minidistil.cli.results import results_of, write

TEXT = ("text",)
QUESTION = ("question", "context")
CHOICES = ("prompt", "choices")
TOP_K = click.IntRange(min=1)


def _text(record: Record) -> str:
    return record.values["text"]


def _fields(record: Record) -> dict[str, Any]:
    return {name: record.values[name] for name in record.names}


def _pair(record: Record) -> dict[str, Any]:
    pair = record.values.get("text_pair")
    if not isinstance(pair, str | None):
        raise ValueError(f"{record.place}: 'text_pair' is {pair!r}, not a string")
    return {"text": record.values["text"], "text_pair": pair}


def _run(
    common: Common,
    task: str,
    arguments: tuple[str, ...],
    names: tuple[str, ...],
    item_of: Callable[[Record], Any],
    show: Callable[[Any], str],
    **settings: Any,
) -> None:
    records = common.records(arguments, names)
    predict = common.pipeline(task, **settings)
    for record, result in results_of(records, item_of, predict):
        write(record, result, common.as_json, show)


@click.command(
    "fill-mask",
    epilog="""\b
Example:
  minidistil fill-mask --model distilbert/distilbert-base-uncased \\
      "Hello I'm a [MASK] model."
""",
)
@click.argument("text", nargs=-1)
@click.option("--top-k", type=TOP_K, default=5, show_default=True, help="Guesses for each mask.")
@click.option("--target", "targets", multiple=True, metavar="WORD", help="Guess only among these.")
@common_options
def fill_mask(common: Common, text: tuple[str, ...], top_k: int, targets: tuple[str, ...]) -> None:
    """Guess the word that belongs where [MASK] stands.

    JSON fields: text. An empty line has no result (null).
    """
    _run(
        common,
        "fill-mask",
        text,
        TEXT,
        _text,
        _show_fills,
        top_k=top_k,
        targets=list(targets) or None,
    )


def _show_fills(result: list[Any]) -> str:
    several = result if isinstance(result[0], list) else [result]
    return " | ".join(
        "  ".join(f"{fill['token_str']} {fill['score']:.4f}" for fill in fills) for fills in several
    )


@click.command(
    "classify",
    epilog="""\b
Example:
  minidistil classify "I've been waiting for this all my life." "I hate this so much!"
""",
)
@click.argument("text", nargs=-1)
@click.option("--top-k", type=TOP_K, help="Labels of each text.  [default: the best]")
@click.option("--all", "every", is_flag=True, help="All labels of each text.")
@common_options
def classify(common: Common, text: tuple[str, ...], top_k: int | None, every: bool) -> None:
    """Label texts: sentiment, topic, or whatever the model was trained for.

    The default model is the student that comes with the package: sentiment, English.
    JSON fields: text and, for pairs, text_pair. An empty line has no result (null).
    """
    if every and top_k:
        raise click.UsageError("give --top-k or --all, not both")
    _run(
        common,
        "text-classification",
        text,
        TEXT,
        _pair,
        _show_labels,
        top_k=None if every else top_k or 1,
    )


def _show_labels(result: list[Any]) -> str:
    return "  ".join(f"{label['label']} {label['score']:.4f}" for label in result)


@click.command(
    "tag",
    epilog="""\b
Example (any DistilBERT trained to label tokens):
  minidistil tag --model dslim/distilbert-NER "Ada Lovelace was born in London."
""",
)
@click.argument("text", nargs=-1)
@click.option(
    "--aggregation",
    type=click.Choice(["none", "simple", "first", "average", "max"]),
    default="first",
    show_default=True,
    help="How tokens become words and phrases.",
)
@click.option(
    "--stride",
    type=click.IntRange(min=0),
    help="Tokens that the windows of a long text share.  [default: 32, at most half a window]",
)
@common_options
def tag(common: Common, text: tuple[str, ...], aggregation: str, stride: int | None) -> None:
    """Find names and other entities in texts of any length.

    JSON fields: text. An empty line has no result (null).
    """
    records = common.records(text, TEXT)
    predict = common.pipeline("token-classification", aggregation_strategy=aggregation)
    if aggregation != "none":
        if stride is None:
            room = predict.max_length - predict.tokenizer.num_special_tokens_to_add()
            stride = min(32, room // 2)
        predict.settings = replace(predict.settings, stride=stride)
    for record, result in results_of(records, _text, predict):
        write(record, result, common.as_json, _show_entities)


def _show_entities(result: list[Any]) -> str:
    return "  ".join(
        f"{entity.get('entity_group', entity.get('entity'))}:{entity['word']} {entity['score']:.4f}"
        for entity in result
    )


@click.command(
    "answer",
    epilog="""\b
Example:
  minidistil answer --model distilbert/distilbert-base-cased-distilled-squad \\
      "Where was HuggingFace founded?" "HuggingFace was founded in Paris."
""",
)
@click.argument("question_context", nargs=-1, metavar="[QUESTION CONTEXT]")
@click.option("--top-k", type=TOP_K, default=1, show_default=True, help="Answers to a question.")
@click.option("--max-answer-len", type=TOP_K, default=15, show_default=True, help="In tokens.")
@click.option("--impossible", is_flag=True, help="Let 'no answer' be an answer.")
@common_options
def answer(
    common: Common,
    question_context: tuple[str, ...],
    top_k: int,
    max_answer_len: int,
    impossible: bool,
) -> None:
    """Answer a question with words of a context, which may be long.

    A line of text is QUESTION, a tab, CONTEXT. JSON fields: question, context.
    An empty line, question or context has no result (null).
    """
    _run(
        common,
        "question-answering",
        question_context,
        QUESTION,
        _fields,
        _show_answers,
        top_k=top_k,
        max_answer_len=max_answer_len,
        handle_impossible_answer=impossible,
    )


def _show_answers(result: Any) -> str:
    answers = result if isinstance(result, list) else [result]
    return "  ".join(f"{one['answer'] or '(no answer)'} {one['score']:.4f}" for one in answers)


@click.command(
    "choose",
    epilog="""\b
Example (any DistilBERT trained for multiple choice, such as on SWAG):
  minidistil choose --model my-distilbert-swag \\
      "She opened the umbrella because" "it rained." "it sang."
""",
)
@click.argument("prompt_choices", nargs=-1, metavar="[PROMPT CHOICE CHOICE...]")
@common_options
def choose(common: Common, prompt_choices: tuple[str, ...]) -> None:
    """Choose the text that goes on best from a prompt.

    A line of text is PROMPT and its choices, separated by tabs. JSON fields: prompt,
    choices (a list). An empty line or prompt has no result (null).
    """
    _run(common, "multiple-choice", prompt_choices, CHOICES, _fields, _show_choice)


def _show_choice(result: Any) -> str:
    return f"{result['choice']} {result['scores'][result['choice']]:.4f}"
