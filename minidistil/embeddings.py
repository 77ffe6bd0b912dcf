"""Embeddings: token ids -> vectors. Word + position -> LayerNorm -> dropout.

Second station of the way of the data. BERT adds a third table here, for segments; DistilBERT
has none, which is why `token_type_ids` mean nothing to it.

Source: Sanh et al. 2019, section 3; the fixed positions are Vaswani et al. 2017, section 3.5.
Not here: tokenization, which makes the ids.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minidistil.checks import check_range
from minidistil.config import DistilBertConfig
from minidistil.initialisation import initialise_parameter
from minidistil.ops import TORCH, LayerOps

LAYER_NORM_EPS = 1e-12  # BERT's; no field of the config


class Embeddings(nn.Module):
    """Word and position embeddings, added, normalised and thinned out by dropout."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.word_embeddings = _table(config.vocab_size, config, config.pad_token_id)
        self.position_embeddings = _table(config.max_position_embeddings, config, None)
        # Fixed positions are a constant of the model, never trained.
        self.position_embeddings.weight.requires_grad_(not config.sinusoidal_pos_embds)
        self.LayerNorm = nn.LayerNorm(config.dim, eps=LAYER_NORM_EPS)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        input_ids: Int[Tensor, "*B"] | None,
        inputs_embeds: Float[Tensor, "*B D"] | None,
        position_ids: Int[Tensor, "*#B"],
        ops: LayerOps = TORCH,
    ) -> Float[Tensor, "*B D"]:
        """Embed a padded (B, S) or packed (N,) batch.

        Args:
            input_ids: Token ids; looked up unless `inputs_embeds` is given.
            inputs_embeds: Word embeddings, already looked up.
            position_ids: The place of each token, from 0.
            ops: How the sum and its LayerNorm are computed.

        Raises:
            ValueError: A token id or position that the tables do not have, or embeddings of a wider
                dtype than the model's: LayerNorm does not mix the two.
        """
        words, positions = self.word_embeddings, self.position_embeddings
        check_range(
            "position_ids",
            position_ids,
            positions.num_embeddings,
            "truncate the input or call resize_position_embeddings",
        )
        if inputs_embeds is not None:
            places = positions(position_ids).expand_as(inputs_embeds)
            given, own = inputs_embeds.dtype, places.dtype
            if torch.promote_types(given, own) != own:
                raise ValueError(f"inputs_embeds is {given}, wider than the model's {own}: cast it")
            return self.dropout(ops.add_layer_norm(inputs_embeds, places, self.LayerNorm))
        assert input_ids is not None
        check_range(
            "input_ids",
            input_ids,
            words.num_embeddings,
            "the tokenizer does not belong to this model, or the model needs "
            "resize_token_embeddings(len(tokenizer))",
        )
        return self.dropout(ops.embed(input_ids, position_ids, words, positions, self.LayerNorm))


def _table(rows: int, config: DistilBertConfig, padding_idx: int | None) -> nn.Embedding:
    # nn.Embedding's own constructor draws N(0, 1), which takes a second on the meta device.
    empty = torch.empty(rows, config.dim)
    table = nn.Embedding.from_pretrained(empty, freeze=False, padding_idx=padding_idx)
    initialise_parameter(table, "weight", config.initializer_range)
    return table


def sinusoidal_table(length: int, dim: int) -> Float[Tensor, "length dim"]:
    """Fixed positions: sine in the even columns, cosine in the odd ones.

    Column j of position p holds the sine (or cosine) of p / 10000^(2 floor(j/2) / dim):
    wavelengths from 2 pi to 10000 * 2 pi. Computed in float64, by numpy as in transformers, and
    rounded once: the two tables are equal to the bit.
    """
    column = np.arange(dim)
    angle = np.arange(length)[:, None] / np.power(10000.0, 2 * (column // 2) / dim)
    table = np.where(column % 2 == 0, np.sin(angle), np.cos(angle))
    return torch.from_numpy(table).float()


@torch.no_grad()
def set_sinusoidal_positions(position_embeddings: nn.Embedding) -> None:
    """Fill a position embedding with the fixed table of its own size."""
    weight = position_embeddings.weight
    weight.copy_(sinusoidal_table(*weight.shape))
