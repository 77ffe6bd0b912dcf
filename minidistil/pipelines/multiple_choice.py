"""Multiple choice: which of several texts goes on best from a prompt?

transformers has the model but no such pipeline.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

import torch
from tokenizers import Encoding
from torch import Tensor

from minidistil.heads import DistilBertForMultipleChoice
from minidistil.pipelines.base import Pipeline, output_of, text_of


class Choice(TypedDict):
    """The result.

    Attributes:
        choice: Index of the best choice.
        scores: Probability of each choice; they sum to 1.
    """

    choice: int
    scores: list[float]


class Choices(NamedTuple):
    """A prompt and the texts that may follow it."""

    prompt: str
    choices: list[str]


@dataclass(frozen=True)
class MultipleChoiceSettings:
    """`MultipleChoice` has no settings."""


class MultipleChoice(Pipeline[Choices]):
    """Choose among texts: `choose(prompt=..., choices=[...])`, or dicts with those keys.

    Each choice is read together with the prompt; too long a pair is cut, with a warning.
    """

    model_class = DistilBertForMultipleChoice
    settings_class = MultipleChoiceSettings

    def __call__(
        self,
        inputs: Any = None,
        *,
        prompt: str | None = None,
        choices: Sequence[str] | None = None,
        **settings: Any,
    ) -> Any:
        """Run the task on `inputs`, as in `Pipeline`, or on a prompt and its choices."""
        if inputs is None:
            inputs = {"prompt": prompt, "choices": choices}
        return super().__call__(inputs, **settings)

    def read(self, item: object) -> Choices:
        """Check a prompt and its choices.

        Raises:
            TypeError: No dict, or choices that are no list of strings.
            ValueError: Other keys, or fewer than two choices.
        """
        if not isinstance(item, Mapping):
            raise TypeError(f"the input is {item!r}, not a dict of prompt and choices")
        if item.keys() != {"prompt", "choices"}:
            raise ValueError(f"an input has the keys prompt and choices, not {[*item]}")
        choices = item["choices"]
        if not isinstance(choices, list | tuple):
            raise TypeError(f"choices is {choices!r}, not a list of strings")
        if len(choices) < 2:
            raise ValueError(f"there must be two choices or more, not {choices!r}")
        texts = [text_of(choice, f"choices[{i}]") for i, choice in enumerate(choices)]
        return Choices(text_of(item["prompt"], "prompt"), texts)

    def encode(self, item: Choices, settings: MultipleChoiceSettings) -> list[Encoding]:
        """One row a choice."""
        return [self.tokenize(item.prompt, choice) for choice in item.choices]

    def predict(
        self, input_ids: Tensor, attention_mask: Tensor, settings: MultipleChoiceSettings
    ) -> Iterable[Tensor]:
        """One logit a row."""
        # Rows of one choice each: a choice is scored alone, whatever the others are.
        return output_of(self.model, input_ids[:, None], attention_mask[:, None]).logits

    def decode(
        self,
        item: Choices,
        rows: list[Encoding],
        outputs: list[Tensor],
        settings: MultipleChoiceSettings,
    ) -> Choice:
        """Probabilities over the choices."""
        scores = torch.cat(outputs).softmax(0)
        return {"choice": int(scores.argmax()), "scores": scores.tolist()}
