"""The cases of this package's own kernels: what DistilBERT launches.

Each op is called at DistilBERT's sizes (rows of D = 768, a vocabulary of V = 30,522, 12 heads 64
wide, a batch padded to a multiple of 16), forward and backward, with its launches recorded instead
of run. Beside attention stands the anchor at the same tile. Two head widths that are no powers of
2, masked and with dropout, are there for the registers, of which the padding to 64 and 128 costs
many; 40 alone for the width of its accesses, because its heads begin at no multiple of 16 elements.

Hinted means what such a launch tells the compiler by itself: pointers and integers that are
multiples of 16 are known to be. Unhinted is the worst that a caller's slices can do: none is.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from minidistil_kernels.lab.ahead_of_time.anchor import anchor_beside
from minidistil_kernels.lab.ahead_of_time.compilation import Case
from minidistil_kernels.lab.ahead_of_time.launches import record_launches

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}

# The sizes of DistilBERT; N rows, few, because more of them change no case.
N, D, F, V, P = 16, 768, 3072, 30522, 512
B, H, S, K = 2, 12, 128, 64

Call = Callable[[], Tensor | tuple[Tensor, ...]]


def catalogue(dtype: str = "fp16", *, hinted: bool = True) -> list[Case]:
    """Every case in one dtype: "fp16", "bf16" or "fp32"."""
    suffix = dtype if hinted else f"{dtype} unhinted"
    cases: dict[str, Case] = {}
    for variant, calls in _calls(DTYPES[dtype]).items():
        for launch in _launches(calls):
            words = launch.name.removesuffix("_kernel"), variant, suffix
            case = replace(launch, name=" ".join(filter(None, words)))
            if not hinted:
                case = replace(case, divisible_by_16=())
            # A variant of an op's forward is often none of its backward; and of launches that
            # differ in nothing but hints, as those of two tables do, the first stands for both.
            if all(replace(known, name=case.name) != case for known in cases.values()):
                cases.setdefault(case.name, case)
    return list(cases.values())


def _launches(calls: list[Call]) -> list[Case]:
    with record_launches() as launches:
        for call in calls:
            outputs = call()
            output = outputs if isinstance(outputs, Tensor) else outputs[0]
            output.sum().backward()
    anchors = [
        anchor_beside(launch)
        for launch in launches
        if launch.name == "attention_forward_kernel" and launch.constants["K"] == K
    ]
    return launches + anchors


def _calls(dtype: torch.dtype) -> dict[str, list[Call]]:
    """Calls of every op, by what is different about them ("": nothing)."""
    # The public functions refuse CPU tensors where nothing is interpreted; their ops do not look.
    ops = torch.ops.minidistil

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=dtype, requires_grad=True)

    x, row, word, position = zeros(N, D), zeros(D), zeros(V, D), zeros(P, D)
    scores, logits, padded = zeros(N, P), zeros(N, V), zeros(N, V + 6)
    ids, mask = torch.zeros(N, dtype=torch.int64), torch.ones(N, dtype=torch.bool)
    rows = zeros(B * S, H, K)
    heads = rows.view(B, S, H, K).transpose(1, 2)
    starts = torch.arange(0, B * S + 1, S, dtype=torch.int32)
    seed = torch.zeros(1, dtype=torch.int64)

    def attention(
        x: Tensor,
        *,
        key_mask: Tensor | None = None,
        cu_seqlens: Tensor | None = None,
        dropout_p: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        return ops.attention(x, x, x, key_mask, cu_seqlens, S, K**-0.5, dropout_p, seed)

    def masked_dropout(width: int) -> tuple[Tensor, Tensor]:
        x = zeros(B, S, H, width).transpose(1, 2)
        return attention(x, key_mask=torch.ones(B, S, dtype=torch.bool), dropout_p=0.1)

    return {
        "": [
            lambda: ops.softmax(scores, None),
            lambda: attention(heads),
            lambda: ops.add_layer_norm(x, x, row, row, 1e-12),
            lambda: ops.linear_gelu(x, zeros(F, D), zeros(F), True),
            lambda: ops.embedding_layer_norm(ids, ids, word, position, row, row, 1e-12, 0),
            lambda: ops.cross_entropy(logits, ids, -100),
            lambda: ops.linear_cross_entropy(x, word, zeros(V), ids, -100),
            lambda: ops.distillation_loss(logits, logits, ids, 2.0),
            lambda: ops.cosine_loss(x, x, mask),
        ],
        "masked": [
            lambda: ops.softmax(scores, torch.ones(N, P, dtype=torch.bool)),
            lambda: attention(heads, key_mask=torch.ones(B, S, dtype=torch.bool)),
        ],
        "packed": [lambda: attention(rows, cu_seqlens=starts)],
        "dropout": [lambda: attention(heads, dropout_p=0.1)],
        "K=40": [lambda: attention(zeros(B, S, H, 40).transpose(1, 2))],
        "K=40 masked dropout": [lambda: masked_dropout(40)],
        "K=80 masked dropout": [lambda: masked_dropout(80)],
        # A vocabulary of 30,528 = 16 * 1908, as `resize_token_embeddings` can make it.
        "V=30528": [
            lambda: ops.cross_entropy(padded, ids, -100),
            lambda: ops.distillation_loss(padded, padded, ids, 2.0),
        ],
    }
