"""BERT -> DistilBERT, exactly, for text without a second segment.

DistilBERT is BERT without segment embeddings and without the pooler. BERT adds the same segment
vector to every token of a single text, so that vector can be added to every position instead:

    word + position + segment[0]  =  word + (position + segment[0])

What cannot be carried over exactly is left out and named: the pooler, next-sentence prediction,
classifiers that sit on the pooler, and the head for question answering, because its input is always
a pair, question and context, whose second segment DistilBERT can't mark.

Source: Devlin et al. 2018; the names are transformers'.
"""

import os
from typing import Any

from minidistil.checkpoints.files import read_json
from minidistil.checkpoints.hub import resolve_file
from minidistil.checkpoints.loading import build_model
from minidistil.checkpoints.weights import read_weights
from minidistil.config import DistilBertConfig
from minidistil.embeddings import LAYER_NORM_EPS
from minidistil.heads import DistilBertForMaskedLM, DistilBertForTokenClassification
from minidistil.model import DistilBertModel
from minidistil.pretrained import DistilBertPreTrainedModel

CONFIG_FIELDS = {
    "vocab_size": "vocab_size",
    "max_position_embeddings": "max_position_embeddings",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "hidden_size": "dim",
    "intermediate_size": "hidden_dim",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "hidden_act": "activation",
    "initializer_range": "initializer_range",
    "pad_token_id": "pad_token_id",
    "tie_word_embeddings": "tie_word_embeddings",
    "id2label": "id2label",
    "label2id": "label2id",
    "dtype": "dtype",
    "torch_dtype": "torch_dtype",
}
# Parts of a name, replaced in this order; what follows them is weight or bias (or gamma or beta,
# the older names, which `build_model` knows).
NAMES = {
    "bert.": "",
    "encoder.layer.": "transformer.layer.",
    "attention.self.query.": "attention.q_lin.",
    "attention.self.key.": "attention.k_lin.",
    "attention.self.value.": "attention.v_lin.",
    "attention.output.dense.": "attention.out_lin.",
    "attention.output.LayerNorm.": "sa_layer_norm.",
    "intermediate.dense.": "ffn.lin1.",
    "output.dense.": "ffn.lin2.",
    "output.LayerNorm.": "output_layer_norm.",
    "cls.predictions.transform.dense.": "vocab_transform.",
    "cls.predictions.transform.LayerNorm.": "vocab_layer_norm.",
    "cls.predictions.decoder.": "vocab_projector.",
    "cls.predictions.bias": "vocab_projector.bias",
}
SEGMENTS = "embeddings.token_type_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"


def convert_bert(
    name_or_path: str | os.PathLike[str], **where: Any
) -> tuple[DistilBertPreTrainedModel, list[str]]:
    """Turn a BERT checkpoint into a DistilBERT model.

    The class follows the weights: masked LM and token classification keep their heads, everything
    else becomes a bare `DistilBertModel`.

    Args:
        name_or_path: A folder, `"user/name"` or `"user/name@revision"`.
        **where: As in `resolve_file`.

    Returns:
        The model, and the names of the tensors that have no place in it.

    Raises:
        FileNotFoundError: No such checkpoint.
        ValueError: The config is not of a BERT that a DistilBERT can equal.
    """
    path = resolve_file(name_or_path, "config.json", **where)
    if path is None:
        raise FileNotFoundError(f"{str(name_or_path)!r} has no config.json")
    source = read_json(path)
    try:
        _check_convertible(source)
        fields = {new: source[old] for old, new in CONFIG_FIELDS.items() if old in source}
        config = DistilBertConfig.from_dict(fields)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    weights = {_renamed(old): tensor for old, tensor in read_weights(name_or_path, **where).items()}
    if SEGMENTS not in weights or POSITIONS not in weights:
        raise ValueError(f"{str(name_or_path)!r} lacks BERT's segment or position embeddings")
    segments, positions = weights.pop(SEGMENTS), weights[POSITIONS]
    # One rounding, not two: the sum is formed in float64.
    weights[POSITIONS] = (positions.double() + segments[0].double()).to(positions.dtype)

    cls: type[DistilBertPreTrainedModel] = DistilBertModel
    if "vocab_transform.weight" in weights:
        cls = DistilBertForMaskedLM
    elif source.get("architectures") == ["BertForTokenClassification"]:
        cls = DistilBertForTokenClassification
    try:
        model, info = build_model(cls, config, weights)
    except ValueError as error:
        raise ValueError(f"{str(name_or_path)!r}: {error}") from error
    if info["missing_keys"]:
        raise ValueError(f"{str(name_or_path)!r} lacks BERT's {', '.join(info['missing_keys'])}")
    return model, info["unexpected_keys"]


def _check_convertible(source: dict[str, Any]) -> None:
    """Refuse a BERT that computes something else than a DistilBERT can."""
    required = {
        "model_type": ("bert",),
        "position_embedding_type": ("absolute", None),
        "is_decoder": (False, None),
        "add_cross_attention": (False, None),
        "pruned_heads": ({}, None),
        "layer_norm_eps": (LAYER_NORM_EPS, None),
        "quantization_config": (None,),
    }
    for name, values in required.items():
        if source.get(name) not in values:
            raise ValueError(
                f"{name} is {source.get(name)!r}; only {values[0]!r} can be converted exactly"
            )


def _renamed(name: str) -> str:
    for old, new in NAMES.items():
        name = name.replace(old, new)
    return name
