"""Time of each kernel against PyTorch's own operators, on CUDA, at DistilBERT's sizes.

    python -m tests.benchmarks.kernels

The median of `triton.testing.do_bench`, forward and backward, in half precision, with the bandwidth
or the FLOPs that it amounts to. Without a GPU there is nothing to time and it says so: Triton's
interpreter is no measure of a kernel. Nothing is asserted.
"""

import sys
from functools import partial
from importlib.util import find_spec

import torch
import torch.nn.functional as F

B, H, S, K, D, INNER, V = 16, 12, 512, 64, 768, 3072, 30522


def sdpa(query, key, value, key_mask):
    return F.scaled_dot_product_attention(query, key, value, key_mask[:, None, None])


def cases(dtype: torch.dtype):
    """(name, kernel, PyTorch's own, inputs, those that get a gradient)."""
    import minidistil_kernels as ours
    from minidistil_kernels import reference

    def normal(*shape):
        return torch.randn(*shape, device="cuda", dtype=dtype)

    scores = normal(B * H * S, S)
    yield "softmax", ours.softmax, reference.softmax, {"x": scores, "mask": scores > -2}
    hidden, residual = normal(B * S, D), normal(B * S, D)
    weight, bias = torch.ones(D, device="cuda", dtype=dtype), normal(D)
    rows = {"x": hidden, "residual": residual, "weight": weight, "bias": bias}
    yield "add_layer_norm", ours.add_layer_norm, reference.add_layer_norm, rows
    tables = {"word": normal(V, D), "position": normal(S, D), "weight": weight, "bias": bias}
    tables["input_ids"] = torch.randint(V, (B, S), device="cuda")
    tables["position_ids"] = torch.arange(S, device="cuda")
    embed = "embedding_layer_norm"
    yield embed, ours.embedding_layer_norm, reference.embedding_layer_norm, tables
    product = {"x": hidden, "weight": normal(INNER, D) * 0.03, "bias": normal(INNER)}
    yield "linear_gelu", ours.linear_gelu, reference.linear_gelu, product
    heads = {name: normal(B, S, H, K).transpose(1, 2) for name in ("query", "key", "value")}
    heads["key_mask"] = torch.rand(B, S, device="cuda") < 0.7
    yield "attention", ours.attention, sdpa, heads
    labels = torch.randint(V, (B * S // 8,), device="cuda")
    few = {"hidden": normal(B * S // 8, D), "weight": normal(V, D) * 0.03, "bias": normal(V)}
    few["labels"] = labels
    yield "linear_cross_entropy", ours.linear_cross_entropy, reference.linear_cross_entropy, few
    logits = {"logits": normal(len(labels), V), "labels": labels}
    yield "cross_entropy", ours.cross_entropy, reference.cross_entropy, logits
    pair = {"student": normal(len(labels), V), "teacher": normal(len(labels), V), "labels": labels}
    yield "distillation_loss", ours.distillation_loss, reference.distillation_loss, pair
    vectors = {"student": hidden, "teacher": normal(B * S, D), "mask": hidden[:, 0] > -0.5}
    yield "cosine_loss", ours.cosine_loss, reference.cosine_loss, vectors


def forward(function, inputs):
    result = function(**inputs)
    return result[0] if isinstance(result, tuple) else result


def forward_backward(function, inputs):
    output = forward(function, inputs)
    leaves = [x for x in inputs.values() if x.requires_grad]
    torch.autograd.grad(output, leaves, torch.ones_like(output))


def main() -> None:
    if not torch.cuda.is_available() or find_spec("triton") is None:
        sys.exit("no CUDA device, or no Triton: there is nothing to time")
    import triton

    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, triton {triton.__version__}")
    print("kernel", "dtype", "pass", "ours ms", "PyTorch ms", "ratio", sep="\t")
    for dtype in (torch.float16, torch.bfloat16):
        for name, kernel, own, inputs in cases(dtype):
            for key, value in inputs.items():
                if value.is_floating_point() and key != "teacher":
                    inputs[key] = value.requires_grad_()
            for run in (forward, forward_backward):
                times = [
                    triton.testing.do_bench(partial(run, function, inputs), return_mode="median")
                    for function in (kernel, own)
                ]
                ratio = times[0] / times[1]
                cells = [f"{x:.3f}" for x in (*times, ratio)]
                print(name, str(dtype)[6:], run.__name__, *cells, sep="\t")


if __name__ == "__main__":
    main()
