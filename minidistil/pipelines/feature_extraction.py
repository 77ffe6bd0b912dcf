"""Feature extraction: a vector for each text, or one for each of its tokens.

A sentence embedding is the mean of the token vectors, of length 1: cosine similarity is then a dot
product. How a checkpoint wants to be pooled is up to its training; sentence models mostly say mean.

Source: Reimers and Gurevych 2019, arXiv 1908.10084, section 3, for mean and CLS pooling.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch.nn.functional as F
from tokenizers import Encoding
from torch import Tensor

from minidistil.assets import STUDENT
from minidistil.pipelines.base import Pipeline, output_of, text_of
from minidistil.pretrained import DistilBertPreTrainedModel


@dataclass(frozen=True)
class FeatureExtractionSettings:
    """Settings of `FeatureExtraction`.

    Attributes:
        pooling: "mean" of a text's tokens, special ones included; "cls", the first of them; or
            None for all of them.
        normalize: Bring pooled vectors to length 1.
    """

    pooling: Literal["mean", "cls"] | None = "mean"
    normalize: bool = True

    def __post_init__(self) -> None:
        if self.pooling not in ("mean", "cls", None):
            raise ValueError(f'pooling={self.pooling!r} is none of "mean", "cls" and None')


class FeatureExtraction(Pipeline[str]):
    """Make float32 vectors of texts: (D,) for each, or (S, D) with `pooling=None`.

    Any DistilBERT will do: its head is not asked. A text longer than the model is cut, with a
    warning; `search.split_passage` cuts it into pieces instead.
    """

    model_class = DistilBertPreTrainedModel
    settings_class = FeatureExtractionSettings
    default_model = STUDENT

    def read(self, item: object) -> str:
        """Check a text."""
        return text_of(item)

    def encode(self, item: str, settings: FeatureExtractionSettings) -> list[Encoding]:
        """One row a text."""
        return [self.tokenize(item)]

    def predict(
        self, input_ids: Tensor, attention_mask: Tensor, settings: FeatureExtractionSettings
    ) -> Iterable[Tensor]:
        """Vectors, (D,) a row, or hidden states, (S, D)."""
        hidden = output_of(self.model.encoder, input_ids, attention_mask).last_hidden_state
        if settings.pooling is None:
            return hidden
        if settings.pooling == "cls":
            pooled = hidden[:, 0].float()
        else:
            mask = attention_mask[..., None]
            pooled = (hidden.float() * mask).sum(1) / mask.sum(1)
        return F.normalize(pooled) if settings.normalize else pooled

    def decode(
        self,
        item: str,
        rows: list[Encoding],
        outputs: list[Tensor],
        settings: FeatureExtractionSettings,
    ) -> np.ndarray:
        """The vectors as an array."""
        vectors = outputs[0] if settings.pooling else outputs[0][: len(rows[0].ids)]
        return vectors.numpy()
