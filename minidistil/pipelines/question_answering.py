"""Question answering: the span of a context that answers a question.

    context --windows--> start and end logits --> probable spans --merge equal answers--> best

Each window is a distribution of its own over start and end tokens; a span scores their product.
Settings and results are those of transformers 4's pipeline of the same name, which transformers 5
no longer has.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

import torch
from tokenizers import Encoding
from torch import Tensor

from minidistil.arguments import whole
from minidistil.heads import DistilBertForQuestionAnswering
from minidistil.pipelines.base import Pipeline, output_of, text_of
from minidistil.tokenization import DistilBertTokenizer

CONTEXT = 1  # the second text of the pair


class Answer(TypedDict):
    """An answer.

    Attributes:
        score: Its probability in its window; where several spans hold the same words, their sum.
        start: First character in the context.
        end: The character after the last; `context[start:end]` is the answer.
        answer: The text; empty where there is no answer.
    """

    score: float
    start: int
    end: int
    answer: str


class Question(NamedTuple):
    """A question and the text to search."""

    question: str
    context: str


@dataclass(frozen=True)
class QuestionAnsweringSettings:
    """Settings of `QuestionAnswering`.

    Attributes:
        top_k: 1 gives the best answer of each question, more a list. Only the 2 top_k + 10 best
            spans of a window count, as in transformers 4: where several of them make one answer,
            its score, and by it even the best answer, can be another with another top_k.
        max_answer_len: Longest answer, in tokens.
        handle_impossible_answer: Let "no answer" compete, with the smallest score that a window
            gives to [CLS].
        max_seq_len: Tokens of a window, the question included; None is 384 or what the model takes.
        doc_stride: Tokens of context that a window repeats from the window before; None is 128 or
            half a window.
    """

    top_k: int = 1
    max_answer_len: int = 15
    handle_impossible_answer: bool = False
    max_seq_len: int | None = None
    doc_stride: int | None = None

    def __post_init__(self) -> None:
        least = {"top_k": 1, "max_answer_len": 1, "max_seq_len": 1, "doc_stride": 0}
        for name, limit in least.items():
            value = getattr(self, name)
            if value is not None or name in ("top_k", "max_answer_len"):
                whole(name, value, limit)


class QuestionAnswering(Pipeline[Question]):
    """Answer questions: `answer(question=..., context=...)`, or dicts with those keys.

    A context longer than the model is read in windows that overlap.
    """

    model_class = DistilBertForQuestionAnswering
    settings_class = QuestionAnsweringSettings
    default_model = "distilbert/distilbert-base-cased-distilled-squad"

    def __call__(
        self,
        inputs: Any = None,
        *,
        question: str | None = None,
        context: str | None = None,
        **settings: Any,
    ) -> Any:
        """Run the task on `inputs`, as in `Pipeline`, or on one question and its context."""
        if inputs is None:
            inputs = {"question": question, "context": context}
        return super().__call__(inputs, **settings)

    def read(self, item: object) -> Question:
        """Check a question and its context.

        Raises:
            TypeError: No dict of strings.
            ValueError: Other keys, or an empty text.
        """
        if not isinstance(item, Mapping):
            raise TypeError(f"the input is {item!r}, not a dict of question and context")
        if item.keys() != {"question", "context"}:
            raise ValueError(f"an input has the keys question and context, not {[*item]}")
        for name, value in item.items():
            if not text_of(value, name).strip():
                raise ValueError(f"the {name} is empty")
        return Question(item["question"], item["context"])

    def encode(self, item: Question, settings: QuestionAnsweringSettings) -> list[Encoding]:
        """One row a window of the context.

        Raises:
            ValueError: `max_seq_len` is longer than the model takes.
        """
        length = settings.max_seq_len
        length = min(self.max_length, 384) if length is None else length
        if length > self.max_length:
            raise ValueError(f"max_seq_len={length}, but the model takes {self.max_length} tokens")
        return windows(self.tokenizer, item, length, settings.doc_stride)

    def predict(
        self, input_ids: Tensor, attention_mask: Tensor, settings: QuestionAnsweringSettings
    ) -> Iterable[Tensor]:
        """Start and end logits, (2, S) a row."""
        output = output_of(self.model, input_ids, attention_mask)
        return torch.stack((output.start_logits, output.end_logits), dim=1)

    def decode(
        self,
        item: Question,
        rows: list[Encoding],
        outputs: list[Tensor],
        settings: QuestionAnsweringSettings,
    ) -> Answer | list[Answer]:
        """Best spans of all windows."""
        answers: dict[str, Answer] = {}
        impossible = 1.0
        for row, logits in zip(rows, outputs, strict=True):
            words = context_words(row)
            in_context = words[:, 0] >= 0
            scores = _log_probabilities(logits[:, : len(row.ids)], in_context)
            impossible = min(impossible, float(scores[:, 0].sum().exp()))
            # Spans that grow to the same words are one answer: leave some to merge. How many is
            # transformers 4's choice, and the scores hang on it.
            count = 2 * settings.top_k + 10
            for first, last, score in best_spans(
                scores, in_context, settings.max_answer_len, count
            ):
                begin, stop = int(words[first, 0]), int(words[last, 1])
                text = item.context[begin:stop]
                answer = Answer(score=0.0, start=begin, end=stop, answer=text)
                answers.setdefault(text.lower(), answer)["score"] += math.exp(score)
        ranked = [*answers.values()]
        if settings.handle_impossible_answer:
            ranked.append({"score": impossible, "start": 0, "end": 0, "answer": ""})
        ranked.sort(key=lambda answer: -answer["score"])
        return ranked[0] if settings.top_k == 1 else ranked[: settings.top_k]


def windows(
    tokenizer: DistilBertTokenizer, item: Question, length: int, stride: int | None
) -> list[Encoding]:
    """Rows of at most `length` tokens, the question in each, that cover the context together.

    Args:
        tokenizer: Makes the tokens.
        item: The question and its context.
        length: Tokens of a row, special ones included.
        stride: Tokens of context that a row repeats from the row before; None is 128 or half a row.

    Raises:
        ValueError: The question leaves no room, or the context has no words.
    """
    shared = min(length // 2, 128) if stride is None else stride
    asked, told = (
        len(
            tokenizer(text, add_special_tokens=False, truncation=False, max_length=length).input_ids
        )
        for text in item
    )
    room = length - asked - tokenizer.num_special_tokens_to_add(pair=True)
    if told <= room:
        shared = 0  # the one window shares nothing
    elif room <= shared:
        raise ValueError(
            f"the question has {asked} tokens, of the {length} that a window holds: that "
            f"leaves {max(room, 0)} to the context, and windows share {shared}; shorten the "
            f"question{' or lower doc_stride' if stride else ''}"
        )
    rows = tokenizer(
        item.question,
        item.context,
        truncation="only_second",
        max_length=length,
        stride=shared,
        return_overflowing_tokens=True,
    ).encodings
    if CONTEXT not in rows[0].sequence_ids:
        raise ValueError(f"the context has no words: {item.context[:60]!r}")
    return rows


def context_words(row: Encoding) -> Tensor:
    """The word that each token of a row belongs to: its first and its end character, int32 (S, 2).

    They count in the context; outside of it both are -1. A word that a window cuts ends with it.
    """
    spans = [
        row.word_to_chars(word, CONTEXT) if text == CONTEXT and word is not None else (-1, -1)
        for word, text in zip(row.word_ids, row.sequence_ids, strict=True)
    ]
    return torch.tensor(spans, dtype=torch.int32)


def best_spans(
    scores: Tensor, in_context: Tensor, longest: int, count: int
) -> list[tuple[int, int, float]]:
    """First token, last token and score of the `count` best spans of at most `longest` tokens.

    Args:
        scores: (2, S), of every token as the start and as the end; that of a span is their sum.
        in_context: (S,), which tokens a span may hold.
        longest: In tokens.
        count: How many spans, or all where there are fewer.
    """
    candidates = torch.outer(in_context, in_context).triu().tril(longest - 1)
    sums = (scores[0][:, None] + scores[1])[candidates]
    best = sums.topk(min(count, len(sums)))
    spans = candidates.nonzero()[best.indices].tolist()
    return [(*span, score) for span, score in zip(spans, best.values.tolist(), strict=True)]


def _log_probabilities(logits: Tensor, in_context: Tensor) -> Tensor:
    """(2, S) logits to logarithms of the probabilities of being the start and the end.

    The question and [SEP] have none; [CLS] has its share, which is that of "no answer".
    """
    possible = in_context.clone()
    possible[0] = True
    return logits.double().masked_fill(~possible, -torch.inf).log_softmax(-1)
