"""What every pipeline does: read inputs, batch them by length, run the model, keep the order.

    inputs --read--> items --encode--> rows of tokens --predict--> outputs --decode--> results

A task writes those four steps; this file runs them. Rows of similar length share a batch, because
padding costs as much as text. One input may become several rows (windows of a long text), and one
input is one result, in the order of the inputs.

Not here: loading a checkpoint (`factory.py`).
"""

import dataclasses
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from tokenizers import Encoding
from torch import Tensor
from tqdm import tqdm

from minidistil.arguments import usable_device, whole
from minidistil.pretrained import DistilBertPreTrainedModel
from minidistil.tokenization import DistilBertTokenizer

Item = TypeVar("Item")
# Batches read ahead, so that inputs of similar length can be put together.
READ_AHEAD = 16
SHOW_PROGRESS_AFTER = 3.0  # seconds


class InputError(ValueError):
    """An input that a task can't work with.

    Attributes:
        index: Its place among the inputs, from 0.
        reason: What is wrong with it.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"input {index}: {reason}")
        self.index = index
        self.reason = reason


class Pipeline(ABC, Generic[Item]):
    """Base of the pipelines: text in, results out.

    Args:
        model: A model of the task's class; it is put in eval mode.
        tokenizer: Its tokenizer.
        device: Where to run; None leaves the model where it is.
        batch_size: Rows that go through the model at a time.
        **settings: The task's, by default for every call.

    Raises:
        TypeError: Another class of model or tokenizer, or a setting the task doesn't have.
        ValueError: A vocabulary larger than the model's, a batch size below 1, no such device.
    """

    model_class: ClassVar[type[DistilBertPreTrainedModel]]
    settings_class: ClassVar[type[Any]]
    default_model: ClassVar[str | Path | None] = None

    def __init__(
        self,
        model: Any,
        tokenizer: DistilBertTokenizer,
        device: str | int | torch.device | None = None,
        batch_size: int = 8,
        **settings: Any,
    ) -> None:
        for value, kind in ((model, self.model_class), (tokenizer, DistilBertTokenizer)):
            if not isinstance(value, kind):
                raise TypeError(
                    f"{type(self).__name__} needs a {kind.__name__}, not a {type(value).__name__}"
                )
        highest, rows = max(tokenizer.get_vocab().values()), model.config.vocab_size
        if highest >= rows:
            raise ValueError(
                f"the tokenizer has ids up to {highest}, the model embeds {rows} tokens: they "
                f"don't belong together, or call model.resize_token_embeddings({highest + 1})"
            )
        self.settings = self.settings_class(**settings)
        self.batch_size = whole("batch_size", batch_size, least=1)
        place = model.device if device is None else usable_device(device)
        if place.type == "meta":
            raise ValueError("the device 'meta' can't be used: it holds shapes, not numbers")
        self.model = model.eval() if device is None else model.eval().to(place)
        self.tokenizer = tokenizer
        self.max_length = min(tokenizer.model_max_length, model.config.max_position_embeddings)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    def __call__(self, inputs: Any, **settings: Any) -> Any:
        """Run the task.

        Args:
            inputs: One input gives one result, a list or tuple gives a list, and anything else
                that can be iterated gives an iterator, which reads some batches ahead and no more.
            **settings: The task's, for this call.

        Raises:
            TypeError: An input is no text.
            InputError: An input that the task can't work with, after the results before it.
        """
        chosen = dataclasses.replace(self.settings, **settings)
        if isinstance(inputs, str | Mapping):
            return next(self._stream(iter([inputs]), chosen))
        if isinstance(inputs, list | tuple):
            results = self._stream(iter(inputs), chosen)
            # None hides the bar where stderr is no terminal.
            bar = tqdm(results, total=len(inputs), disable=None, delay=SHOW_PROGRESS_AFTER)
            return list(bar)
        if not isinstance(inputs, Iterable) or isinstance(inputs, bytes | bytearray):
            raise TypeError(f"the input is {inputs!r}, a {type(inputs).__name__}, not a text")
        return self._stream(iter(inputs), chosen)

    @abstractmethod
    def read(self, item: Any) -> Item:
        """Check one input; TypeError or ValueError says what is wrong with it."""

    @abstractmethod
    def encode(self, item: Item, settings: Any) -> list[Encoding]:
        """Tokenize one input into one row or more."""

    @abstractmethod
    def predict(self, input_ids: Tensor, attention_mask: Tensor, settings: Any) -> Iterable[Tensor]:
        """Run the model on a batch (B, S), padded on the right; one tensor for each row."""

    @abstractmethod
    def decode(self, item: Item, rows: list[Encoding], outputs: list[Tensor], settings: Any) -> Any:
        """Turn the float32 outputs of an input's rows into its result."""

    def tokenize(self, text: str, pair: str | None = None) -> Encoding:
        """One row of a text or a pair, cut to what the model takes, with one warning."""
        rows = self.tokenizer(text, pair, truncation=True, max_length=self.max_length).encodings
        if rows[0].overflowing:
            warnings.warn(
                f"a text is longer than the {self.max_length} tokens that the model takes: "
                "what comes after them is not read",
                stacklevel=2,
            )
        return rows[0]

    def _stream(self, inputs: Iterator[Any], settings: Any) -> Iterator[Any]:
        numbered = enumerate(inputs)
        while window := list(islice(numbered, self.batch_size * READ_AHEAD)):
            yield from self._window(window, settings)

    def _window(self, window: list[tuple[int, Any]], settings: Any) -> Iterator[Any]:
        encoded: list[tuple[Item, list[Encoding]]] = []
        failure: Exception | None = None
        for index, value in window:
            try:
                item = self.read(value)
                encoded.append((item, self.encode(item, settings)))
            except TypeError as error:
                failure = TypeError(f"input {index}: {error}")
                break
            except ValueError as error:
                failure = InputError(index, str(error))
                break
        outputs = iter(self._outputs([row for _, rows in encoded for row in rows], settings))
        for item, rows in encoded:
            yield self.decode(item, rows, list(islice(outputs, len(rows))), settings)
        if failure is not None:
            raise failure

    @torch.inference_mode()
    def _outputs(self, rows: Sequence[Encoding], settings: Any) -> list[Tensor]:
        order = sorted(range(len(rows)), key=lambda index: len(rows[index].ids))
        outputs: dict[int, Tensor] = {}
        for first in range(0, len(order), self.batch_size):
            batch = order[first : first + self.batch_size]
            shape = (len(batch), len(rows[batch[-1]].ids))
            input_ids = torch.full(shape, self.tokenizer.pad_token_id)
            attention_mask = torch.zeros(shape, dtype=torch.int64)
            for line, index in enumerate(batch):
                ids = rows[index].ids
                input_ids[line, : len(ids)] = torch.tensor(ids)
                attention_mask[line, : len(ids)] = 1
            results = self.predict(
                input_ids.to(self.device), attention_mask.to(self.device), settings
            )
            for index, result in zip(batch, results, strict=True):
                outputs[index] = result.float().cpu()
        return [outputs[index] for index in range(len(rows))]


def output_of(model: DistilBertPreTrainedModel, input_ids: Tensor, attention_mask: Tensor) -> Any:
    """The typed output of a model, whatever its config has it return by default."""
    return model(
        input_ids,
        attention_mask,
        output_hidden_states=False,
        output_attentions=False,
        return_dict=True,
    )


def text_of(value: object, name: str = "the input") -> str:
    """The value itself, if it is a string.

    Raises:
        TypeError: It is not; the message names it.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, a {type(value).__name__}, not a string")
    return value
