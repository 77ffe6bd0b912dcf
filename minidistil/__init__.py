"""minidistil: DistilBERT from scratch in PyTorch, exact on any DistilBERT checkpoint.

The way of the data, and of the reader: `tokenization` -> `embeddings` -> `transformer`
(`attention`, `feed_forward`) -> `model` -> `heads`. `docs/design.md` has the whole tree.

Each name is imported when it is first used, so that `minidistil --help` answers without PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minidistil.config import DistilBertConfig
    from minidistil.heads import (
        DistilBertForMaskedLM,
        DistilBertForMultipleChoice,
        DistilBertForQuestionAnswering,
        DistilBertForSequenceClassification,
        DistilBertForTokenClassification,
    )
    from minidistil.model import DistilBertModel
    from minidistil.pipelines import pipeline
    from minidistil.tokenization import DistilBertTokenizer, DistilBertTokenizerFast

__version__ = "0.1.0"

__all__ = [
    "DistilBertConfig",
    "DistilBertForMaskedLM",
    "DistilBertForMultipleChoice",
    "DistilBertForQuestionAnswering",
    "DistilBertForSequenceClassification",
    "DistilBertForTokenClassification",
    "DistilBertModel",
    "DistilBertTokenizer",
    "DistilBertTokenizerFast",
    "pipeline",
]
# The module of each name, by how the name starts.
_HOMES = {
    "DistilBertConfig": "config",
    "DistilBertFor": "heads",
    "DistilBertModel": "model",
    "DistilBertTokenizer": "tokenization",
    "pipeline": "pipelines",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next(home for start, home in _HOMES.items() if name.startswith(start))
    return getattr(importlib.import_module(f"minidistil.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
