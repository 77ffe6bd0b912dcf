"""The laws of attention, in the form in which the model calls it: `attention_form.padded`.

Not here: what it is tried on (`attention_cases.py`), how it is called (`attention_form.py`), its
memory and what its calls owe each other (`attention_calls.py`), dropout (`attention_dropout.py`),
the packed form (`attention_packed.py`), how laws are tried (`report.py`), the rule of errors
(`accuracy.py`).
"""

from dataclasses import replace
from typing import Any

import torch

from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import (
    FLOOR,
    Errors,
    assert_accurate,
    differentiate,
    measure,
    run,
    upstream_of,
)
from minidistil_kernels.testing.attention_calls import CALL_LAWS
from minidistil_kernels.testing.attention_cases import (
    CASES,
    HARD,
    HARD_ENOUGH,
    Case,
    exact,
    sdpa,
)
from minidistil_kernels.testing.attention_dropout import DROPOUT_LAWS
from minidistil_kernels.testing.attention_form import QKV, Packed, Padded, call, context_of, pair_of
from minidistil_kernels.testing.attention_packed import PACKED_LAWS
from minidistil_kernels.testing.attention_packed_dropout import PACKED_DROPOUT_LAWS
from minidistil_kernels.testing.common import assert_same_form
from minidistil_kernels.testing.report import Law, Report, try_laws


def close_to_sdpa(fn: Padded, case: Case) -> None:
    """Equals the reference, forward and backward, as closely as PyTorch's SDPA does."""
    assert_accurate(measure(context_of(fn), exact, sdpa, case.inputs(), QKV))


def close_to_eager(fn: Padded, case: Case) -> None:
    """Equals the reference, forward and backward, as closely as eager attention does."""
    assert_accurate(measure(context_of(fn), exact, exact, case.inputs(), QKV))


def same_form(fn: Padded, case: Case) -> None:
    """Returns (context, weights or None), the context with the shape and dtype of the query."""
    inputs = case.inputs()
    # As the model calls it outside of training.
    context = context_of(fn)(**inputs, dropout_p=0.0, need_weights=False)
    assert_same_form(context, inputs["query"])


def weights_or_refusal(fn: Padded, case: Case) -> None:
    """Asked for its weights, returns them as (B, H, S, S), or raises a ValueError."""
    inputs = case.inputs()
    try:
        _, weights = pair_of(call(fn, inputs | {"need_weights": True}))
    except ValueError:
        return
    assert weights is not None, "asked for weights, returned None"
    # With the identity for values the context is the weights.
    shape = (case.batch, case.heads, case.length, case.length)
    identity = torch.eye(case.length, device=drawing.DEVICE, dtype=case.dtype).expand(shape)
    rest = inputs | {"value": identity}
    assert_accurate(measure(lambda **_: weights, exact, exact, rest))


def empty_query(fn: Padded, case: Case) -> None:
    """A query with no keys gets a context and gradients of 0, with dropout and without."""
    inputs = replace(case, mask="one row empty").inputs()
    leaves = [inputs[name].requires_grad_() for name in QKV]
    for dropout_p in (0.0, 0.5):
        context = context_of(fn)(**inputs, dropout_p=dropout_p)
        assert (context[0] == 0).all(), "the context of a query with no keys is not 0"
        gradients = differentiate(context, leaves, upstream_of(context))
        for name, gradient in zip(QKV, gradients, strict=True):
            assert (gradient[0] == 0).all(), f"the gradient of {name} is not 0 where no key counts"


def blind_to_masked(fn: Padded, case: Case) -> None:
    """What a masked key and its value hold changes no bit, as long as it is finite."""
    inputs = case.inputs()
    before = context_of(fn)(**inputs)
    if inputs["mask"] is not None:
        hidden = ~inputs["mask"][:, 0, 0, :, None].expand(-1, -1, case.width)[:, None]
        for name in ("key", "value"):
            inputs[name] = inputs[name].masked_fill(hidden, 1e4)
    assert torch.equal(context_of(fn)(**inputs), before), "a masked key changed the context"


def within_values(fn: Padded, case: Case) -> None:
    """The context is a mean: it lies between the smallest and largest value that counts."""
    inputs = case.inputs()
    # Around 1: weights whose sum is another leave them.
    inputs["value"] = 1 + inputs["value"] / 16
    context = context_of(fn)(**inputs)
    counts = torch.ones_like(inputs["value"][..., :1], dtype=torch.bool)
    if inputs["mask"] is not None:
        counts = inputs["mask"].transpose(-1, -2).expand_as(counts)
    low = inputs["value"].masked_fill(~counts, float("inf")).amin(-2, keepdim=True)
    high = inputs["value"].masked_fill(~counts, float("-inf")).amax(-2, keepdim=True)
    slack = FLOOR[case.dtype] * inputs["value"].abs().max()
    inside = (context >= low - slack) & (context <= high + slack)
    assert (inside | ~counts.any(-2, keepdim=True)).all(), "the context lies outside its values"


def shift_invariant(fn: Padded, case: Case) -> None:
    """Adding one vector to every key changes nothing: all scores of a query move together."""
    inputs = case.inputs()
    # Quarters of small integers: the sums below are exact in every dtype.
    inputs["key"] = (inputs["key"] * 4).round().clamp(-8, 8) / 4
    shifted = inputs | {"key": inputs["key"] + 2.0}
    errors = measure(context_of(fn), lambda **_: exact(**_double(inputs)), sdpa, shifted)
    assert_accurate(errors)


def permutable(fn: Padded, case: Case) -> None:
    """The order of the keys does not matter."""
    inputs = case.inputs()
    generator = torch.Generator().manual_seed(case.seed)
    order = torch.randperm(case.length, generator=generator).to(drawing.DEVICE)
    permuted = inputs | {name: inputs[name][:, :, order] for name in ("key", "value")}
    if inputs["mask"] is not None:
        permuted["mask"] = inputs["mask"][..., order]
    errors = measure(context_of(fn), lambda **_: exact(**_double(inputs)), sdpa, permuted)
    assert_accurate(errors)


def independent(fn: Padded, case: Case) -> None:
    """Texts and heads do not see each other: changing all others changes no bit of one."""
    inputs = case.inputs()
    before = context_of(fn)(**inputs)
    for name in QKV:
        changed = inputs[name] + 1.0
        changed[-1, -1] = inputs[name][-1, -1]
        inputs[name] = changed
    after = context_of(fn)(**inputs)
    assert torch.equal(after[-1, -1], before[-1, -1]), "another text or head changed the context"


def extreme(fn: Padded, case: Case) -> None:
    """Scores of +-10,000 neither overflow nor underflow."""
    inputs = replace(case, scale=1.0).inputs()
    # One coordinate carries the score: 100 * +-100.
    for name in ("query", "key"):
        inputs[name] = torch.zeros_like(inputs[name])
    inputs["query"][..., 0] = 100.0
    inputs["key"][..., 0] = drawing.normal(case.seed, inputs["key"].shape[:-1]).sign() * 100.0
    assert_accurate(measure(context_of(fn), exact, sdpa, inputs))
    # The gradient of such a query is 100 times what rounding leaves of 0: it need only be finite.
    gradients = run(context_of(fn), inputs, QKV)[1]
    for name, gradient in gradients.items():
        assert gradient.isfinite().all(), f"the gradient of {name} is not finite"


def nan_stays(fn: Padded, case: Case) -> None:
    """NaN in one query reaches the context of that query and no other."""
    inputs = case.inputs()
    clean = context_of(fn)(**inputs)
    inputs["query"][0, 0, -1] = float("nan")
    context = context_of(fn)(**inputs)
    others = torch.ones_like(context, dtype=torch.bool)
    others[0, 0, -1] = False
    assert torch.equal(context[others], clean[others]), "NaN in one query changed another"
    if inputs["mask"] is None or inputs["mask"][0].any():
        assert context[0, 0, -1].isnan().all(), "NaN in a query was lost"


def _double(inputs: dict[str, Any]) -> dict[str, Any]:
    return {k: v.double() if k in QKV else v for k, v in inputs.items()}


CHECKS = (
    close_to_sdpa,
    same_form,
    weights_or_refusal,
    empty_query,
    blind_to_masked,
    within_values,
    shift_invariant,
    permutable,
    independent,
    extreme,
    nan_stays,
)
LAWS = [
    # One comparison with all hard cases is enough.
    Law(close_to_eager, CASES, HARD),
    *(Law(check, CASES, HARD_ENOUGH) for check in CHECKS),
    *CALL_LAWS,
    *DROPOUT_LAWS,
]


def errors(fn: Padded, case: Case) -> list[Errors]:
    """Beside those of PyTorch's SDPA."""
    return measure(context_of(fn), exact, sdpa, case.inputs(), QKV)


def check_attention(fn: Padded, packed: Packed | None = None, examples: int = 20) -> Report:
    """Try every law of attention on `fn`, and measure its errors at H = 12, S = 128, K = 64.

    Args:
        fn: Anybody's padded attention; `attention_form.py` says how it is called.
        packed: Its packed form, if it has one: tried against the reference, text by text.
        examples: Random cases a law.
    """
    drawing.prepare()
    typical = [Case(1, 12, 128, dtype=dtype) for dtype in FLOOR]
    report = try_laws("attention", fn, LAWS, errors, typical, examples)
    more = (
        []
        if packed is None
        else [
            law.try_on(lambda **inputs: call(packed, inputs), examples)
            for law in (*PACKED_LAWS, *PACKED_DROPOUT_LAWS)
        ]
    )
    return replace(report, results=report.results + more)
