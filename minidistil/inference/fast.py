"""Build the fast path from a model.

    model --for_inference--> the same head on a `FastEncoder`, in eval mode, without gradients

What it does: no padding is computed; query, key and value are one product; weights are laid out as
the processor wants them; matrix products in float32, bfloat16 or eight bits, all between them in
float32. What it does not: train, save, return attention weights, mask heads or pairs of tokens. It
shares the embeddings with the model, and copies all else. Where the embeddings change later, the
next call is an error: call `for_inference` again.

Source: packing as in FasterTransformer's "effective transformer" (ByteDance 2020).
Not here: the parts, which have a file each.
"""

import copy
from collections import Counter
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


def for_inference(
    model: DistilBertPreTrainedModel, dtype: str = "float32", keep: bool = True
) -> Any:
    """A model that answers as fast as it can, with the inputs and outputs of `model`.

    Args:
        model: Any.
        dtype: Of the matrix products: "float32" gives the model's numbers up to rounding (1e-5),
            "bfloat16" and "int8" others, near them. "int8" is for CPUs.
        keep: The model stays as it is, and may be deleted to free its matrices. False frees them
            block by block, so that they are never there twice, but for what blocks share: the
            model is of no use afterwards, nor after an error on the way.

    Returns:
        A model of the same class, or, of an encoder alone, a `FastEncoder`. Its hidden states of
        padding are 0, and its logits those of 0. Its losses are the model's where they don't read
        them: labels of padding are -100, and for spans, which are chosen among all places, the
        batch has no padding.

    Raises:
        ValueError: Another dtype, "int8" on a GPU, a model that is fast already or has no numbers,
            or one with an attention or layers of yours.
    """
    if dtype not in PRECISIONS:
        raise ValueError(f"dtype is {dtype!r}; the fast path knows {', '.join(PRECISIONS)}")
    encoder, device = model.encoder, model.device
    if isinstance(encoder, FastEncoder):
        raise ValueError("this model comes from for_inference already: call it on the original")
    if any(weight.is_meta for weight in encoder.parameters()):
        raise ValueError(
            "weights on the device 'meta' have no numbers: load the model again, if it was emptied "
            "by for_inference(keep=False)"
        )
    if dtype == "int8" and device.type != "cpu":
        raise ValueError(f"int8 products are for CPUs, and the model is on {device}: use bfloat16")
    ways = model.config.attn_implementation, model.config.layer_ops
    if own := [way for way in ways if not isinstance(way, str)]:
        raise ValueError(
            f"the fast path has its own attention and layers, not {own}: call the model"
        )
    # deepcopy takes what is in its memo for copied already. The tables share their memory, for they
    # are large, but not their gradient; `float` below gives those of another dtype memory anew.
    memo: dict[int, Any] = {
        id(table): torch.nn.Parameter(table.detach(), requires_grad=False)
        for table in encoder.embeddings.parameters()
    }
    layers: Any = encoder.transformer.layer
    on_gpu = device.type == "cuda" and find_spec("triton") is not None
    attend = resolve_attention("triton") if on_gpu else GROUPED
    uses = Counter(id(weight) for block in layers for weight in block.parameters())
    blocks = {}
    for block in layers:
        blocks[id(block)] = FastBlock(block, model.config.activation, dtype, attend)
        if not keep and all(uses[id(weight)] == 1 for weight in block.parameters()):
            block.to("meta")
    inner = copy.deepcopy(encoder, memo | blocks).float().requires_grad_(False)
    fast = FastEncoder(inner, isinstance(model, READ_FIRST)).eval()
    if model is encoder:
        return fast
    head = copy.deepcopy(model, memo | {id(encoder): fast, id(model.config): inner.config})
    return head.float().requires_grad_(False).eval()
