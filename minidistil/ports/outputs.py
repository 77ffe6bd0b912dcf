"""Typed results of the ports: read as those of `minidistil.outputs`, of arrays of any framework.

Fields have transformers' names and order; those that are None are skipped by all but the attribute.
Each port makes them known to its own framework, so that compiled functions can return them.
"""

from dataclasses import dataclass
from typing import Any

from minidistil.outputs import ModelOutput


@dataclass(eq=False)
class EncoderOutput(ModelOutput):
    """Result of a model without a head.

    Attributes:
        last_hidden_state: (B, S, D).
        hidden_states: L + 1 arrays of the same shape: the embeddings, then each block.
        attentions: L arrays (B, H, S, S): the weights after dropout.
    """

    last_hidden_state: Any
    hidden_states: tuple[Any, ...] | None = None
    attentions: tuple[Any, ...] | None = None


@dataclass(eq=False)
class HeadOutput(ModelOutput):
    """Result of a head with one answer: its logits, and the loss where labels are given."""

    loss: Any = None
    logits: Any = None
    hidden_states: tuple[Any, ...] | None = None
    attentions: tuple[Any, ...] | None = None


@dataclass(eq=False)
class AnswerOutput(ModelOutput):
    """Result of question answering; logits (B, S) of where an answer starts and ends."""

    loss: Any = None
    start_logits: Any = None
    end_logits: Any = None
    hidden_states: tuple[Any, ...] | None = None
    attentions: tuple[Any, ...] | None = None


OUTPUTS = (EncoderOutput, HeadOutput, AnswerOutput)
