"""Hashes by which a run knows its model, its teacher and its data again.

    a run's settings --saved--> checkpoint --compared when it is resumed--> go on, or refuse

Not here: a corpus of tokens, which has its own in `distillation/recipe.py`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from minidistil.checkpoints.weights import add_to_hash
from minidistil.pretrained import DistilBertPreTrainedModel
from minidistil.tokenization import DistilBertTokenizer
from minidistil.training.records import Record


def of_weights(model: DistilBertPreTrainedModel) -> str:
    """Of a model's class, label map and weights, wherever they are."""
    digest = hashlib.sha256(f"{type(model).__name__} {model.config.id2label}".encode())
    add_to_hash(digest, model.state_dict().items())
    return digest.hexdigest()


def of_vocabulary(tokenizer: DistilBertTokenizer) -> str:
    """Of the tokens and their ids: what a model must share with its data."""
    return _of(sorted(tokenizer.get_vocab().items()))


def of_records(*parts: Sequence[Record]) -> str:
    """Of what records say, wherever they stand."""
    return _of([[replace(record, place="") for record in part] for part in parts])


def _of(value: object) -> str:
    return hashlib.sha256(repr(value).encode(errors="surrogatepass")).hexdigest()
