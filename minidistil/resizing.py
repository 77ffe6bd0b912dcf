"""Surgery on a trained model: another vocabulary, another greatest length, fewer heads.

Each operation changes the weights and every number of the config that counts them, so that the
model runs, saves and loads at its new size. `DistilBertPreTrainedModel` has a method for each.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from minidistil.arguments import whole
from minidistil.embeddings import set_sinusoidal_positions
from minidistil.initialisation import initialise_parameter
from minidistil.transformer import TransformerBlock

if TYPE_CHECKING:
    from minidistil.pretrained import DistilBertPreTrainedModel


def resize_tokens(
    model: "DistilBertPreTrainedModel", rows: int | None, pad_to_multiple_of: int | None = None
) -> None:
    """Give the vocabulary `rows` rows. New ones start as the mean of the old ones.

    A mean row keeps a new token's logit near the average, where it neither dominates nor vanishes
    (Hewitt 2021, "Initializing new word embeddings"); a row drawn at random can do both. The
    masked-LM projector and its bias follow.

    Args:
        model: Changed in place.
        rows: The new V; None keeps the old one.
        pad_to_multiple_of: Round V up to a multiple, for tensor cores.

    Raises:
        ValueError: No whole number of rows, or none for the padding token.
    """
    embedding, projector = model.get_input_embeddings(), model.get_output_embeddings()
    rows = whole("new_num_tokens", embedding.num_embeddings if rows is None else rows, least=1)
    if pad_to_multiple_of is not None:
        multiple = whole("pad_to_multiple_of", pad_to_multiple_of, least=1)
        rows = -(-rows // multiple) * multiple
    padding = model.config.pad_token_id
    if padding is not None and padding >= rows:
        raise ValueError(f"{rows} tokens leave no row for pad_token_id={padding}")
    embedding.weight = _resized(embedding.weight, rows)
    embedding.num_embeddings = model.config.vocab_size = rows
    if projector is not None:
        projector.weight = _resized(projector.weight, rows)
        projector.bias = _resized(projector.bias, rows)
        projector.out_features = rows
    model.tie_weights()


def resize_positions(model: "DistilBertPreTrainedModel", rows: int) -> None:
    """Give the model a greatest length of `rows` tokens.

    Learned positions keep their rows; new ones are drawn from N(0, initializer_range) and need
    training. Fixed (sinusoidal) positions are computed anew and work at once.

    Args:
        model: Changed in place.
        rows: The new `max_position_embeddings`.

    Raises:
        ValueError: No whole number of positions, or none.
    """
    rows = whole("new_num_position_embeddings", rows, least=1)
    table = model.get_position_embeddings()
    old = table.weight.detach()
    table.weight = nn.Parameter(old.new_empty(rows, old.shape[1]), table.weight.requires_grad)
    table.num_embeddings = model.config.max_position_embeddings = rows
    initialise_parameter(table, "weight", model.config.initializer_range)
    with torch.no_grad():
        table.weight[: len(old)] = old[:rows]
    if model.config.sinusoidal_pos_embds:
        set_sinusoidal_positions(table)


def prune_heads(
    model: "DistilBertPreTrainedModel", heads_to_prune: Mapping[int, Sequence[int]]
) -> None:
    """Remove attention heads for good: rows of q, k and v, columns of the output projection.

    Source: Michel et al. 2019, "Are sixteen heads really better than one?", arXiv 1905.10650.

    Args:
        model: Changed in place.
        heads_to_prune: Layer -> heads, numbered as before any pruning; repeats do no harm.

    Raises:
        ValueError: A layer or head that does not exist, or every head of a layer.
    """
    # Once: an iterator can't be read twice, and a tensor's numbers are no JSON.
    wanted = {int(layer): [int(head) for head in heads] for layer, heads in heads_to_prune.items()}
    pruned = {layer: set(heads) for layer, heads in model.config.pruned_heads.items()}
    for layer, heads in wanted.items():
        pruned.setdefault(layer, set()).update(heads)
    # A config of its own, so that a wrong head is found before any is removed.
    config = dataclasses.replace(
        model.config, pruned_heads={layer: sorted(heads) for layer, heads in pruned.items()}
    )
    for layer, heads in wanted.items():
        block = model.encoder.transformer.layer[layer]
        assert isinstance(block, TransformerBlock)
        block.attention.prune_heads(heads)
    model.config.pruned_heads = config.pruned_heads


def _resized(parameter: Tensor, rows: int) -> nn.Parameter:
    """The first `rows` rows, and the mean of all the old ones where there were fewer."""
    old = parameter.detach()
    new = old.float().mean(0).to(old.dtype).expand(rows, *old.shape[1:]).clone()
    new[: len(old)] = old[:rows]
    return nn.Parameter(new, parameter.requires_grad)
