"""Small checkpoints on disk that transformers and we can both load, and texts for them."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from minidistil import DistilBertConfig
from minidistil.pretrained import DistilBertPreTrainedModel
from minidistil.tokenization import DistilBertTokenizer

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "in", "of", "paris", "was", "born", "ada", "king", "love", "##ly", "##ing"]
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?!'-"
VOCAB = [*SPECIAL_TOKENS, *WORDS, *CHARACTERS, *(f"##{c}" for c in CHARACTERS)]

# Accents, case, an unknown character, punctuation, words of one and of many pieces.
TEXTS = [
    "Ada Lovelace was born in London.",
    "The king of Páris loved the lovely song, didn't he?",
    "a",
    "In 1843 (so they say) 東 京 was loving  Ada-King!",
    "The  numbers ... of Ada, king of Paris, in a lovely\tletter.",
]


def save_checkpoint(folder: Path, cls: type[DistilBertPreTrainedModel], **fields: object) -> Path:
    """Save a model whose output hangs on every token, with its tokenizer.

    The weights are drawn by NumPy's RandomState, whose numbers never change, so that recorded
    results stay valid; they are about 12 times as large as in a new model.
    """
    shape = {"dim": 48, "n_heads": 3, "hidden_dim": 61, "n_layers": 2}
    config = DistilBertConfig(
        **{"vocab_size": len(VOCAB), "max_position_embeddings": 64, **shape, **fields}
    )
    model = cls(config)
    draw = np.random.RandomState(7)
    # Biases are small: a large one would be the same for all tokens, and all would look alike.
    scale = {nn.Linear: 0.25, nn.LayerNorm: 0.1, nn.Embedding: 1.0}
    with torch.no_grad():
        for module in model.modules():
            for name, parameter in module.named_parameters(recurse=False):
                values = torch.from_numpy(draw.standard_normal(tuple(parameter.shape)))
                is_bias = name == "bias"
                center = float(isinstance(module, nn.LayerNorm) and not is_bias)
                parameter.copy_(center + (0.1 if is_bias else scale[type(module)]) * values)
    model.tie_weights()
    model.save_pretrained(folder)
    vocab = {token: index for index, token in enumerate(VOCAB)}
    DistilBertTokenizer(vocab, model_max_length=64).save_pretrained(folder)
    return folder


def assert_same(actual: object, expected: object, bound: float = 1e-5) -> None:
    """Nested results are equal, numbers within `bound`."""
    if isinstance(expected, dict):
        assert isinstance(actual, dict) and actual.keys() == expected.keys()
        for key in expected:
            assert_same(actual[key], expected[key], bound)
    elif isinstance(expected, list):
        assert isinstance(actual, list) and len(actual) == len(expected), (actual, expected)
        for one, other in zip(actual, expected, strict=True):
            assert_same(one, other, bound)
    elif isinstance(expected, float | np.floating):
        assert isinstance(actual, float) and abs(actual - expected) <= bound, (actual, expected)
    else:
        assert actual == expected and type(actual) is type(expected)
