"""The fast path gives the model's numbers, whatever the padding, and leaves the model alone."""

import copy
import subprocess
import sys

import pytest
import torch

from minidistil import DistilBertConfig, DistilBertForSequenceClassification, DistilBertModel
from minidistil.inference.encoder import FastEncoder
from minidistil.inference.fast import READ_FIRST, for_inference
from minidistil.quantization import quantize
from tests.helpers.reference import CLASSES, CONFIGS, LENGTH, VOCAB, inputs, labels, pair
from tests.helpers.tolerances import assert_close
from tests.inference.models import models


def batch_for(cls: str, model) -> dict[str, torch.Tensor]:
    """Ids and a mask with holes; where the head reads the first token, it is real."""
    given = inputs(cls)
    if isinstance(model, READ_FIRST):
        given["attention_mask"][..., 0] = 1
    return given


def at_real_tokens(output, mask):
    """The results that somebody may read, by name."""
    found = {}
    for name, value in output.items():
        for number, tensor in enumerate(value if isinstance(value, tuple) else [value]):
            rows = mask.flatten(0, -2).bool()
            per_token = tensor.dim() >= 2 and tensor.shape[:2] == rows.shape
            found[f"{name} {number}"] = tensor[rows] if per_token else tensor
    return found


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("name", CONFIGS)
def test_it_equals_the_model(cls, name):
    model, fast = models(cls, name)
    given = batch_for(cls, model)
    if cls != "DistilBertModel":
        given |= labels(cls)
        # A loss reads the logits where its labels are: let none be on padding.
        if "labels" in given and given["labels"].shape == given["attention_mask"].shape:
            given["labels"] = given["labels"].masked_fill(given["attention_mask"] == 0, -100)
        if "QuestionAnswering" in cls:
            del given["start_positions"], given["end_positions"]  # softmax over all places
    with torch.no_grad():
        want = at_real_tokens(model(**given, output_hidden_states=True), given["attention_mask"])
    got = at_real_tokens(fast(**given, output_hidden_states=True), given["attention_mask"])
    assert got.keys() == want.keys() and len(want) >= CONFIGS[name]["n_layers"] + 2
    for what, expected in want.items():
        assert_close(got[what].detach(), expected, what)


def test_a_loss_of_spans_without_padding():
    model, fast = models("DistilBertForQuestionAnswering", "k16")
    given = {"input_ids": torch.randint(VOCAB, (4, LENGTH))} | labels(
        "DistilBertForQuestionAnswering"
    )
    with torch.no_grad():
        assert_close(fast(**given).loss, model(**given).loss, "loss")


def test_other_inputs():
    """Embeddings for ids, positions of one's own, one row of them, packed batches in any order."""
    model, fast = models("DistilBertModel", "k32-sinusoidal")
    given = inputs("DistilBertModel")
    mask = given["attention_mask"]
    words = model.get_input_embeddings()(given["input_ids"]).detach()
    places = torch.randint(24, given["input_ids"].shape)
    cases = [
        {"inputs_embeds": words, "attention_mask": mask},
        given | {"position_ids": places},
        given | {"position_ids": places[:1]},
        {"input_ids": given["input_ids"]},
        given | {"attention_mask": mask[:, None, None].bool()},
        given | {"attention_mask": mask.float()},
    ]
    for case in cases:
        with torch.no_grad():
            want = model(**case).last_hidden_state
        got = fast(**case).last_hidden_state
        real = mask.bool() if "attention_mask" in case else torch.ones_like(mask).bool()
        assert_close(got[real], want[real], str([*case]))
        assert not got[~real].any()
    ends = torch.tensor([0, 5, 5, 7, 12, 17], dtype=torch.int32)
    packed = {"input_ids": torch.randint(VOCAB, (17,)), "cu_seqlens": ends}
    with torch.no_grad():
        want = model(**packed, return_dict=False)[0]
    assert_close(fast(**packed, return_dict=False)[0], want, "packed")


def test_pruned_heads():
    _, model = pair("DistilBertModel", "k32-sinusoidal")
    model.prune_heads({0: [1], 1: [0, 2]})
    given = inputs("DistilBertModel")
    real = given["attention_mask"].bool()
    with torch.no_grad():
        want = model(**given).last_hidden_state[real]
    assert_close(model.for_inference()(**given).last_hidden_state[real], want, "pruned")


def test_a_model_of_eight_bits():
    """Its float weights are laid out; in int8 its own rows are used, and not rounded again."""
    _, model = pair("DistilBertForTokenClassification", "k16")
    small = quantize(model)
    given = inputs("DistilBertForTokenClassification")
    real = given["attention_mask"].bool()
    with torch.no_grad():
        want = small(**given).logits[real]
    assert_close(small.for_inference()(**given).logits[real], want, "float32")
    rows = small.distilbert.transformer.layer[0].ffn.lin1
    laid_out = small.for_inference("int8").state_dict()
    weight = laid_out["distilbert.inner.transformer.layer.0.lin1.weight"]
    assert torch.allclose(weight, rows.weight * rows.weight_scale[:, None], rtol=1e-6, atol=0)


@pytest.mark.parametrize(("dtype", "bound"), [("bfloat16", 0.02), ("int8", 0.15)])
def test_fewer_bits_are_near(dtype, bound):
    """On weights of the usual size, relative to the largest hidden state."""
    torch.manual_seed(0)
    model = DistilBertModel(
        DistilBertConfig(vocab_size=VOCAB, n_layers=4, dim=96, n_heads=3)
    ).eval()
    given = inputs("DistilBertModel")
    real = given["attention_mask"].bool()
    with torch.no_grad():
        want = model(**given).last_hidden_state[real]
    got = model.for_inference(dtype)(**given).last_hidden_state
    assert got.dtype == torch.float32
    error = (got[real] - want).abs().max() / want.abs().max()
    assert 1e-5 < error < bound


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_the_model_stays_as_it_is(dtype):
    _, model = pair("DistilBertForMaskedLM", "k16")
    model.train()
    before = copy.deepcopy(model.state_dict())
    flags = [(p.requires_grad, p.dtype) for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    implementation = model.config.attn_implementation
    fast = model.for_inference(dtype)
    fast(**inputs("DistilBertForMaskedLM"))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert flags == [(p.requires_grad, p.dtype) for p in model.parameters()]
    assert modes == [module.training for module in model.modules()]
    assert model.config.attn_implementation is implementation
    # The tables are large and one for both; the rest is the fast path's own.
    words = [m.get_input_embeddings().weight.data_ptr() for m in (model, fast)]
    assert words[0] == words[1] and fast.vocab_projector.weight.data_ptr() == words[0]
    with torch.no_grad():
        model.distilbert.transformer.layer[0].ffn.lin1.weight.zero_()
    assert fast.state_dict()["distilbert.inner.transformer.layer.0.lin1.weight"].any()


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("eight", [False, True])
def test_a_model_of_another_precision_is_run_in_float32(cls, dtype, eight):
    _, model = pair(cls, "k16")
    other = copy.deepcopy(quantize(model) if eight else model).to(dtype)
    given = batch_for(cls, model)
    with torch.no_grad():
        want = at_real_tokens(copy.deepcopy(other).float()(**given), given["attention_mask"])
    for precision in ("float32", "bfloat16", "int8"):
        fast = other.for_inference(precision)
        got = at_real_tokens(fast(**given), given["attention_mask"])
        assert got.keys() == want.keys()
        for what, value in got.items():
            assert value.dtype == torch.float32
            if precision == "float32":
                assert_close(value, want[what], what)
        assert other.dtype == dtype and fast.dtype == torch.float32
        if cls == "DistilBertForMaskedLM":
            assert fast.vocab_projector.weight is fast.get_input_embeddings().weight


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("how", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_no_graph_is_kept(cls, how):
    """However it is built; and the model's own tables stay trainable, without a gradient of it."""
    _, model = pair(cls, "k16")
    with how():
        fast = model.for_inference()
        copied = copy.deepcopy(fast)
    given = batch_for(cls, model)
    for each in (fast, copied):
        output = each(**given)
        assert all(not value.requires_grad for value in output.to_tuple())
        output[0].numpy()
    words = model.get_input_embeddings().weight
    assert words.requires_grad and words.grad is None
    loss = model(**given)[0].sum()
    loss.backward()
    fast.zero_grad()
    assert words.grad is not None and not fast(**given)[0].requires_grad


def outcome(model, given):
    """What a call gives: shapes, or its error."""
    try:
        return tuple(model(**given)[0].shape)
    except (TypeError, ValueError) as error:
        return repr(error)


LONG = {"input_ids": torch.ones(2, 25).long()}
IDS = torch.randint(VOCAB, (3, LENGTH), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "given",
    [
        {"input_ids": torch.zeros(0, 5).long()},
        {"input_ids": torch.zeros(0, 5).long(), "attention_mask": torch.ones(0, 5)},
        {"input_ids": torch.zeros(2, 0).long()},
        {"input_ids": torch.zeros(2, 0).long(), "attention_mask": torch.ones(2, 0)},
        {"input_ids": torch.zeros(0, 0).long()},
        LONG,
        LONG | {"attention_mask": torch.eye(25)[:2]},
        LONG | {"position_ids": torch.zeros(1, 25).long()},
        *(
            {"input_ids": IDS, "position_ids": torch.zeros(shape).long()}
            for shape in ((LENGTH,), (3, 1), (1, 1), (2, LENGTH), (1, LENGTH), (1, 3, LENGTH))
        ),
        {"input_ids": IDS, "position_ids": torch.zeros(1, LENGTH)},
        {"input_ids": IDS, "position_ids": torch.full((1, LENGTH), 99)},
    ],
)
@pytest.mark.parametrize("cls", ["DistilBertModel", "DistilBertForSequenceClassification"])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_inputs_are_checked_as_by_the_model(given, cls, precision):
    _, model = pair(cls, "k16")
    assert outcome(model.for_inference(precision), given) == outcome(model, given)


LISTS = """
import torch
from minidistil import DistilBertConfig, DistilBertModel
config = DistilBertConfig(vocab_size=20, n_layers=1, n_heads=2, dim=32, hidden_dim=64)
model = DistilBertModel(config).eval()
ids = torch.ones(2, 3).long()
for wrong in (
    *({name: ids.tolist()} for name in ("input_ids", "attention_mask", "position_ids")),
    {"head_mask": [1, 1]},
    {"attention_mask": ids.numpy()},
    {"input_ids": None, "inputs_embeds": torch.ones(2, 3, 32).tolist()},
):
    errors = []
    for each in (model, model.for_inference()):
        try:
            each(**{"input_ids": ids} | wrong)
        except TypeError as error:
            errors.append(str(error))
    assert len(errors) == 2 and errors[0] == errors[1] and "not a tensor" in errors[0], errors
"""


def test_lists_and_arrays():
    """In a process where no checker of annotations is faster."""
    subprocess.run([sys.executable, "-c", LISTS], check=True)


def test_logits_of_padding_are_those_of_zero():
    """Which is why a loss of spans is the model's only where there is no padding."""
    model, fast = models("DistilBertForQuestionAnswering", "k16")
    given = inputs("DistilBertForQuestionAnswering")
    padding = given["attention_mask"] == 0
    output, bias = fast(**given), model.qa_outputs.bias.detach()
    assert torch.equal(output.start_logits[padding], bias[0].expand(int(padding.sum())))
    assert torch.equal(output.end_logits[padding], bias[1].expand(int(padding.sum())))


def test_a_config_that_asks_for_attentions():
    _, fast = models("DistilBertModel", "k16", output_attentions=True)
    with pytest.raises(ValueError, match="no attention weights: call the model that"):
        fast(**inputs("DistilBertModel"))
    output = fast(**inputs("DistilBertModel"), output_attentions=False, return_dict=False)
    assert isinstance(output, tuple) and len(output) == 1


def test_what_it_does_not_do(tmp_path):
    model, fast = models("DistilBertForSequenceClassification", "k16")
    given = batch_for("DistilBertForSequenceClassification", model)
    mask = given["attention_mask"]
    empty, hidden = mask.clone(), mask.clone()
    empty[2], hidden[1, 0] = 0, 0
    pairs = torch.ones(4, 1, LENGTH, LENGTH).bool()
    for wrong, message in (
        ({"head_mask": torch.ones(2)}, "no head masks"),
        ({"output_attentions": True}, "no attention weights"),
        ({"attention_mask": empty}, "leaves no token of row 2: leave the row out"),
        ({"attention_mask": hidden}, "hides the first token of row 1, which the head reads"),
        ({"attention_mask": pairs}, r"a mask of pairs, \(4, 1, 9, 9\) torch.bool"),
        ({"attention_mask": mask[:, :3]}, r"attention_mask has shape \(4, 3\)"),
        ({"input_ids": given["input_ids"] + VOCAB}, "input_ids"),
        ({"max_seqlen": 3}, "give cu_seqlens too"),
    ):
        with pytest.raises(ValueError, match=message):
            fast(**given | wrong)
    with pytest.raises(ValueError, match="has no gradients: train the model that it was made"):
        fast.train()
    for move in (fast.half, fast.double, lambda: fast.to("meta")):
        with pytest.raises(ValueError, match="stays on cpu in its precision"):
            move()
    assert fast.to("cpu") is fast and not fast.eval().training
    with pytest.raises(ValueError, match="is for answering: save its original"):
        fast.save_pretrained(tmp_path / "x")
    assert not (tmp_path / "x").exists()
    with pytest.raises(ValueError, match="comes from for_inference already"):
        fast.for_inference()
    with pytest.raises(ValueError, match="dtype is 'float16'; the fast path knows float32, bfloat"):
        model.for_inference("float16")


def test_class_and_facts_are_the_models():
    model, fast = models("DistilBertForSequenceClassification", "k16")
    assert type(fast) is DistilBertForSequenceClassification
    assert isinstance(fast.encoder, FastEncoder) and fast.device == model.device
    assert fast.config.id2label == model.config.id2label and fast.dtype == torch.float32
    assert isinstance(for_inference(model.encoder), FastEncoder)
