"""The fast path gives the model's numbers, whatever the padding, and leaves the model alone."""

import copy

import pytest
import torch

from minidistil import DistilBertConfig, DistilBertForSequenceClassification, DistilBertModel
from minidistil.inference.encoder import FastEncoder
from minidistil.inference.fast import READ_FIRST, for_inference
from minidistil.quantization import quantize
from tests.helpers.reference import CLASSES, CONFIGS, LENGTH, VOCAB, inputs, labels, pair
from tests.helpers.tolerances import assert_close


def models(cls: str, name: str, **fields):
    _, model = pair(cls, name, **fields)
    return model, model.for_inference()


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


def test_a_half_precision_model_is_run_in_float32():
    _, model = pair("DistilBertModel", "k16")
    half = copy.deepcopy(model).bfloat16()
    given = inputs("DistilBertModel")
    real = given["attention_mask"].bool()
    with torch.no_grad():
        want = copy.deepcopy(half).float()(**given).last_hidden_state[real]
    fast = half.for_inference()
    assert_close(fast(**given).last_hidden_state[real], want, "bfloat16 weights")
    assert half.dtype == torch.bfloat16 and fast.dtype == torch.float32


def test_no_graph_is_kept():
    _, fast = models("DistilBertModel", "k16")
    assert not fast(**inputs("DistilBertModel")).last_hidden_state.requires_grad


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
