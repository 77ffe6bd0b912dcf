r"""The specification of every kernel: the same functions, names and arguments in plain PyTorch.

Each runs on any device and in any floating-point dtype, float64 included, needs no Triton, and
lets PyTorch differentiate it. Where a kernel and its twin here disagree, the kernel is wrong.

Not here: speed. These store everything that the kernels avoid storing.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from minidistil_kernels import philox


def softmax(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax over the last axis of `x` (..., N); where `mask` is False, the weight is 0.

    A row with nothing left is all zeros, and so is its gradient.
    """
    if mask is None:
        return x.softmax(-1)
    # A row of nothing but -inf is NaN, which the second line fills, and in the gradient the first.
    weights = x.masked_fill(~mask, -torch.inf).softmax(-1)
    return weights.masked_fill(~mask, 0.0)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None = None,
    *,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    scale: float | None = None,
    dropout_p: float = 0.0,
    seed: int | Tensor = 0,
    return_lse: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """softmax(query key^T * scale) value: (B, H, S, K), or packed (N, H, K) with `cu_seqlens`.

    `key_mask` (B, S) is True where a key counts; a query without any has context 0 and lse -inf.
    What a masked key holds, NaN included, reaches nobody. Dropout spares the weights whose
    `philox.uniform` is at least `dropout_p`. The lse, (B, H, S) or (N, H), is log sum_j e^(score_j)
    in float32 or wider, without dropout, and has no gradient. Only kernels need `max_seqlen`.

    Source: Vaswani et al. 2017, arXiv 1706.03762, equation 1.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    if cu_seqlens is None:
        context, lse = _attend(query, key, value, key_mask, scale, dropout_p, seed, 0)
    else:
        context = torch.zeros_like(query)
        wide = torch.promote_types(query.dtype, torch.float32)
        lse = query.new_zeros(query.shape[:2], dtype=wide)
        for b, (begin, end) in enumerate(pairwise(cu_seqlens.tolist())):
            # (n, H, K) -> (1, H, n, K), and back.
            q, k, v = (x[begin:end].transpose(0, 1)[None] for x in (query, key, value))
            part, part_lse = _attend(q, k, v, None, scale, dropout_p, seed, b)
            context[begin:end] = part[0].transpose(0, 1)
            lse[begin:end] = part_lse[0].t()
    return (context, lse) if return_lse else context


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    scale: float,
    dropout_p: float,
    seed: int | Tensor,
    first: int,
) -> tuple[Tensor, Tensor]:
    """Attention of a padded batch whose first sequence has number `first`: context and lse."""
    B, H, S, _ = query.shape
    wide = torch.promote_types(query.dtype, torch.float32)
    keep = torch.ones(B, S, dtype=torch.bool, device=query.device) if key_mask is None else key_mask
    # Weight 0 would not do: 0 * NaN is NaN, in either direction.
    key, value = (x.masked_fill(~keep[:, None, :, None], 0.0) for x in (key, value))
    keep = keep[:, None, None].expand(B, H, S, S)
    scores = query.to(wide) @ key.to(wide).transpose(-1, -2) * scale
    lse = scores.detach().masked_fill(~keep, -torch.inf).logsumexp(-1)
    weights = softmax(scores, keep)
    if dropout_p > 0:
        streams = torch.arange(first * H, (first + B) * H, device=query.device)
        order = torch.arange(S, device=query.device)
        seed = torch.as_tensor(seed, device=query.device)
        u = philox.uniform(seed, streams.view(B, H, 1, 1), order[:, None], order)
        upscale = 1 / (1 - dropout_p) if dropout_p < 1 else 0.0
        weights = weights.masked_fill(u < dropout_p, 0.0) * upscale
    return weights.to(query.dtype) @ value, lse


def add_layer_norm(
    x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-12
) -> Tensor:
    """LayerNorm(x + residual) over the last axis: (..., D), (..., D), (D,), (D,) -> (..., D)."""
    wide = torch.promote_types(x.dtype, torch.float32)
    total = x.to(wide) + residual.to(wide)
    normed = F.layer_norm(total, weight.shape, weight.to(wide), bias.to(wide), eps)
    return normed.to(x.dtype)


def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """gelu(x @ weight.T + bias), exact (erf): (..., D), (F, D), (F,) -> (..., F)."""
    # Where rows lie apart, oneDNN with AMX multiplies what is between them by 0 (bfloat16, D no
    # multiple of 32; torch 2.13, uxlfoundation/oneDNN#5717), and NaN times 0 is NaN.
    return F.gelu(F.linear(x.contiguous(), weight, bias))


def embedding_layer_norm(
    input_ids: Tensor,
    position_ids: Tensor,
    word: Tensor,
    position: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float = 1e-12,
    padding_idx: int | None = None,
) -> Tensor:
    """LayerNorm(word[input_ids] + position[position_ids]): (...) and (P, D) tables -> (..., D).

    `position_ids` broadcasts to the shape of `input_ids`. The row `padding_idx` of `word` is read
    but receives no gradient, as in `torch.nn.Embedding`.
    """
    position_ids = position_ids.expand(input_ids.shape)
    words = F.embedding(input_ids, word, padding_idx=padding_idx)
    return add_layer_norm(words, F.embedding(position_ids, position), weight, bias, eps)


def cross_entropy(logits: Tensor, labels: Tensor, ignore_index: int = -100) -> Tensor:
    """Mean of -log softmax(logits)[label] over the rows whose label is not `ignore_index`.

    (N, V), (N,) -> (), in float32 or wider. 0 with zero gradient where every row is ignored.
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    total = F.cross_entropy(logits.to(wide), labels, ignore_index=ignore_index, reduction="sum")
    return total / (labels != ignore_index).sum().clamp(min=1)


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, ignore_index: int = -100
) -> Tensor:
    """cross_entropy(hidden @ weight.T + bias, labels): (N, D), (V, D), (V,), (N,) -> ()."""
    return cross_entropy(F.linear(hidden.contiguous(), weight, bias), labels, ignore_index)


def distillation_loss(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor | None = None,
    *,
    temperature: float = 2.0,
    alpha_ce: float = 5.0,
    alpha_mlm: float = 2.0,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""DistilBERT's loss on logits: returns (total, ce, mlm), each () in float32 or wider.

    With p = softmax(teacher / T) and q = softmax(student / T), over N rows of V logits:

        ce    = T^2 / N * sum_n KL(p_n || q_n)
        mlm   = cross_entropy(student, labels)      0 without labels; -100 is ignored
        total = alpha_ce * ce + alpha_mlm * mlm

    The teacher is a constant: no gradient reaches it. Only `total` is differentiable; ce and mlm
    are there to be shown. 0 with zero gradient where N is 0. Where p is 0, as at a teacher's logit
    of -inf, its term of the sum is 0.

    Source: Hinton et al. 2015, arXiv 1503.02531 (T^2); Sanh et al. 2019, arXiv 1910.01108.
    """
    wide = torch.promote_types(student.dtype, torch.float32)
    student, teacher = student.to(wide), teacher.detach().to(wide)
    log_q = (student / temperature).log_softmax(-1)
    log_p = (teacher / temperature).log_softmax(-1)
    p = log_p.exp()
    # Filled before the product: 0 * -inf is NaN.
    divergence = (p * (log_p - log_q).masked_fill(p == 0, 0.0)).sum()
    ce = temperature**2 * divergence / max(len(student), 1)
    mlm = ce.new_zeros(()) if labels is None else cross_entropy(student, labels)
    return alpha_ce * ce + alpha_mlm * mlm, ce.detach(), mlm.detach()


def cosine_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean of 1 - cos(student, teacher) over the rows where `mask` is True.

    (..., D), (..., D), bool (...) -> (), in float32 or wider; 0 with zero gradient where no row
    counts. The teacher is a constant. 1e-12 is added to each squared norm, as in
    `torch.nn.CosineEmbeddingLoss`, so that a row of zeros has cosine 0.
    """
    wide = torch.promote_types(student.dtype, torch.float32)
    student, teacher = student.to(wide), teacher.detach().to(wide)
    # Filled before anything is computed: NaN in a masked row must not reach the gradient.
    student, teacher = (x.masked_fill(~mask[..., None], 0.0) for x in (student, teacher))
    dot = (student * teacher).sum(-1)
    squares = (student.square().sum(-1) + 1e-12) * (teacher.square().sum(-1) + 1e-12)
    losses = (1 - dot / squares.sqrt()).masked_fill(~mask, 0.0)
    return losses.sum() / mask.sum().clamp(min=1)
