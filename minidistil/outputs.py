"""Typed results of the models.

Fields have transformers' names and order. A result is read by attribute, by name or by index;
fields that are None are skipped by all but the attribute. `to_tuple()` is what
`return_dict=False` returns. Each class is a pytree node, so `torch.compile`, `torch.export` and
`torch.func` look through it.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor


@dataclass(eq=False)
class ModelOutput(Mapping[str, Any]):
    """A dataclass of tensors that also behaves as a mapping and a tuple of its fields.

    A mapping of the fields makes one, as keywords, `type(out)(**fields)`, or as the only argument,
    `type(out)(fields)`, which is how accelerate rebuilds a mapping that it has moved or gathered.
    """

    def __post_init__(self) -> None:
        first = getattr(self, dataclasses.fields(self)[0].name)
        if isinstance(first, Mapping) and len(self) == 1:
            self.__init__(**first)

    def __eq__(self, other: object) -> bool:
        # Mapping compares by value, which asks a tensor for its truth.
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __iter__(self) -> Iterator[str]:
        names = (field.name for field in dataclasses.fields(self))
        return (name for name in names if getattr(self, name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, key: str | int) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            if key not in list(self):
                raise KeyError(key)
            return getattr(self, key)
        return self.to_tuple()[key]

    def to_tuple(self) -> tuple[Any, ...]:
        """The fields that are not None, in order."""
        return tuple(getattr(self, name) for name in self)


@dataclass(eq=False)
class BaseModelOutput(ModelOutput):
    """Result of `DistilBertModel`.

    Attributes:
        last_hidden_state: (B, S, D), or (N, D) for a packed batch.
        hidden_states: L + 1 tensors of the same shape: the embeddings, then each block.
        attentions: L tensors (B, H, S, S): the weights after dropout.
    """

    last_hidden_state: Tensor
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass(eq=False)
class MaskedLMOutput(ModelOutput):
    """Result of `DistilBertForMaskedLM`; logits (B, S, V), or (N, V) for a packed batch."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass(eq=False)
class SequenceClassifierOutput(ModelOutput):
    """Result of `DistilBertForSequenceClassification`; logits (B, num_labels)."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass(eq=False)
class TokenClassifierOutput(ModelOutput):
    """Result of `DistilBertForTokenClassification`.

    Its logits are (B, S, num_labels), or (N, num_labels) for a packed batch.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass(eq=False)
class MultipleChoiceModelOutput(ModelOutput):
    """Result of `DistilBertForMultipleChoice`; logits (B, C)."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass(eq=False)
class QuestionAnsweringModelOutput(ModelOutput):
    """Result of `DistilBertForQuestionAnswering`; logits (B, S), or (N,) for a packed batch."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


for _cls in ModelOutput.__subclasses__():
    torch.export.register_dataclass(_cls, serialized_type_name=f"minidistil.{_cls.__name__}")
