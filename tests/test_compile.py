"""torch.compile, torch.export, torch.jit.trace: no graph break, dynamic shapes, the same numbers.

They run in a process of their own: this one checks shapes with an import hook, which Dynamo can't
trace.
"""

import subprocess
import sys

import pytest

HEADER = """
import torch, minidistil
from torch.export import Dim
torch.manual_seed(0)
def build(cls, **fields):
    fields = dict(vocab_size=61, dim=32, n_heads=2, hidden_dim=37, n_layers=2) | fields
    return getattr(minidistil, cls)(minidistil.DistilBertConfig(**fields)).eval()
def batch(b, s):
    mask = torch.rand(b, s) > 0.4
    mask[:, 0] = True
    mask[:, -1] = False
    return torch.randint(61, (b, s)), mask.long()
"""
FULLGRAPH = """
for attn in ("eager", "sdpa"):
    model = build(CLS, attn_implementation=attn)
    model.forward = torch.compile(model.forward, backend="aot_eager", fullgraph=True)
    plain = build(CLS, attn_implementation=attn)
    plain.load_state_dict(model.state_dict())
    ids, mask = batch(3, 7)
    options = dict(output_hidden_states=True, output_attentions=attn == "eager")
    got, want = model(ids, mask, **options), plain(ids, mask, **options)
    assert list(got) == list(want)
    torch.testing.assert_close(got.to_tuple(), want.to_tuple(), rtol=0, atol=1e-6)
print("same")
"""
EXPORT = """
model = build(CLS)
ids, mask = batch(3, 7)
shape = {0: Dim("batch", min=1, max=64), 1: Dim("length", min=2, max=512)}
exported = torch.export.export(model, (ids, mask), dynamic_shapes={
    "input_ids": shape, "attention_mask": shape}).module()
for b, s in ((3, 7), (5, 2), (2, 33)):
    ids, mask = batch(b, s)
    torch.testing.assert_close(exported(ids, mask)[0], model(ids, mask)[0], rtol=0, atol=1e-6)
# A mask of ones at export time must not have removed the mask.
ones = torch.ones(3, 7, dtype=torch.long)
exported = torch.export.export(model, (torch.zeros_like(ones), ones)).module()
ids, mask = batch(3, 7)
torch.testing.assert_close(exported(ids, mask)[0], model(ids, mask)[0], rtol=0, atol=1e-6)
print("same")
"""
TRACE = """
model = build(CLS)
ids, mask = batch(3, 7)
try:
    torch.jit.trace(model, (ids, mask))
except RuntimeError as error:
    assert "tuples of tensors" in str(error) and "value of type BaseModelOutput" in str(error)
else:
    raise AssertionError("torch.jit.trace takes typed results now: say so in docs/api/model.md")
model.config.return_dict = False
traced = torch.jit.trace(model, (ids, torch.ones_like(mask)))
ids, mask = batch(2, 33)
torch.testing.assert_close(traced(ids, mask), model(ids, mask), rtol=0, atol=1e-6)
print("same")
"""


def run(program):
    done = subprocess.run(
        [sys.executable, "-c", HEADER + program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "same\n"


@pytest.mark.parametrize("cls", ["DistilBertModel", "DistilBertForMaskedLM"])
def test_compile_has_no_graph_break(cls):
    run(f"CLS = {cls!r}\n" + FULLGRAPH)


@pytest.mark.parametrize("cls", ["DistilBertModel", "DistilBertForSequenceClassification"])
def test_export_with_dynamic_shapes(cls):
    run(f"CLS = {cls!r}\n" + EXPORT)


def test_tracing_takes_tuples():
    run("CLS = 'DistilBertModel'\n" + TRACE)


PACKED = """
ids, ends = torch.randint(61, (10,)), torch.tensor([0, 4, 10], dtype=torch.int32)
for attn in ("eager", "sdpa"):
    torch._dynamo.reset()
    model = build("DistilBertModel", attn_implementation=attn)
    want = model(ids, cu_seqlens=ends)[0]
    got = torch.compile(model, backend="eager")(ids, cu_seqlens=ends, max_seqlen=6)[0]
    torch.testing.assert_close(got, want, rtol=0, atol=1e-6)
    options = {"cu_seqlens": ends, "max_seqlen": 6}
    try:
        torch.export.export(model, (ids,), options, strict=False)
    except ValueError as error:
        assert "packed batch (cu_seqlens) can't be exported" in str(error), error
    else:
        raise AssertionError("exported: say so in docs/api/packing.md")
print("same")
"""


def test_packed_batches_are_compiled_with_breaks_and_not_exported():
    run(PACKED)
