"""A door to the `flash-attn` package (Dao 2023, arXiv 2307.08691): half precision, CUDA.

Not here: the package. The call follows flash-attn 2 and was tested on a stand-in, never on a GPU.
"""

from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor

from minidistil.ops.attention import key_mask_of
from minidistil.ops.contract import NO_WEIGHTS, AttentionImpl


def padded(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    *,
    scale: float | None = None,
    dropout_p: float = 0.0,
    need_weights: bool = False,
) -> tuple[Tensor, None]:
    """All queries attend; of the keys and values, only those a mask leaves are packed.

    Raises:
        ValueError: Weights are asked for, the mask is not one of keys, the package is missing, or
            the tensors are not in half precision on CUDA.
    """
    if need_weights:
        raise ValueError(NO_WEIGHTS.format("flash_attention_2"))
    key_mask = key_mask_of("flash_attention_2", query, mask)
    batch, _, length, _ = query.shape
    query, key, value = (x.transpose(1, 2).flatten(0, 1) for x in (query, key, value))
    ends = key_ends = torch.arange(batch + 1, device=query.device, dtype=torch.int32) * length
    if key_mask is not None:
        key, value = key[key_mask.flatten()], value[key_mask.flatten()]
        key_ends = F.pad(key_mask.sum(-1).cumsum(0), (1, 0)).int()
    context = _flash(query, key, value, ends, key_ends, length, scale, dropout_p)
    return context.unflatten(0, (batch, length)).transpose(1, 2), None


def packed(query, key, value, cu_seqlens, max_seqlen, *, scale=None, dropout_p=0.0) -> Tensor:
    """Queries and keys of a text are the same rows.

    Raises:
        ValueError: The package is missing, or the tensors are not in half precision on CUDA.
    """
    return _flash(query, key, value, cu_seqlens, cu_seqlens, max_seqlen, scale, dropout_p)


def _flash(query, key, value, ends, key_ends, longest, scale, dropout_p) -> Tensor:
    _check(query)
    from flash_attn import flash_attn_varlen_func as flash  # pyright: ignore[reportMissingImports]

    rest = {"dropout_p": dropout_p, "softmax_scale": scale}
    return flash(query, key, value, ends, key_ends, longest, longest, **rest)


def _check(query: Tensor) -> None:
    if find_spec("flash_attn") is None:
        raise ValueError("flash_attention_2 needs the package flash-attn: pip install flash-attn")
    if query.device.type != "cuda" or query.dtype not in (torch.float16, torch.bfloat16):
        got = f"not {query.dtype} on {query.device}; see sdpa or triton"
        raise ValueError(f"flash_attention_2 needs float16 or bfloat16 on CUDA, {got}")


FLASH_ATTENTION_2 = AttentionImpl(padded, packed)
