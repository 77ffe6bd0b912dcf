"""Build the fast path from a model.

    model --for_inference--> the same head on a `FastEncoder`, in eval mode, without gradients

What it does: no padding is computed; query, key and value are one product; weights are laid out as
the processor wants them; matrix products in float32, bfloat16 or eight bits, all between them in
float32. What it does not: train, save, return attention weights, mask heads or pairs of tokens. It
shares the embeddings with the model, and holds copies of all else: later changes don't reach it.

Source: packing as in FasterTransformer's "effective transformer" (ByteDance 2020).
Not here: the parts, which have a file each.
"""

import copy
from importlib.util import find_spec
from typing import Any

import torch

from minidistil.heads import DistilBertForMultipleChoice, DistilBertForSequenceClassification
from minidistil.inference.attention import GROUPED
from minidistil.inference.block import FastBlock
from minidistil.inference.encoder import FastEncoder
from minidistil.inference.linear import PRECISIONS
from minidistil.ops import resolve_attention
from minidistil.pretrained import DistilBertPreTrainedModel

READ_FIRST = (DistilBertForSequenceClassification, DistilBertForMultipleChoice)


def for_inference(model: DistilBertPreTrainedModel, dtype: str = "float32") -> Any:
    """A model that answers as fast as it can, with the inputs and outputs of `model`.

    Args:
        model: Any; it stays as it is, and may be deleted to free its matrices.
        dtype: Of the matrix products: "float32" gives the model's numbers up to rounding (1e-5),
            "bfloat16" and "int8" others, near them. "int8" is for CPUs.

    Returns:
        A model of the same class, or, of an encoder alone, a `FastEncoder`. Its losses work; its
        hidden states of padding are 0.

    Raises:
        ValueError: Another dtype, "int8" on a GPU, or a model that is fast already.
    """
    if dtype not in PRECISIONS:
        raise ValueError(f"dtype is {dtype!r}; the fast path knows {', '.join(PRECISIONS)}")
    encoder, device = model.encoder, model.device
    if isinstance(encoder, FastEncoder):
        raise ValueError("this model comes from for_inference already: call it on the original")
    if dtype == "int8" and device.type != "cpu":
        raise ValueError(f"int8 products are for CPUs, and the model is on {device}: use bfloat16")
    implementation = model.config.attn_implementation
    # deepcopy takes what is in its memo for copied already. The tables are shared: they are large.
    memo: dict[int, Any] = {id(implementation): implementation}
    if model.dtype == torch.float32:
        memo |= {id(table): table for table in encoder.embeddings.parameters()}
    layers: Any = encoder.transformer.layer
    on_gpu = device.type == "cuda" and find_spec("triton") is not None
    attend = resolve_attention("triton") if on_gpu else GROUPED
    blocks = {
        id(block): FastBlock(block, model.config.activation, dtype, attend) for block in layers
    }
    inner = copy.deepcopy(encoder, memo | blocks).float()
    fast = FastEncoder(inner, isinstance(model, READ_FIRST)).eval()
    if model is encoder:
        return fast
    return copy.deepcopy(model, memo | {id(encoder): fast, id(model.config): inner.config}).eval()
