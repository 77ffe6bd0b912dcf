"""The encoder of the fast path: takes the padding out, runs the blocks, puts it back.

    (B, S) ids, mask --real tokens, shortest text first--> (N,) --blocks--> (N, D) --> (B, S, D)

In a batch of mixed lengths most rows of every product are padding, and are thrown away. Between the
first block and the last nothing asks which text a token is of, but attention, which is told.

A hidden state of padding is 0 here; elsewhere it is some number that nobody should read.

The embeddings are the model's own memory, too large to copy, and all else is a copy. So a change of
the model would make a mixture of two models, and is looked for at every call.

Not here: 4-D masks, head masks and attention weights, for which the model itself is there.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from minidistil.checks import check_tensors
from minidistil.masks import attention_mask_for
from minidistil.model import DistilBertModel, input_shape
from minidistil.outputs import BaseModelOutput
from minidistil.pretrained import DistilBertPreTrainedModel


class FastEncoder(DistilBertPreTrainedModel):
    """Stands in a head for its `DistilBertModel`; `inference.fast.for_inference` makes it.

    Attributes:
        inner: The encoder on packed batches, its blocks `FastBlock`s.
        reads_first: The head above reads the first token of each text.
    """

    def __init__(self, inner: DistilBertModel, reads_first: bool) -> None:
        nn.Module.__init__(self)  # the config is that of `inner`, and was checked there
        self.inner, self.reads_first = inner, reads_first
        self.config = inner.config
        self.embeddings = inner.embeddings
        self.norm = inner.embeddings.LayerNorm.weight.clone()
        self.ways = (self.config.attn_implementation, self.config.layer_ops)
        self.tables = [*self.embeddings.parameters()]
        self.versions = _versions(self.tables)

    @property
    def encoder(self) -> Any:
        """Itself, as of any encoder."""
        return self

    @property
    def transformer(self) -> NoReturn:
        """What pruning and gradient checkpointing ask an encoder for.

        Raises:
            ValueError: Always.
        """
        raise _refused("can't be changed", "change")

    @torch.no_grad()
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
        """Encode as `DistilBertModel.forward` does; hidden states of padding are 0.

        Raises:
            TypeError: A list or an array in place of a tensor.
            ValueError: As there; or a head mask, a mask of pairs, attention weights, a text without
                a token, and, below a head that reads it, a first token that is masked; or the
                embeddings or the config have changed since it was made.
        """
        if not torch.compiler.is_compiling():
            self._check_unchanged()
        given: dict[str, Any] = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "inputs_embeds": inputs_embeds,
            "position_ids": position_ids,
        }
        check_tensors(**given, head_mask=head_mask)
        asked = self.config.output_attentions if output_attentions is None else output_attentions
        if head_mask is not None or asked:
            raise ValueError(
                "the fast path has no head masks and no attention weights: call the model that "
                "for_inference was called on"
            )
        wanted: dict[str, Any] = {
            "output_hidden_states": output_hidden_states,
            "output_attentions": False,
            "return_dict": True,
        }
        if cu_seqlens is not None or max_seqlen is not None:
            wanted |= {"cu_seqlens": cu_seqlens, "max_seqlen": max_seqlen}
            output: Any = self.inner(**given, **wanted)
            return self.inner.returned(output, return_dict)
        shape, device = input_shape(input_ids, inputs_embeds, False, self.config.dim)
        batch, length = shape
        mask = attention_mask_for(attention_mask, batch, length, self.config.n_heads)
        if position_ids is None and length <= self.config.max_position_embeddings:
            position_ids = torch.arange(length, device=device)[None]
        if position_ids is None or tuple(position_ids.shape) not in (shape, (1, length)):
            return self.inner(**given)  # it raises, for it has the words for what is wrong
        real = _real_tokens(mask, shape, device)
        lengths = real.sum(1)
        self._check(real, lengths)
        # Numbers of the real tokens in the flattened batch, a text behind the other.
        order = lengths.argsort(stable=True)
        places = torch.arange(real.numel(), device=device).view(shape)[order][real[order]]
        ends = torch.nn.functional.pad(lengths[order].cumsum(0), (1, 0)).int()
        output = self.inner(
            None if input_ids is None else input_ids.flatten()[places],
            inputs_embeds=None if inputs_embeds is None else inputs_embeds.flatten(0, 1)[places],
            position_ids=position_ids.expand(shape).flatten()[places],
            cu_seqlens=ends,
            **wanted,
        )
        states = tuple(_padded(x, places, shape) for x in output.hidden_states or ())
        hidden = states[-1] if states else _padded(output.last_hidden_state, places, shape)
        return self.inner.returned(BaseModelOutput(hidden, states or None), return_dict)

    def train(self, mode: bool = True) -> "FastEncoder":
        """Stay in eval mode.

        Raises:
            ValueError: Training mode was asked for.
        """
        if mode:
            raise _refused("has no gradients", "train")
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "FastEncoder":
        # What `.to`, `.half` and their like call: laid-out weights can't follow.
        probe = torch.empty(0, device=self.embeddings.LayerNorm.weight.device)
        moved = fn(probe)
        if (moved.dtype, moved.device) != (probe.dtype, probe.device):
            raise _refused(f"stays on {probe.device} in its precision", "move or convert")
        return self

    def _load_from_state_dict(self, *_: Any, **__: Any) -> NoReturn:
        raise _refused("is laid out once, and would write into its model's embeddings", "load into")

    def __getstate__(self) -> Any:
        # What deepcopy calls. A copy of a mixture would pass for whole.
        self._check_unchanged()
        return super().__getstate__()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.versions = _versions(self.tables)  # the copy's own
        self._check_unchanged()  # not so where the copy got other modules, as from `quantize`

    def _check_unchanged(self) -> None:
        """Raise where one of the tables or of the ways of the config isn't what it was.

        Fused optimizers and `.data` leave a table's version as it is, but no step of training
        leaves the LayerNorm.
        """
        tables = [*self.embeddings.parameters()]
        if (
            [*map(id, tables)] != [*map(id, self.tables)]
            or _versions(tables) != self.versions
            or not torch.equal(self.embeddings.LayerNorm.weight, self.norm)
            or (self.config.attn_implementation, self.config.layer_ops) != self.ways
        ):
            raise _refused("or its model has changed since it was made", "change only")

    def _check(self, real: Tensor, lengths: Tensor) -> None:
        if not real.shape[1]:
            return
        if not bool(lengths.all()):
            row = int((lengths == 0).nonzero()[0])
            raise ValueError(f"attention_mask leaves no token of row {row}: leave the row out")
        if self.reads_first and not bool(real[:, 0].all()):
            row = int((~real[:, 0]).nonzero()[0])
            raise ValueError(
                f"attention_mask hides the first token of row {row}, which the head reads: pad on "
                "the right, or call the model that for_inference was called on"
            )


def _versions(tables: Sequence[Tensor]) -> list[int]:
    """How often each was written to; 0 where PyTorch doesn't count, as of inference tensors."""
    return [0 if table.is_inference() else table._version for table in tables]


def _refused(why: str, instead: str) -> ValueError:
    return ValueError(
        f"the fast path {why}: {instead} the model that it was made from, and call for_inference "
        "again"
    )


def _real_tokens(mask: Tensor | None, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Boolean (B, S)."""
    if mask is None:
        return torch.ones(shape, dtype=torch.bool, device=device)
    if mask.dtype != torch.bool or mask.shape[1:3] != (1, 1):
        raise ValueError(
            f"a mask of pairs, {tuple(mask.shape)} {mask.dtype}, is not for the fast path: call "
            "the model that for_inference was called on"
        )
    return mask[:, 0, 0].expand(shape)


def _padded(packed: Tensor, places: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(N, D) -> (B, S, D), zeros where no token is."""
    whole = packed.new_zeros(shape[0] * shape[1], packed.shape[1])
    return whole.index_copy_(0, places, packed).view(*shape, packed.shape[1])
