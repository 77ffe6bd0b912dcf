"""A file gives the model's numbers on inputs that its export has not seen, or there is no file."""

import json
import logging
import warnings
from pathlib import Path

import jaxtyping
import onnx
import onnxruntime
import pytest
import torch

import minidistil
from minidistil import DistilBertModel
from minidistil import export as export_module
from minidistil.export import FORMATS, OPSET, export
from minidistil.ops.attention import sdpa
from minidistil.quantization import quantize
from tests.helpers.reference import CLASSES, CONFIGS, POSITIONS, VOCAB, pair
from tests.helpers.tolerances import assert_close

# (B, C, S), of which the choices are for multiple choice. The export has seen (2, 3, 5).
SHAPES = [(1, 2, 1), (1, 1, 6), (4, 1, 9), (3, 5, 2), (2, 2, POSITIONS)]
# Both kinds of positions, every activation, and a tied and an untied projector.
NAMES = [name for name in CONFIGS if name != "k128-chunked"]
CASES = list(zip(CLASSES, ["k16", "k80-untied", *NAMES[1:4], "k16"], strict=True))
# Translation takes seconds: of most laws the quick suite tries one format.
SLOW_ONNX = [pytest.param("onnx", marks=pytest.mark.slow), "torch-export"]


@pytest.fixture(autouse=True)
def shapes_unchecked(monkeypatch):
    # torch.export traces with sizes that are symbols, which the check of annotations can't count.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def model_of(cls: str, name: str = "k16", **fields):
    return pair(cls, name, **({"attn_implementation": "sdpa"} | fields))[1]


def loaded(path: Path, kind: str):
    """The file as a function from ids and mask to outputs by name, in order."""
    if kind == "torch-export":
        return torch.export.load(path).module()
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]

    def run(ids, mask):
        arrays = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
        return dict(zip(names, map(torch.as_tensor, session.run(None, arrays)), strict=True))

    return run


@torch.no_grad()
def assert_same(path: Path, kind: str, model) -> None:
    run = loaded(path, kind)
    for sizes in SHAPES:
        choices = isinstance(model, minidistil.DistilBertForMultipleChoice)
        shape = sizes if choices else sizes[::2]
        ids = torch.randint(VOCAB, shape)
        random = (torch.rand(shape) > 0.4).long()
        some_empty = random.clone()
        some_empty[-1] = 0
        for mask in (random, some_empty, torch.ones_like(ids), torch.zeros_like(ids)):
            expected, outputs = model(ids, mask), run(ids, mask)
            names = [name for name in outputs if name[-1] not in "0123456789"]
            assert names == list(expected)[: len(names)]
            flat = torch.utils._pytree.tree_leaves(expected.to_tuple())
            for (name, got), want in zip(outputs.items(), flat, strict=True):
                assert got.isfinite().all()
                assert_close(got, want, f"{name} at {shape}")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("cls", "name"), CASES)
def test_every_class(cls, name, kind, tmp_path, capfd):
    model, path = model_of(cls, name, n_layers=2), tmp_path / "deep" / "model.file"
    before, disabled = torch.get_rng_state(), logging.root.manager.disable
    with warnings.catch_warnings(action="error"):
        assert export(model, path, kind) <= 1e-5
    assert capfd.readouterr() == ("", "") and logging.root.manager.disable == disabled
    assert torch.equal(torch.get_rng_state(), before)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    for folder in (Path(minidistil.__file__).parent, Path(torch.__file__).parent, tmp_path):
        assert str(folder).encode() not in path.read_bytes()
    assert_same(path, kind, model)


@pytest.mark.slow
@pytest.mark.parametrize("attn", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", NAMES)
def test_every_config(name, kind, attn, tmp_path):
    model, path = model_of("DistilBertForMaskedLM", name, attn_implementation=attn), tmp_path / "x"
    assert export(model, path, kind) <= 1e-5
    assert_same(path, kind, model)


@pytest.mark.parametrize("kind", SLOW_ONNX)
def test_hidden_states_and_attentions_follow(kind, tmp_path):
    model = model_of("DistilBertForTokenClassification", attn_implementation="eager")
    model.config.output_hidden_states = model.config.output_attentions = True
    model.config.return_dict = False
    export(model, tmp_path / "x", kind)
    model.config.return_dict = True
    assert_same(tmp_path / "x", kind, model)
    outputs = loaded(tmp_path / "x", kind)(*torch.ones(2, 1, 3, dtype=torch.long))
    assert [*outputs] == ["logits", "hidden_states_0", "hidden_states_1", "attentions_0"]


@pytest.mark.parametrize("kind", SLOW_ONNX)
def test_int8_rows(kind, tmp_path):
    model = quantize(model_of("DistilBertForMaskedLM"))
    export(model, tmp_path / "x", kind)
    assert_same(tmp_path / "x", kind, model)


def test_an_attention_of_yours(tmp_path):
    def twice(query, key, value, mask=None, *, scale=None, dropout_p=0.0, need_weights=False):
        context, _ = sdpa(query, key, value, mask, scale=scale)
        return 2 * context, None

    model = model_of("DistilBertModel", attn_implementation=twice)
    export(model, tmp_path / "x", "torch-export")
    assert_same(tmp_path / "x", "torch-export", model)


def test_what_an_onnx_file_says(tmp_path):
    labels = {0: "négatif", 1: "neutre", 2: "positif"}
    model = model_of(
        "DistilBertForSequenceClassification",
        id2label=labels,
        label2id={name: i for i, name in labels.items()},
        problem_type="multi_label_classification",
    )
    export(model, tmp_path / "x.onnx")
    said = onnxruntime.InferenceSession(tmp_path / "x.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(said.pop("id2label")) == {str(i): name for i, name in labels.items()}
    assert said == {
        "class": "DistilBertForSequenceClassification",
        "max_position_embeddings": str(POSITIONS),
        "problem_type": "multi_label_classification",
    }
    file = onnx.load(tmp_path / "x.onnx")
    onnx.checker.check_model(file)
    assert [(o.domain, o.version) for o in file.opset_import] == [("", OPSET)]
    assert all(t.data_location == onnx.TensorProto.DEFAULT for t in file.graph.initializer)
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*file.graph.input, *file.graph.output)
    }
    assert shapes == {
        "input_ids": ["batch", "length"],
        "attention_mask": ["batch", "length"],
        "logits": ["batch", 3],
    }


def test_what_a_pt2_says_and_refuses(tmp_path):
    export(model_of("DistilBertForQuestionAnswering"), tmp_path / "x.pt2", "torch-export")
    said = {"metadata.json": ""}
    program = torch.export.load(tmp_path / "x.pt2", extra_files=said).module()
    assert json.loads(said["metadata.json"]) == {
        "class": "DistilBertForQuestionAnswering",  # whose labels would mean nothing
        "max_position_embeddings": str(POSITIONS),
    }
    long = torch.ones(1, POSITIONS + 1, dtype=torch.long)
    with pytest.raises(AssertionError, match=rf"input_ids.size\(\)\[1\] <= {POSITIONS}"):
        program(long, long)


@pytest.mark.parametrize("kind", SLOW_ONNX)
def test_a_file_that_differs_is_not_left(kind, tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.write_text("the old one")
    model = model_of("DistilBertModel")
    original, name = export_module._program, "embeddings.LayerNorm.bias"

    def nudged(*arguments):
        program = original(*arguments)
        program.state_dict[f"model.{name}"] = torch.nn.Parameter(model.get_parameter(name) + 0.01)
        return program

    monkeypatch.setattr(export_module, "_program", nudged)
    with pytest.raises(ValueError, match=r"last_hidden_state .* differs .* by \d\.\de-0\d, more"):
        export(model, path, kind)
    assert path.read_text() == "the old one" and [*tmp_path.iterdir()] == [path]


def test_nan_is_a_difference(tmp_path):
    model = model_of("DistilBertModel")
    with torch.no_grad():
        model.embeddings.LayerNorm.bias[0] = torch.nan
    with pytest.raises(ValueError, match="by nan, more than 1e-05"):
        export(model, tmp_path / "x.pt2", "torch-export")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: model.train(), "model.eval()"),
        (lambda model: model.bfloat16(), r"torch.bfloat16 on cpu, .*: call model.float().cpu()"),
        (lambda model: model.to("meta"), "torch.float32 on meta, "),
        (lambda model: model.for_inference(), "the model that for_inference was called on"),
        (lambda model: model.encoder.for_inference(), "that for_inference was called on"),
        (lambda model: model.set_attn_implementation("triton"), 'set_attn_implementation("sdpa")'),
        (lambda model: model.set_layer_ops("triton"), 'set_layer_ops("torch")'),
    ],
)
@pytest.mark.parametrize("kind", FORMATS)
def test_what_cant_be_exported_says_the_way_out(change, message, kind, tmp_path):
    model = model_of("DistilBertForMaskedLM")
    model = change(model) or model
    with pytest.raises(ValueError) as error:
        export(model, tmp_path / "deep" / "x", kind)
    for part in message.split(".*"):
        assert part in str(error.value)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("kind", FORMATS)
def test_one_position_leaves_no_free_length(kind, tmp_path):
    model = model_of("DistilBertModel", max_position_embeddings=1)
    with pytest.raises(ValueError, match=r"call model.resize_position_embeddings\(2\) first"):
        export(model, tmp_path / "x", kind)
    assert [*tmp_path.iterdir()] == []


def test_chunks_have_a_way_out(tmp_path):
    model = model_of("DistilBertModel", "k128-chunked", n_layers=1)
    with pytest.raises(ValueError, match="chunk_size_feed_forward=3 .* chunk_size_feed_forward=0"):
        export(model, tmp_path / "x.pt2", "torch-export")
    model.save_pretrained(tmp_path / "model")
    again = DistilBertModel.from_pretrained(tmp_path / "model", chunk_size_feed_forward=0)
    export(again, tmp_path / "x.pt2", "torch-export")
    assert_same(tmp_path / "x.pt2", "torch-export", model)


def test_attentions_of_sdpa(tmp_path):
    model = model_of("DistilBertModel")
    model.config.output_attentions = True
    with pytest.raises(ValueError, match=r'set_attn_implementation\("eager"\)'):
        export(model, tmp_path / "x", "torch-export")
    assert [*tmp_path.iterdir()] == []


def test_more_than_a_protobuf_holds(tmp_path, monkeypatch):
    model = model_of("DistilBertModel")
    monkeypatch.setattr(export_module, "LARGEST", 1000)
    with pytest.raises(ValueError, match=r"holds 1,000 bytes .* has \d\d,\d{3}: .*torch-export"):
        export(model, tmp_path / "x.onnx")
    export(model, tmp_path / "x.pt2", "torch-export", verify=False)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package(package, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "find_spec", lambda name: None if name == package else name)
    with pytest.raises(ValueError, match=rf"needs {package}: pip install 'minidistil\[export\]'"):
        export(model_of("DistilBertModel"), tmp_path / "x.onnx")


def test_other_errors(tmp_path):
    model = model_of("DistilBertModel")
    with pytest.raises(ValueError, match="format is 'tflite'; known: onnx, torch-export"):
        export(model, tmp_path / "x", "tflite")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="not a regular file"):
        export(model, tmp_path / "folder", "torch-export", verify=False)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
