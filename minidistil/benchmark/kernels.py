"""Each Triton kernel beside PyTorch's own operators, forward and backward, in half precision.

    inputs at DistilBERT's sizes --kernel | operators--> milliseconds, a ratio

Triton's interpreter is no measure of a kernel, so that this needs a GPU.

Not here: what a kernel moves and what bounds it (`minidistil_kernels.lab`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minidistil.benchmark.report import RATIOS, Report, ratio
from minidistil.benchmark.timing import interleaved, paired, spread
from minidistil.benchmark.work import Setting

DTYPES = (torch.float16, torch.bfloat16)
Function = Callable[..., Any]
Case = tuple[str, Function, Function, dict[str, Tensor]]


@dataclass(frozen=True)
class Sizes:
    """Of the inputs.

    Attributes:
        batch: B.
        length: S.
        heads: H.
        width: K, of a head.
        inner: F.
        vocabulary: V.
    """

    batch: int = 16
    length: int = 512
    heads: int = 12
    width: int = 64
    inner: int = 3072
    vocabulary: int = 30522


def sdpa(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor) -> Tensor:
    """PyTorch's attention, (B, H, S, K), with a mask of keys (B, S)."""
    return F.scaled_dot_product_attention(query, key, value, key_mask[:, None, None])


def cases(dtype: torch.dtype, device: str, sizes: Sizes) -> Iterator[Case]:
    """Every kernel: its name, itself, PyTorch's own, the inputs of both.

    Args:
        dtype: Of the inputs.
        device: Of the inputs.
        sizes: Of the inputs.
    """
    import minidistil_kernels as ours
    from minidistil_kernels import reference

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, device=device, dtype=dtype)

    count, wide = sizes.batch * sizes.length, sizes.heads * sizes.width
    few, words = max(count // 8, 1), sizes.vocabulary
    scores = normal(count * sizes.heads, sizes.length)
    yield "softmax", ours.softmax, reference.softmax, {"x": scores, "mask": scores > -2}
    hidden, residual = normal(count, wide), normal(count, wide)
    weight, bias = torch.ones(wide, device=device, dtype=dtype), normal(wide)
    rows = {"x": hidden, "residual": residual, "weight": weight, "bias": bias}
    yield "add_layer_norm", ours.add_layer_norm, reference.add_layer_norm, rows
    tables = {"word": normal(words, wide), "position": normal(sizes.length, wide)}
    tables |= {"weight": weight, "bias": bias}
    tables["input_ids"] = torch.randint(words, (sizes.batch, sizes.length), device=device)
    tables["position_ids"] = torch.arange(sizes.length, device=device)
    embed = "embedding_layer_norm"
    yield embed, ours.embedding_layer_norm, reference.embedding_layer_norm, tables
    product = {"x": hidden, "weight": normal(sizes.inner, wide) * 0.03, "bias": normal(sizes.inner)}
    yield "linear_gelu", ours.linear_gelu, reference.linear_gelu, product
    shape = (sizes.batch, sizes.length, sizes.heads, sizes.width)
    heads = {name: normal(*shape).transpose(1, 2) for name in ("query", "key", "value")}
    heads["key_mask"] = torch.rand(shape[:2], device=device) < 0.7
    yield "attention", ours.attention, sdpa, heads
    labels = torch.randint(words, (few,), device=device)
    head = {"hidden": normal(few, wide), "weight": normal(words, wide) * 0.03}
    head |= {"bias": normal(words), "labels": labels}
    yield "linear_cross_entropy", ours.linear_cross_entropy, reference.linear_cross_entropy, head
    logits = {"logits": normal(few, words), "labels": labels}
    yield "cross_entropy", ours.cross_entropy, reference.cross_entropy, logits
    two = {"student": normal(few, words), "teacher": normal(few, words), "labels": labels}
    yield "distillation_loss", ours.distillation_loss, reference.distillation_loss, two
    vectors = {"student": hidden, "teacher": normal(count, wide), "mask": hidden[:, 0] > -0.5}
    yield "cosine_loss", ours.cosine_loss, reference.cosine_loss, vectors


def forward(function: Function, inputs: dict[str, Tensor]) -> Tensor:
    """The first result."""
    result = function(**inputs)
    return result[0] if isinstance(result, tuple) else result


def forward_backward(function: Function, inputs: dict[str, Tensor]) -> None:
    """Also the gradients of all inputs that want one."""
    output = forward(function, inputs)
    leaves = [x for x in inputs.values() if x.requires_grad]
    torch.autograd.grad(output, leaves, torch.ones_like(output))


def kernels(setting: Setting, sizes: Sizes = Sizes()) -> list[Report]:
    """Time every kernel and its twin in turns; the ratio is the kernel's time over the twin's.

    Args:
        setting: The rounds and the device; its model is not looked at.
        sizes: Of the inputs.

    Raises:
        ValueError: The device is none that Triton compiles for, or there is no Triton.
    """
    if not setting.device.startswith("cuda") or find_spec("triton") is None:
        raise ValueError("kernels are timed on a CUDA device, with Triton: --device cuda")
    return [table(setting, sizes)]


def table(setting: Setting, sizes: Sizes, dtypes: Sequence[torch.dtype] = DTYPES) -> Report:
    """The table of `kernels`, on any device: to try it."""
    rows = []
    for dtype in dtypes:
        for name, kernel, own, inputs in cases(dtype, setting.device, sizes):
            for key, value in inputs.items():
                if value.is_floating_point() and key != "teacher":
                    inputs[key] = value.detach().requires_grad_()
            for run in (forward, forward_backward):
                runs = {"ours": partial(run, kernel, inputs), "torch": partial(run, own, inputs)}
                times = interleaved(runs, setting.rounds, device=setting.device)
                row = {"kernel": name, "dtype": str(dtype)[6:], "pass": run.__name__}
                row |= {f"{who} ms": spread(values).median * 1e3 for who, values in times.items()}
                rows.append(row | ratio(paired(times["ours"], times["torch"])))
    columns = {"kernel": "", "dtype": "", "pass": "", "ours ms": ".3f", "torch ms": ".3f"}
    return Report("Kernels beside PyTorch's operators", {**columns, **RATIOS}, rows)
