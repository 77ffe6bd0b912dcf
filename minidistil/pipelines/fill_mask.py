"""Fill-mask: which tokens belong where [MASK] stands?

Results and settings are those of transformers' pipeline of the same name.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

import torch
from tokenizers import Encoding
from torch import Tensor

from minidistil.arguments import whole
from minidistil.heads import DistilBertForMaskedLM
from minidistil.pipelines.base import Pipeline, output_of, text_of


class Fill(TypedDict):
    """One guess.

    Attributes:
        score: Its probability among all tokens.
        token: Its id.
        token_str: The token as text.
        sequence: The whole text with the guess in place.
    """

    score: float
    token: int
    token_str: str
    sequence: str


@dataclass(frozen=True)
class FillMaskSettings:
    """Settings of `FillMask`.

    Attributes:
        top_k: How many guesses.
        targets: Words to choose among, instead of the whole vocabulary; of a word that is several
            tokens, the first one stands for it. Their probabilities stay those among all tokens.
    """

    top_k: int = 5
    targets: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        whole("top_k", self.top_k, least=1)


class FillMask(Pipeline[str]):
    """Guess masked tokens.

    A text with one [MASK] gives a list of `Fill`, best first; one with several gives such a list
    for each, and each guess knows nothing of the others. A text longer than the model is cut, with
    a warning.
    """

    model_class = DistilBertForMaskedLM
    settings_class = FillMaskSettings
    default_model = "distilbert/distilbert-base-uncased"

    def read(self, item: object) -> str:
        """Check a text."""
        return text_of(item)

    def encode(self, item: str, settings: FillMaskSettings) -> list[Encoding]:
        """One row a text.

        Raises:
            ValueError: It holds no [MASK], or none in what the model takes of it.
        """
        row = self.tokenize(item)
        if self.tokenizer.mask_token_id not in row.ids:
            where = f" in its first {self.max_length} tokens" if row.overflowing else ""
            raise ValueError(f"the text has no {self.tokenizer.mask_token}{where}: {item[:60]!r}")
        return [row]

    def predict(
        self, input_ids: Tensor, attention_mask: Tensor, settings: FillMaskSettings
    ) -> Iterable[Tensor]:
        """Logits of the masked places alone, (masks, V) a row."""
        hidden = output_of(self.model.encoder, input_ids, attention_mask).last_hidden_state
        masks = input_ids == self.tokenizer.mask_token_id
        return self.model.logits(hidden[masks]).split(masks.sum(1).tolist())

    def decode(
        self,
        item: str,
        rows: list[Encoding],
        outputs: list[Tensor],
        settings: FillMaskSettings,
    ) -> list[Fill] | list[list[Fill]]:
        """The best tokens for each masked place."""
        ids = rows[0].ids
        places = [i for i, token in enumerate(ids) if token == self.tokenizer.mask_token_id]
        targets = self._all_ids
        if settings.targets is not None:
            targets = torch.tensor(self._target_ids(settings.targets))
        best = outputs[0].softmax(-1)[:, targets].topk(min(settings.top_k, len(targets)))
        guesses = []
        for place, scores, chosen in zip(places, *best, strict=True):
            guesses.append(
                [
                    self._fill(ids, place, token, score, only=len(places) == 1)
                    for token, score in zip(targets[chosen].tolist(), scores.tolist(), strict=True)
                ]
            )
        return guesses[0] if len(guesses) == 1 else guesses

    @cached_property
    def _all_ids(self) -> Tensor:
        # A model may embed more rows than there are tokens; those others are no guess.
        return torch.tensor(sorted(self.tokenizer.get_vocab().values()))

    def _fill(self, ids: list[int], place: int, token: int, score: float, only: bool) -> Fill:
        filled = [*ids[:place], token, *ids[place + 1 :]]
        return {
            "score": score,
            "token": token,
            "token_str": self.tokenizer.decode([token]),
            # With special tokens the other masks would go, too.
            "sequence": self.tokenizer.decode(filled, skip_special_tokens=only),
        }

    def _target_ids(self, targets: str | Sequence[str]) -> list[int]:
        found = set()
        for target in [targets] if isinstance(targets, str) else targets:
            pieces = self.tokenizer.encode(target, add_special_tokens=False)
            whole = self.tokenizer.convert_tokens_to_ids(target)
            if whole != self.tokenizer.unk_token_id or target == self.tokenizer.unk_token:
                found.add(whole)
            elif pieces:
                first = self.tokenizer.convert_ids_to_tokens(pieces[0])
                warnings.warn(
                    f"the target {target!r} is not one token: {first!r} stands for it",
                    stacklevel=2,
                )
                found.add(pieces[0])
        if not found:
            raise ValueError(f"targets={targets!r} holds no word that the tokenizer knows")
        return sorted(found)
