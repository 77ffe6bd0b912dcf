"""The losses of the heads, and labels that make no sense."""

import pytest

pytest.importorskip("jax", reason="the port to JAX: pip install minidistil[jax]")
pytest.importorskip("flax", reason="the port to JAX: pip install minidistil[jax]")

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from minidistil import DistilBertConfig
from minidistil.ports import flax as ports
from minidistil.ports.flax.heads.base import cross_entropy
from tests.helpers.reference import BATCH, CHOICES, LENGTH, VOCAB, inputs
from tests.helpers.tolerances import assert_close
from tests.ports.flax.models import port_pair
from tests.ports.parity import arrays, tensor

CLASSIFIER = "DistilBertForSequenceClassification"
MULTI = "multi_label_classification"
SEVERAL = torch.tensor([[1.0, 0, 1], [0, 0.25, -100], [1, -100, 1], [0, 1, 0]])


@pytest.fixture(scope="module")
def heads():
    """One of each class, for the tests that do not change it."""
    classes = ["MaskedLM", "TokenClassification", "QuestionAnswering", "MultipleChoice"]
    torch.manual_seed(3)
    pairs = {f"DistilBertFor{c}": port_pair(f"DistilBertFor{c}", "k16") for c in classes}
    return pairs | {CLASSIFIER: port_pair(CLASSIFIER, "k16")}


@torch.no_grad()
@pytest.mark.parametrize(
    ("num_labels", "problem_type", "labels"),
    [
        (1, None, torch.randn(BATCH)),
        (1, None, torch.tensor([1, 2, 3, 4])),
        (1, "regression", torch.randn(BATCH, 1)),
        (3, "regression", torch.randn(BATCH, 3)),
        (5, None, torch.tensor([0, 4, -100, 1])),
        (5, "single_label_classification", torch.tensor([[0], [4], [2], [1]])),
        (3, None, torch.ones(BATCH, 3).bool()),
        (3, None, SEVERAL),
        (3, MULTI, SEVERAL.round().long()),
    ],
)
def test_sequence_classification(num_labels, problem_type, labels):
    fields = {"num_labels": num_labels, "problem_type": problem_type}
    ours, port = port_pair(CLASSIFIER, "k16", **fields)
    given = inputs(CLASSIFIER) | {"labels": labels}
    expected, actual = ours(**given), port(**arrays(given))
    assert_close(tensor(actual.loss), expected.loss)
    assert_close(tensor(actual.logits), expected.logits)
    if "regression" in (problem_type or "regression") and num_labels == 1:
        assert jnp.isnan(port(**arrays(given | {"labels": torch.full((BATCH,), torch.nan)})).loss)


@torch.no_grad()
@pytest.mark.parametrize("column", [False, True])
def test_answers_cut_off_by_truncation(heads, column):
    ours, port = heads["DistilBertForQuestionAnswering"]
    given = inputs("DistilBertForQuestionAnswering") | {
        "start_positions": torch.tensor([0, LENGTH, 99, 3]),
        "end_positions": torch.tensor([1, LENGTH, LENGTH - 1, 99]),
    }
    expected = ours(**given).loss
    given = {k: v[:, None] if column and "positions" in k else v for k, v in given.items()}
    assert_close(tensor(port(**arrays(given)).loss), expected)


@torch.no_grad()
def test_multiple_choice_flattens_position_ids(heads):
    ours, port = heads["DistilBertForMultipleChoice"]
    given = inputs("DistilBertForMultipleChoice") | {"labels": torch.tensor([0, 2, -100, 1])}
    for shape in ((BATCH, CHOICES, LENGTH), (1, LENGTH)):
        given["position_ids"] = torch.randint(20, shape)
        expected, actual = ours(**given), port(**arrays(given))
        assert_close(tensor(actual.logits), expected.logits)
        assert_close(tensor(actual.loss), expected.loss)


NOTHING = [
    ("DistilBertForMaskedLM", {"labels": torch.full((BATCH, LENGTH), -100)}),
    pytest.param(
        "DistilBertForTokenClassification",
        {"labels": torch.full((BATCH, LENGTH), -100)},
        marks=pytest.mark.slow,
    ),
    pytest.param(
        "DistilBertForMultipleChoice",
        {"labels": torch.full((BATCH,), -100)},
        marks=pytest.mark.slow,
    ),
    pytest.param(CLASSIFIER, {"labels": torch.full((BATCH,), -100)}, marks=pytest.mark.slow),
    pytest.param(CLASSIFIER, {"labels": torch.full((BATCH, 2), -100.0)}, marks=pytest.mark.slow),
    (
        "DistilBertForQuestionAnswering",
        {
            "start_positions": torch.full((BATCH,), 99),
            "end_positions": torch.full((BATCH,), LENGTH),
        },
    ),
]


@pytest.mark.parametrize(("cls", "labels"), NOTHING)
def test_nothing_to_learn_from_is_zero_not_nan(heads, cls, labels):
    given = arrays(inputs(cls) | labels)
    step = nnx.jit(nnx.value_and_grad(lambda model, given: model(**given).loss))
    loss, gradients = step(heads[cls][1], given)
    leaves = jax.tree.leaves(gradients)
    assert loss == 0 and leaves and all((g == 0).all() for g in leaves)


@pytest.mark.parametrize(
    ("cls", "labels", "message"),
    [
        ("DistilBertForMaskedLM", {"labels": torch.full((BATCH, LENGTH), VOCAB)}, "holds 61, exp"),
        ("DistilBertForMaskedLM", {"labels": torch.full((BATCH, LENGTH), -1)}, "holds -1, expec"),
        ("DistilBertForMaskedLM", {"labels": torch.zeros(BATCH, 3).long()}, r"\(4, 3\), the logi"),
        ("DistilBertForMaskedLM", {"labels": torch.zeros(BATCH, LENGTH)}, "integers, .* not float"),
        ("DistilBertForTokenClassification", {"labels": torch.full((BATCH, LENGTH), 2)}, "holds 2"),
        (CLASSIFIER, {"labels": torch.full((BATCH,), 2)}, "labels holds 2, expected 0 to 1"),
        (CLASSIFIER, {"labels": torch.zeros(BATCH + 1).long()}, r"\(5,\)"),
        (CLASSIFIER, {"labels": torch.zeros(BATCH, 3)}, r"labels of shape \(4, 3\) do not fit mu"),
        (CLASSIFIER, {"labels": torch.full((BATCH, 2), 1.5)}, "labels holds 1.5, expected 0 to 1"),
        (CLASSIFIER, {"labels": torch.full((BATCH, 2), torch.nan)}, "labels holds nan"),
        ("DistilBertForMultipleChoice", {"labels": torch.full((BATCH,), 3)}, "labels holds 3"),
        ("DistilBertForMultipleChoice", {"input_ids": torch.ones(2, 3).long()}, "multiple choice"),
        ("DistilBertForMultipleChoice", {"attention_mask": torch.ones(1, 1, 2)}, "attention_mask"),
        ("DistilBertForQuestionAnswering", {"start_positions": torch.zeros(BATCH)}, "give both"),
        (
            "DistilBertForQuestionAnswering",
            {"start_positions": torch.zeros(BATCH), "end_positions": torch.zeros(BATCH)},
            "start_positions must be int32 or int64",
        ),
        (
            "DistilBertForQuestionAnswering",
            {"start_positions": -torch.ones(BATCH).long(), "end_positions": torch.zeros(BATCH)},
            "start_positions holds -1, expected 0 or more: count from 0",
        ),
        (
            "DistilBertForQuestionAnswering",
            {"start_positions": torch.zeros(3).long(), "end_positions": torch.zeros(3).long()},
            "start_positions has 3 entries for 4 sequences",
        ),
    ],
)
def test_labels_that_make_no_sense(heads, cls, labels, message):
    with pytest.raises(ValueError, match=message):
        heads[cls][1](**arrays(inputs(cls) | labels))


@pytest.mark.parametrize(
    ("cls", "names", "right", "wrong"),
    [
        ("DistilBertForMaskedLM", ["labels"], np.full((BATCH, LENGTH), -100), [-1, VOCAB]),
        pytest.param(
            "DistilBertForTokenClassification",
            ["labels"],
            np.ones((BATCH, LENGTH), int),
            [-1, 2],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "DistilBertForMultipleChoice",
            ["labels"],
            np.zeros(BATCH, int),
            [-CHOICES, CHOICES],
            marks=pytest.mark.slow,
        ),
        (CLASSIFIER, ["labels"], np.ones(BATCH, int), [-1, 2]),
        (CLASSIFIER, ["labels"], np.array([[1.0, -100]] * BATCH), [-1, 7, np.nan]),
        (
            "DistilBertForQuestionAnswering",
            ["start_positions", "end_positions"],
            np.full(BATCH, LENGTH),
            [-1, -100],
        ),
    ],
)
def test_a_wrong_label_in_a_compiled_function_is_nan(heads, cls, names, right, wrong):
    """The loss and its gradient: nobody trains on it for long."""
    step = nnx.jit(nnx.value_and_grad(lambda model, given: model(**given).loss))
    port, given = heads[cls][1], arrays(inputs(cls)) | dict.fromkeys(names, right)
    assert not jnp.isnan(step(port, given)[0])
    for name in names:
        for value in wrong:
            label = right.copy()
            label[(-1,) * label.ndim] = value
            loss, gradients = step(port, given | {name: label})
            assert jnp.isnan(loss), (name, value)
            assert any(jnp.isnan(g).any() for g in jax.tree.leaves(gradients)), (name, value)


@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (CLASSIFIER, ["labels"]),
        ("DistilBertForMultipleChoice", ["labels"]),
        ("DistilBertForQuestionAnswering", ["start_positions", "end_positions"]),
    ],
)
def test_a_label_that_jax_would_wrap(heads, cls, names):
    given = arrays(inputs(cls)) | dict.fromkeys(names, np.array([0] * BATCH))
    for name in names:
        wrong = given | {name: np.array([0] * (BATCH - 1) + [2**32])}
        with pytest.raises(ValueError, match=f"{name} holds 4294967296, which does not fit in int"):
            heads[cls][1](**wrong)


def test_labels_of_a_narrow_dtype():
    """A uint8 cannot be compared with 300 classes; nor may 156, its -100, be ignored."""
    logits = jax.random.normal(jax.random.key(0), (3, 300))
    labels = np.array([200, 156, 255])
    assert cross_entropy(logits, labels.astype(np.uint8)) == cross_entropy(logits, labels) > 5


@pytest.mark.parametrize(
    "given",
    [
        {"input_ids": np.zeros((2, 3, 0), int)},
        {"inputs_embeds": np.zeros((2, 3, 0, 32), np.float32)},
        {"input_ids": np.zeros((2, 3, 0), int), "attention_mask": np.zeros((2, 3, 0))},
    ],
)
def test_choices_of_length_0(heads, given):
    with pytest.raises(ValueError, match=r"length 0 has no \[CLS\]"):
        heads["DistilBertForMultipleChoice"][1](**given)


def test_configs_that_make_no_sense():
    config = DistilBertConfig(
        vocab_size=9, n_layers=1, dim=8, n_heads=2, initializer_range=0, num_labels=3
    )
    with pytest.raises(ValueError, match=r"num_labels must be 2 \(start, end\), not 3"):
        ports.FlaxDistilBertForQuestionAnswering(config, rngs=nnx.Rngs(0))
    model = ports.FlaxDistilBertForSequenceClassification(config, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"length 0 has no \[CLS\]"):
        model(jnp.zeros((2, 0), int))
    model.config.problem_type = "regresion"
    with pytest.raises(ValueError, match="config.problem_type is 'regresion', none of"):
        model(jnp.ones((1, 2), int), labels=[1])
    config.dropout = 2.0
    with pytest.raises(ValueError, match="config.dropout"):
        ports.FlaxDistilBertModel(config, rngs=nnx.Rngs(0))
