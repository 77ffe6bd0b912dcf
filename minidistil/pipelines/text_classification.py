"""Text classification: the label of a text or a pair of texts; also scores in regression.

Results and settings are those of transformers' pipeline of the same name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypedDict

import torch
from tokenizers import Encoding
from torch import Tensor

from minidistil.arguments import whole
from minidistil.assets import STUDENT
from minidistil.heads import DistilBertForSequenceClassification
from minidistil.pipelines.base import Pipeline, output_of, text_of

FUNCTIONS = {"softmax": lambda x: x.softmax(-1), "sigmoid": torch.sigmoid, "none": lambda x: x}


class Label(TypedDict):
    """A label and its score: a probability, or the number itself in regression."""

    label: str
    score: float


class Pair(NamedTuple):
    """A text and perhaps a second one."""

    text: str
    text_pair: str | None


@dataclass(frozen=True)
class TextClassificationSettings:
    """Settings of `TextClassification`.

    Attributes:
        top_k: "best" gives the best label of each text, a number so many in a list, None all.
        function_to_apply: What makes scores of logits: "softmax", "sigmoid" or "none". None goes
            by the config: nothing for a regression, sigmoid for several labels at once or a single
            one, softmax otherwise.
    """

    top_k: int | Literal["best"] | None = "best"
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = None

    def __post_init__(self) -> None:
        if self.top_k not in ("best", None):
            whole("top_k", self.top_k, least=1)
        if self.function_to_apply not in (None, *FUNCTIONS):
            raise ValueError(
                f"function_to_apply={self.function_to_apply!r} is none of {[*FUNCTIONS]}"
            )


class TextClassification(Pipeline[Pair]):
    """Classify texts, or pairs given as `{"text": ..., "text_pair": ...}`.

    As in transformers, a single string gives a list of one `Label` even where only the best is
    asked for. A text longer than the model is cut, with a warning.
    """

    model_class = DistilBertForSequenceClassification
    settings_class = TextClassificationSettings
    default_model = STUDENT

    def __call__(self, inputs: Any, **settings: Any) -> Any:
        """Run the task, as in `Pipeline`."""
        result = super().__call__(inputs, **settings)
        return [result] if isinstance(inputs, str) and isinstance(result, dict) else result

    def read(self, item: object) -> Pair:
        """Check a text or a pair.

        Raises:
            TypeError: Neither a string nor a dict of strings.
            ValueError: A dict with other keys.
        """
        if not isinstance(item, Mapping):
            return Pair(text_of(item), None)
        unknown = item.keys() - {"text", "text_pair"}
        if unknown or "text" not in item:
            raise ValueError(f"a pair has the keys text and text_pair, not {[*item]}")
        pair = item.get("text_pair")
        return Pair(
            text_of(item["text"], "text"),
            None if pair is None else text_of(pair, "text_pair"),
        )

    def encode(self, item: Pair, settings: TextClassificationSettings) -> list[Encoding]:
        """One row a text or pair."""
        return [self.tokenize(*item)]

    def predict(
        self, input_ids: Tensor, attention_mask: Tensor, settings: TextClassificationSettings
    ) -> Iterable[Tensor]:
        """Logits, (num_labels,) a row."""
        return output_of(self.model, input_ids, attention_mask).logits

    def decode(
        self,
        item: Pair,
        rows: list[Encoding],
        outputs: list[Tensor],
        settings: TextClassificationSettings,
    ) -> Label | list[Label]:
        """Labels, best first."""
        function = settings.function_to_apply or self._function()
        scores = FUNCTIONS[function](outputs[0]).tolist()
        labels: list[Label] = [
            {"label": self.model.config.id2label[i], "score": score}
            for i, score in enumerate(scores)
        ]
        # Equal scores stay in the order of the labels.
        labels.sort(key=lambda label: -label["score"])
        return labels[0] if settings.top_k == "best" else labels[: settings.top_k]

    def _function(self) -> str:
        config = self.model.config
        if config.problem_type == "regression":
            return "none"
        if config.problem_type == "multi_label_classification" or config.num_labels == 1:
            return "sigmoid"
        return "softmax"
