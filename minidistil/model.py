"""DistilBertModel: embeddings, then the transformer. Token ids in, hidden states out.

The whole encoder; the heads in `heads/` put a task on top of it.

Source: Sanh et al. 2019; argument names and order are transformers 5's.
Not here: loading, saving, resizing, pruning (`pretrained.py`, which every model shares).
"""

import torch
from torch import Tensor

from minidistil.checks import check_ids, check_tensors, values_are_visible
from minidistil.config import DistilBertConfig
from minidistil.embeddings import Embeddings
from minidistil.masks import attention_mask_for, head_masks_for
from minidistil.ops import resolve_attention, resolve_layer_ops
from minidistil.outputs import BaseModelOutput
from minidistil.packing import check_packing, packed_positions
from minidistil.pretrained import DistilBertPreTrainedModel
from minidistil.transformer import Transformer


class DistilBertModel(DistilBertPreTrainedModel):
    """The DistilBERT encoder, without a head.

    Examples:
        >>> import torch
        >>> from minidistil import DistilBertConfig
        >>> config = DistilBertConfig(vocab_size=100, n_layers=2, n_heads=2, dim=32, hidden_dim=64)
        >>> model = DistilBertModel(config).eval()  # random weights
        >>> model(torch.tensor([[1, 7, 5, 2]])).last_hidden_state.shape
        torch.Size([1, 4, 32])
    """

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.transformer = Transformer(config)
        self.initialise()

    @property
    def encoder(self) -> "DistilBertModel":
        """The encoder of any model; here the model itself."""
        return self

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        head_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        cu_seqlens: Tensor | None = None,
        max_seqlen: int | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutput | tuple:
        """Encode a padded or a packed batch.

        Args:
            input_ids: Token ids, int32 or int64, (B, S), or (N,) with `cu_seqlens`.
            attention_mask: (B, S), nonzero = real token; or broadcastable to (B, H, S, S),
                boolean (True = attend) or float (added to the scores). None: attend everywhere.
            inputs_embeds: (B, S, D) or (N, D), in place of `input_ids`.
            position_ids: int32 or int64, (B, S) or (1, S), or (N,); where None, 0, 1, 2, ... in
                each sequence.
            head_mask: (H,) or (L, H), a factor for each head's context.
            token_type_ids: Accepted and ignored: DistilBERT has no segments.
            cu_seqlens: int32 (B+1,), rising from 0 to N: a packed batch without padding.
            max_seqlen: Length of the longest sequence of the packed batch, or an upper bound,
                which spares a GPU the wait for it; computed where None.
            output_hidden_states: Return all L + 1 of them; where None, the config decides.
            output_attentions: Return the L weights (B, H, S, S); where None, the config decides.
            return_dict: False returns a tuple; where None, the config decides.

        Returns:
            `last_hidden_state`, (B, S, D) or (N, D), and what else was asked for.

        Raises:
            TypeError: A list or an array in place of a tensor.
            ValueError: Shapes that do not fit one another; ids or positions of another dtype; ids,
                positions or a length that the tables do not have; weights asked of an
                implementation that has none.
        """
        check_tensors(
            input_ids=input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            position_ids=position_ids,
            head_mask=head_mask,
            cu_seqlens=cu_seqlens,
        )
        config, packed = self.config, cu_seqlens is not None
        shape, device = input_shape(input_ids, inputs_embeds, packed, config.dim)
        if cu_seqlens is not None:
            if attention_mask is not None:
                raise ValueError("give attention_mask or cu_seqlens, not both: one of them pads")
            longest = check_packing(cu_seqlens, max_seqlen, shape[0])
            exact = max_seqlen is None or values_are_visible(cu_seqlens)
        elif max_seqlen is not None:
            raise ValueError(f"max_seqlen={max_seqlen} is of a packed batch: give cu_seqlens too")
        else:
            longest, exact = shape[1], True
            attention_mask = attention_mask_for(attention_mask, shape[0], longest, config.n_heads)
        if position_ids is None:
            if exact and longest > config.max_position_embeddings:
                raise ValueError(
                    f"a sequence of {longest} tokens is longer than max_position_embeddings="
                    f"{config.max_position_embeddings}: truncate it (tokenizer(..., "
                    f"truncation=True)) or call model.resize_position_embeddings({longest})"
                )
            position_ids = (
                torch.arange(longest, device=device)[None]
                if cu_seqlens is None
                else packed_positions(cu_seqlens, shape[0])
            )
        elif tuple(position_ids.shape) not in ((shape,) if packed else (shape, (1, longest))):
            raise ValueError(
                f"position_ids has shape {tuple(position_ids.shape)}, the input {shape}"
            )
        check_ids("position_ids", position_ids)

        ops = resolve_layer_ops(config.layer_ops)
        hidden = self.embeddings(input_ids, inputs_embeds, position_ids, ops)
        hidden, states, attentions = self.transformer(
            hidden,
            resolve_attention(config.attn_implementation),
            attention_mask,
            head_masks_for(head_mask, config.n_layers, config.n_heads),
            cu_seqlens,
            longest,
            _chosen(output_hidden_states, config.output_hidden_states),
            _chosen(output_attentions, config.output_attentions),
            ops,
        )
        output = BaseModelOutput(hidden, tuple(states) or None, tuple(attentions) or None)
        return self.returned(output, return_dict)


def _chosen(switch: bool | None, default: bool) -> bool:
    return default if switch is None else switch


def input_shape(
    input_ids: Tensor | None, inputs_embeds: Tensor | None, packed: bool, dim: int
) -> tuple[tuple[int, ...], torch.device]:
    """The (B, S) or (N,) of the one input that was given, and its device.

    Raises:
        ValueError: Not exactly one was given, or another shape or dtype.
    """
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("give exactly one of input_ids and inputs_embeds")
    expected = "(tokens" if packed else "(batch, length"
    lead = 1 if packed else 2
    if inputs_embeds is not None:
        shape = tuple(inputs_embeds.shape)
        if len(shape) != lead + 1 or shape[-1] != dim:
            raise ValueError(f"inputs_embeds has shape {shape}, expected {expected}, {dim})")
        return shape[:-1], inputs_embeds.device
    assert input_ids is not None
    shape = tuple(input_ids.shape)
    if len(shape) != lead:
        raise ValueError(f"input_ids has shape {shape}, expected {expected})")
    check_ids("input_ids", input_ids)
    return shape, input_ids.device
