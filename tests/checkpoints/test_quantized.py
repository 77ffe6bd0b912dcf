"""Int8 checkpoints: a quarter of the bytes, floats when loaded, and the same bits again."""

import json

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

import minidistil
from minidistil import DistilBertConfig, DistilBertForMaskedLM, DistilBertModel
from minidistil.checkpoints.files import read_json, write_json
from minidistil.quantization import METHOD, dequantize_rows, quantize
from tests.helpers.reference import CLASSES, amplify, inputs


def tiny(cls="DistilBertModel", **fields):
    fields = {"vocab_size": 61, "dim": 16, "n_heads": 2, "hidden_dim": 13, "n_layers": 2} | fields
    model = getattr(minidistil, cls)(DistilBertConfig(max_position_embeddings=24, **fields))
    amplify(model)
    return model.eval()


@given(
    cls=st.sampled_from(CLASSES),
    tied=st.booleans(),
    sinusoidal=st.booleans(),
    pruned=st.sampled_from([{}, {0: [1]}]),
    seed=st.integers(0, 2**20),
    spread=st.sampled_from([1e-30, 1.0, 1e30]),
    dtype=st.sampled_from([None, "float64"]),
)
def test_round_trip(tmp_path_factory, cls, tied, sinusoidal, pruned, seed, spread, dtype):
    """quantize(load(save(quantize(model)))) is quantize(model), bit for bit."""
    folder = tmp_path_factory.mktemp("int8")
    torch.manual_seed(seed)
    model = tiny(
        cls, tie_word_embeddings=tied, sinusoidal_pos_embds=sinusoidal, pruned_heads=pruned
    )
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            # Rows of very different size; some of zeros.
            parameter.mul_(spread ** torch.rand(len(parameter), *[1] * (parameter.dim() - 1)))
            parameter[0] = 0
    want = quantize(model)
    want.save_pretrained(folder)
    loaded, info = getattr(minidistil, cls).from_pretrained(
        folder, dtype=dtype, output_loading_info=True
    )
    assert not any(info.values())
    plain = model.config.to_dict() | {"architectures": [cls], "dtype": dtype or "float32"}
    assert loaded.config.to_dict() == plain
    assert [p.requires_grad for p in loaded.parameters()] == [
        p.requires_grad for p in model.parameters()
    ]
    got = quantize(loaded)
    state = got.state_dict()
    assert state.keys() == want.state_dict().keys()
    for name, tensor in want.state_dict().items():
        assert torch.equal(state[name], tensor)
    if dtype is None:
        on_disk = DistilBertConfig.from_pretrained(folder).to_dict()
        assert on_disk == got.config.to_dict() | {"architectures": [cls]}
        assert on_disk == want.config.to_dict() | {"architectures": [cls], "dtype": "float32"}


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_loaded_model_computes_what_the_quantized_one_does(cls, dtype, tmp_path):
    quantized = quantize(tiny(cls).to(getattr(torch, dtype)))
    quantized.save_pretrained(tmp_path)
    loaded = getattr(minidistil, cls).from_pretrained(tmp_path)
    assert str(loaded.dtype) == f"torch.{dtype}" and {p.dtype for p in loaded.parameters()} == {
        loaded.dtype
    }
    with torch.no_grad():
        batch = inputs(cls)
        assert torch.equal(loaded(**batch)[0], quantized(**batch)[0])


def test_what_is_written(tmp_path):
    quantize(tiny("DistilBertForMaskedLM")).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["quantization_config"] == METHOD and config["tie_word_embeddings"] is True
    assert config["dtype"] == "float32"
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert not any(name.startswith("vocab_projector.weight") for name in tensors)
    words = "distilbert.embeddings.word_embeddings.weight"
    assert (tensors[words].dtype, tensors[words].shape) == (torch.int8, (61, 16))
    assert tensors[f"{words}_scale"].dtype == torch.float32
    assert tensors[f"{words}_scale"].shape == (61,)
    floats = {name for name, tensor in tensors.items() if tensor.dtype == torch.float32}
    endings = ("_scale", ".bias", "norm.weight", "LayerNorm.weight")
    assert all(name.endswith(endings) for name in floats)


def test_a_quarter_of_the_bytes(tmp_path):
    shape = {"vocab_size": 100, "dim": 256, "n_heads": 4, "hidden_dim": 1024, "n_layers": 2}
    model = DistilBertModel(DistilBertConfig(**shape))
    sizes = []
    for what, name in ((model, "float"), (quantize(model), "int8")):
        what.save_pretrained(tmp_path / name)
        sizes.append((tmp_path / name / "model.safetensors").stat().st_size)
    assert 0.25 < sizes[1] / sizes[0] < 0.26


def test_saving_a_quantized_model_with_a_float_projector(tmp_path):
    """The two weights differ then, and each is loaded as it was written."""
    quantized = quantize(tiny("DistilBertForMaskedLM"))
    projector = torch.nn.Linear(16, 61)
    quantized.set_output_embeddings(projector)
    quantized.save_pretrained(tmp_path)
    loaded = DistilBertForMaskedLM.from_pretrained(tmp_path)
    assert torch.equal(loaded.vocab_projector.weight, projector.weight)
    words = quantized.get_input_embeddings()
    rows = dequantize_rows(words.weight, words.weight_scale)
    assert torch.equal(loaded.get_input_embeddings().weight, rows)


@pytest.mark.parametrize("same", [True, False])
def test_a_config_that_says_tied_of_two_weights(same, tmp_path):
    """Of equal whole numbers the scales decide."""
    quantize(tiny("DistilBertForMaskedLM", tie_word_embeddings=False)).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    projector, words = "vocab_projector.weight", "distilbert.embeddings.word_embeddings.weight"
    tensors[projector] = tensors[words].clone()
    tensors[f"{projector}_scale"] = tensors[f"{words}_scale"] * (1 if same else 2)
    safetensors.torch.save_file(tensors, file)
    config = read_json(tmp_path / "config.json") | {"tie_word_embeddings": True}
    write_json(tmp_path / "config.json", config)
    if same:
        loaded = DistilBertForMaskedLM.from_pretrained(tmp_path)
        assert loaded.vocab_projector.weight is loaded.get_input_embeddings().weight
        return
    with pytest.warns(UserWarning, match="projector differs from its word embedding"):
        loaded = DistilBertForMaskedLM.from_pretrained(tmp_path)
    assert torch.equal(loaded.vocab_projector.weight, 2 * loaded.get_input_embeddings().weight)


def test_a_head_from_an_int8_encoder(tmp_path):
    encoder = quantize(tiny())
    encoder.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="new weights, to be trained before use: classifier"):
        model = minidistil.DistilBertForSequenceClassification.from_pretrained(tmp_path)
    batch = inputs("DistilBertModel")
    with torch.no_grad():
        assert torch.equal(model.distilbert(**batch)[0], encoder(**batch)[0])


LIN1 = "transformer.layer.0.ffn.lin1.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"{LIN1}_scale": None}, f"{LIN1} is of torch.int8 .* can't be loaded without their sc"),
        ({f"{LIN1}_scale": torch.ones(12)}, rf"{LIN1}_scale must be \(13,\).* not \(12,\) float32"),
        ({f"{LIN1}_scale": torch.ones(13, 1)}, r"must be \(13,\) finite float32.* not \(13, 1\)"),
        ({f"{LIN1}_scale": torch.ones(13).half()}, r"must be \(13,\).* not \(13,\) float16"),
        ({f"{LIN1}_scale": torch.full((13,), float("nan"))}, "finite float32"),
        ({LIN1: torch.ones(13, 16)}, f"{LIN1}_scale is there, but {LIN1} is no int8 matrix"),
        ({LIN1: None}, f"{LIN1}_scale is there, but {LIN1} is no int8 matrix"),
        ({LIN1: torch.ones(13, 15, dtype=torch.int8)}, r"is \(13, 15\) in the checkpoint, but"),
    ],
)
def test_broken_checkpoints(change, message, tmp_path):
    quantize(tiny()).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = safetensors.torch.load_file(file) | change
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    safetensors.torch.save_file(tensors, file)
    with pytest.raises(ValueError, match=message):
        DistilBertModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "method",
    [
        {"quant_method": "gptq", "bits": 4},
        {"quant_method": "bitsandbytes", "load_in_8bit": True},
        METHOD | {"bits": 4},
        "int8",
    ],
)
def test_another_method_is_refused(method, tmp_path):
    quantize(tiny()).save_pretrained(tmp_path)
    config = read_json(tmp_path / "config.json") | {"quantization_config": method}
    write_json(tmp_path / "config.json", config)
    message = "does not undo .it knows 'minidistil_int8_rows'.; load the checkpoint it was made"
    with pytest.raises(ValueError, match=message):
        DistilBertModel.from_pretrained(tmp_path)


def test_int8_without_a_word_in_the_config(tmp_path):
    quantize(tiny()).save_pretrained(tmp_path)
    config = read_json(tmp_path / "config.json")
    del config["quantization_config"]
    write_json(tmp_path / "config.json", config)
    with pytest.raises(ValueError, match="is of torch.int8 in the checkpoint"):
        DistilBertModel.from_pretrained(tmp_path)
