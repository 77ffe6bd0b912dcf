"""Int8 rows: the error bound, laws of rounding, and models that equal their dequantized twins."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

import minidistil
from minidistil import DistilBertConfig, DistilBertForMaskedLM, DistilBertModel, pipeline
from minidistil.checkpoints.conversion import convert_bert
from minidistil.quantization import (
    QuantizedEmbedding,
    QuantizedLinear,
    QuantizedRows,
    dequantize_rows,
    quantize,
    quantize_rows,
)
from minidistil.tokenization import DistilBertTokenizer
from tests.helpers.reference import CLASSES, inputs, labels, pair
from tests.helpers.weights import minilm_folder

GREATEST, SMALLEST = 3.4028234663852886e38, 1e-45  # of float32

# Rows of 1 to 5 numbers, from subnormal to the greatest float.
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
matrices = st.integers(1, 5).flatmap(
    lambda width: st.lists(
        st.lists(numbers, min_size=width, max_size=width), min_size=1, max_size=4
    )
)


@given(matrices, st.sampled_from([torch.float32, torch.float64]))
@example([[0.0, -0.0], [1.0, 0.0]], torch.float32)
@example([[GREATEST, -GREATEST], [SMALLEST, -SMALLEST]], torch.float32)
@example([[0.1, 1e-20]], torch.float64)
def test_laws_of_rounding(rows, dtype):
    """Half a step at most, 0 stays 0, never NaN, and a second rounding changes no bit."""
    weight = torch.tensor(rows, dtype=dtype)
    q, s = quantize_rows(weight)
    assert (q.dtype, s.dtype) == (torch.int8, torch.float32)
    assert (q.shape, s.shape) == (weight.shape, weight.shape[:1])
    assert (s > 0).all() and (q >= -127).all()
    back = dequantize_rows(q, s)
    assert back.isfinite().all()
    # In float64 the product is exact; so it must have been in float32.
    assert torch.equal(back.double(), q.double() * s.double()[:, None])
    error = (weight.double() - back.double()).abs()
    assert (error <= s.double()[:, None] / 2 * (1 + 2**-15)).all()
    assert (back[weight == 0] == 0).all()
    for again in (back, back.double()):
        q2, s2 = quantize_rows(again)
        assert torch.equal(q2, q) and torch.equal(s2, s)


@given(matrices)
def test_the_largest_weight_uses_the_whole_range(rows):
    weight = torch.tensor(rows)
    q, _ = quantize_rows(weight)
    normal = weight.abs().amax(1) > 127 * 1.2e-38  # below it the scale is at its least
    assert (q.abs().amax(1)[normal] == 127).all()


@given(matrices, st.data())
def test_rows_do_not_know_of_each_other(rows, data):
    weight = torch.tensor(rows)
    order = data.draw(st.permutations(range(len(rows))))
    q, s = quantize_rows(weight)
    q2, s2 = quantize_rows(weight[order])
    assert torch.equal(q2, q[order]) and torch.equal(s2, s[order])
    q3, s3 = quantize_rows(-weight)
    assert torch.equal(q3, -q) and torch.equal(s3, s)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_as_the_float32_it_is(dtype):
    weight = torch.randn(5, 300).to(dtype)
    for got, want in zip(quantize_rows(weight), quantize_rows(weight.float()), strict=True):
        assert torch.equal(got, want)
    assert dequantize_rows(*quantize_rows(weight), dtype).dtype == dtype


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.tensor([[1.0], [float("nan")]]), "row 1 holds a weight that is not finite"),
        (torch.tensor([[float("-inf")]]), "row 0 holds a weight that is not finite"),
        (torch.tensor([[1e300]], dtype=torch.float64), "not finite in float32"),
        (torch.zeros(3), r"not \(3,\) torch.float32"),
        (torch.zeros(2, 2, dtype=torch.int8), r"not \(2, 2\) torch.int8"),
    ],
)
def test_what_has_no_rows_to_quantize(weight, message):
    with pytest.raises(ValueError, match=message):
        quantize_rows(weight)


def dequantized(model, quantized):
    """`model` with the weights of `quantized`, as floats."""
    model, state = copy.deepcopy(model), quantized.state_dict()
    for name in [name for name in state if name.endswith("_scale")]:
        weight, scale = name.removesuffix("_scale"), state.pop(name)
        state[weight] = dequantize_rows(state[weight], scale)
    model.load_state_dict(state, strict=True)
    return model


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("name", ["k16", "k32-sinusoidal", "k80-untied"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_quantized_model_is_the_model_of_its_rounded_weights(cls, name, dtype):
    _, model = pair(cls, name, dtype)
    before = copy.deepcopy(model.state_dict())
    quantized = quantize(model)
    twin = dequantized(model, quantized)
    batch = inputs(cls) | (labels(cls) if cls != "DistilBertModel" else {})
    with torch.no_grad():
        got, want, original = (m(**batch).to_tuple() for m in (quantized, twin, model))
    assert all(map(torch.equal, got, want))
    assert not any(map(torch.equal, got, original))
    assert all(torch.equal(model.state_dict()[n], w) for n, w in before.items())
    assert "quantization_config" not in model.config.extra
    assert type(quantized) is type(model) and quantized.dtype == dtype
    layers = [m for m in quantized.modules() if isinstance(m, nn.Linear | nn.Embedding)]
    assert all(isinstance(layer, QuantizedRows) for layer in layers)


def tiny(cls=DistilBertForMaskedLM, **fields):
    shape = {"vocab_size": 61, "dim": 32, "n_heads": 2, "hidden_dim": 37, "n_layers": 1}
    return cls(DistilBertConfig(**shape | fields))


def test_a_tied_projector_stays_tied():
    quantized = quantize(tiny())
    words, projector = quantized.get_input_embeddings(), quantized.get_output_embeddings()
    assert isinstance(words, QuantizedEmbedding) and isinstance(projector, QuantizedLinear)
    for model in (quantized, copy.deepcopy(quantized), pickle.loads(pickle.dumps(quantized))):
        for moved in (model, model.to(torch.float64)):
            words, projector = moved.get_input_embeddings(), moved.get_output_embeddings()
            assert projector.weight is words.weight
            assert projector.weight_scale is words.weight_scale
    untied = quantize(tiny(tie_word_embeddings=False))
    assert untied.get_output_embeddings().weight is not untied.get_input_embeddings().weight


def test_another_dtype_leaves_the_scales_alone():
    model = tiny().eval()
    quantized = quantize(model)
    scale = quantized.vocab_transform.weight_scale.clone()
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        want = quantize(model)(ids).logits
        half = quantized.half()
        assert half(ids).logits.dtype == half.dtype == torch.float16
        assert torch.equal(half.vocab_transform.weight_scale, scale)
        # Back again only biases and LayerNorms were rounded, and these are 0 and 1.
        assert torch.equal(half.float()(ids).logits, want)


def test_quantizing_twice_changes_nothing():
    once = quantize(tiny())
    want, got = once.state_dict(), quantize(once).state_dict()
    assert got.keys() == want.keys() and all(torch.equal(got[n], want[n]) for n in want)


def test_an_attention_with_a_state_stays_itself():
    model = tiny(DistilBertModel)
    attend = minidistil.ops.AttentionImpl(padded=lambda *_: None)
    model.set_attn_implementation(attend)
    assert quantize(model).config.attn_implementation is attend


def test_what_a_quantized_model_refuses():
    quantized = quantize(tiny().train())
    assert not quantized.training and not any(p.requires_grad for p in quantized.parameters())
    with pytest.raises(ValueError, match="can't be trained.*quantize it afterwards"):
        quantized.train()
    for surgery in (
        lambda: quantized.resize_token_embeddings(70),
        lambda: quantized.resize_position_embeddings(9),
        lambda: quantized.prune_heads({0: [1]}),
        lambda: quantized.set_input_embeddings(nn.Embedding(61, 32)),
    ):
        before = quantized.config.to_dict()
        with pytest.raises(ValueError, match="can't be replaced: resize or prune the float model"):
            surgery()
        assert quantized.config.to_dict() == before
    assert quantized(torch.tensor([[1, 60]])).logits.shape == (1, 2, 61)


def test_kernels_that_take_floats_say_so():
    pytest.importorskip("triton", reason="the kernels need Triton")
    quantized = quantize(tiny())
    quantized.set_layer_ops("triton")
    for ask in ({"input_ids": torch.tensor([[1]])}, {"inputs_embeds": torch.zeros(1, 1, 32)}):
        with pytest.raises(ValueError, match='takes float weights.*set_layer_ops."torch"'):
            quantized(**ask)


def test_a_weight_that_is_not_finite_is_named():
    model = tiny(DistilBertModel)
    with torch.no_grad():
        model.transformer.layer[0].ffn.lin2.weight[3, 0] = float("inf")
    with pytest.raises(ValueError, match=r"^transformer.layer.0.ffn.lin2.weight: row 3 holds"):
        quantize(model)


SENTENCES = [
    "We the People of the United States, in Order to form a more perfect Union,",
    "Call me Ishmael.",
    "The cat sat on the mat.",
    "A feline rested on the rug.",
    "E = mc² holds in naïve Straßburg, 東京 and Ελλάδα!",
]


def test_real_sentences_keep_their_meaning():
    """What docs/quantization.md says of MiniLM."""
    model, _ = convert_bert(minilm_folder())
    tokenizer = DistilBertTokenizer.from_pretrained(minilm_folder())
    before, after = (
        np.array(pipeline("feature-extraction", model=m, tokenizer=tokenizer)(SENTENCES))
        for m in (model, quantize(model))
    )
    cosines = (before * after).sum(1)  # both have length 1
    assert 0.99 < cosines.min() < 1 - 1e-6


def test_torchao_rounds_the_same_weights():
    """The grown-up way, named in docs/quantization.md: same rows, same levels, a nearby scale."""
    quantization = pytest.importorskip("torchao.quantization", reason="needs torchao")
    model = tiny(DistilBertModel).eval()
    ours = quantize(model)
    quantization.quantize_(model, quantization.Int8WeightOnlyConfig())
    weight, row = model.transformer.layer[0].ffn.lin1.weight, ours.transformer.layer[0].ffn.lin1
    # Its scale is rounded otherwise, so a weight halfway between two levels may go the other way.
    assert (weight.qdata.int() - row.weight.int()).abs().max() <= 1
    torch.testing.assert_close(weight.scale[:, 0], row.weight_scale.data, rtol=1e-2, atol=0)
    ids = torch.tensor([[1, 7, 5, 2]])
    with torch.no_grad():
        got, want = model(ids).last_hidden_state, ours(ids).last_hidden_state
    assert torch.cosine_similarity(got, want, dim=-1).min() > 0.999
