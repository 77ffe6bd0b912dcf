"""The whole model on Triton, forward and backward, against the model on PyTorch."""

import dataclasses

import pytest
import torch

pytest.importorskip("triton", reason="the kernels need Triton")

from minidistil import DistilBertConfig, DistilBertForMaskedLM, DistilBertForSequenceClassification
from minidistil.benchmark.memory import training_memory
from minidistil_kernels.lab import meter
from tests.helpers.kernels import interpreted
from tests.helpers.reference import amplify
from tests.helpers.tolerances import assert_close

CONFIG = DistilBertConfig(
    vocab_size=50,
    max_position_embeddings=20,
    n_layers=2,
    n_heads=2,
    dim=32,
    hidden_dim=48,
    dropout=0.0,
    attention_dropout=0.0,
    seq_classif_dropout=0.0,
)
IDS = torch.tensor([[5, 6, 7, 8, 5, 0, 0], [9, 3, 4, 0, 0, 0, 0], [3, 3, 3, 2, 1, 8, 9]])
LABELS = torch.where(IDS % 3 == 0, IDS, -100)


def pair(model_class):
    """The same amplified weights twice: on PyTorch, written out, and on Triton."""
    models = []
    for attention, layer_ops in (("eager", "torch"), ("triton", "triton")):
        torch.manual_seed(0)
        model = model_class(CONFIG).train()
        amplify(model)
        model.set_attn_implementation(attention)
        model.set_layer_ops(layer_ops)
        models.append(model)
    return models


def assert_same_training(models, inputs):
    """Equal losses, and gradients near each other in the norm of each parameter."""
    outputs = [model(**inputs) for model in models]
    for output in outputs:
        output.loss.backward()
    assert_close(outputs[1].loss, outputs[0].loss)
    eager, triton = (dict(model.named_parameters()) for model in models)
    largest = max(float(p.grad.norm()) for p in eager.values())
    for name, parameter in eager.items():
        # float32 on both sides: amplified weights turn 1e-7 into about 1e-4 of a gradient.
        near = float((triton[name].grad - parameter.grad).norm())
        assert near <= 1e-3 * max(float(parameter.grad.norm()), 1e-3 * largest), name


@pytest.mark.parametrize("packed", [False, True])
def test_masked_lm(packed):
    models = pair(DistilBertForMaskedLM)
    mask = IDS != 0
    inputs = {"input_ids": IDS, "attention_mask": mask, "labels": LABELS}
    if packed:
        ends = torch.nn.functional.pad(mask.sum(-1).cumsum(0), (1, 0)).int()
        inputs = {"input_ids": IDS[mask], "cu_seqlens": ends, "labels": LABELS[mask]}
    assert_same_training(models, inputs)
    assert models[1](**inputs).logits is None, "in training the logits are never stored"
    for model in models:
        model.eval()
    eager, triton = (model(**inputs) for model in models)
    assert_close(triton.logits, eager.logits)
    assert_close(triton.loss, eager.loss)


def test_sequence_classification():
    inputs = {"input_ids": IDS, "attention_mask": IDS != 0, "labels": torch.tensor([0, 1, 1])}
    assert_same_training(pair(DistilBertForSequenceClassification), inputs)


@interpreted
def test_every_kernel_runs():
    _, model = pair(DistilBertForMaskedLM)
    with meter() as traffic:
        model(IDS, labels=LABELS).loss.backward()
    names = " ".join(traffic.kernels)
    for kernel in ("attention_forward", "attention_dkey", "layer_norm", "gelu", "embedding"):
        assert kernel in names, names
    assert "cross_entropy" in names


def test_inputs_embeds():
    models = pair(DistilBertForSequenceClassification)
    embeds = torch.randn(2, 5, 32)
    eager, triton = (model.eval()(inputs_embeds=embeds).logits for model in models)
    assert_close(triton, eager)


def test_gradient_checkpointing_replays_dropout():
    """The seed is drawn from torch's generator, which checkpointing rewinds."""
    gradients = []
    for checkpointing in (False, True):
        _, model = pair(DistilBertForMaskedLM)
        for block in model.distilbert.transformer.layer:
            block.attention.dropout_p = 0.5
        if checkpointing:
            model.gradient_checkpointing_enable()
        torch.manual_seed(1)
        model(IDS, labels=LABELS).loss.backward()
        gradients.append(model.distilbert.embeddings.word_embeddings.weight.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast(dtype):
    """As wide as PyTorch's own: products in half precision, LayerNorm and loss in float32."""
    models = pair(DistilBertForMaskedLM)
    models[0].set_attn_implementation("sdpa")
    with torch.autocast("cpu", dtype):
        eager, triton = (m(IDS, IDS != 0, labels=LABELS).loss for m in models)
    assert eager.dtype == triton.dtype == torch.float32
    assert abs(eager - triton) <= 8 * torch.finfo(dtype).eps * abs(eager)


def test_training_memory():
    """O(S) is kept for attention, and no tensor has the size of the logits.

    Nothing is kept of (S, S) but by eager: where S doubles, so does what Triton keeps.
    """
    config = dataclasses.replace(CONFIG, vocab_size=5000, max_position_embeddings=128)
    kept = {}
    for name, layer_ops in (("eager", "torch"), ("triton", "triton")):
        for length in (64, 128):
            torch.manual_seed(0)
            model = DistilBertForMaskedLM(config).train()
            model.set_attn_implementation(name)
            model.set_layer_ops(layer_ops)
            ids = torch.arange(length)[None] + 1
            kept[name, length] = training_memory(model, input_ids=ids, labels=ids)
    logits = 128 * 5000 * 4
    assert kept["eager", 128].largest >= logits > kept["triton", 128].largest
    assert kept["triton", 128].saved <= 2 * kept["triton", 64].saved
    # What grows with S^2: L * H * (128^2 - 2 * 64^2) weights of 4 bytes.
    assert kept["eager", 128].saved - 2 * kept["eager", 64].saved > 0.9 * 2 * 2 * 2 * 64**2 * 4
