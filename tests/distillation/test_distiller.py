"""The objective against the losses formed the long way; which rows are counted."""

import pytest
import torch

from minidistil import DistilBertModel
from minidistil.distillation import losses
from minidistil.distillation.distiller import Distillation, LossWeights
from minidistil.distillation.student import make_student
from minidistil.training.objective import tokens_of
from tests.helpers.training import masked_batch, padded, tiny_masked_lm

EVERY = LossWeights(ce=5.0, mlm=2.0, cos=1.0, mse=1.0)


@pytest.fixture
def pair():
    teacher = tiny_masked_lm(3, dropout=0.0, attention_dropout=0.0)
    return make_student(teacher, [0, 2]), teacher


def by_hand(student, teacher, batch, masked_only) -> dict:
    """Every logit and hidden state in full, then the rows that count."""
    inputs = {k: v for k, v in batch.items() if k != "labels"}
    ours, theirs = (m(**inputs, output_hidden_states=True) for m in (student, teacher))
    labels = batch["labels"].flatten()
    real = torch.ones_like(labels, dtype=torch.bool)
    if "attention_mask" in batch:
        real = batch["attention_mask"].bool().flatten()
    rows = real & (labels >= 0) if masked_only else real
    s, t = (m.logits.flatten(end_dim=-2) for m in (ours, theirs))
    h, k = (m.hidden_states[-1].flatten(end_dim=-2)[real] for m in (ours, theirs))
    return {
        "ce": losses.divergence(s[rows], t[rows], 2.0), "mlm": losses.masked_lm(s, labels),
        "cos": losses.cosine(h, k), "mse": losses.square(h, k),
    }  # fmt: skip


@pytest.mark.parametrize("masked_only", [False, True])
@pytest.mark.parametrize("form", [lambda batch: batch, padded])
def test_losses_and_gradients(pair, masked_only, form):
    student, teacher = pair
    objective = Distillation(student, teacher, EVERY, masked_only=masked_only)
    batch = form(masked_batch(3))
    sums, expected = objective(batch), by_hand(student, teacher, batch, masked_only)
    assert sums.keys() == expected.keys() == objective.weights.keys()
    parameters = [*student.parameters()]
    for name, value in expected.items():
        torch.testing.assert_close(sums[name], value, rtol=1e-5, atol=1e-5)
        ours, theirs = (
            torch.autograd.grad(x, parameters, retain_graph=True, allow_unused=True)
            for x in (sums[name], value)
        )
        for a, b in zip(ours, theirs, strict=True):
            if b is not None:
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("masked_only", [False, True])
def test_counts(pair, masked_only):
    batch = masked_batch(3)
    masked = int((batch["labels"] >= 0).sum())
    tokens = tokens_of(batch)
    assert 0 < masked < tokens == 21
    counts = Distillation(*pair, EVERY, masked_only=masked_only).counts(batch)
    ce = masked if masked_only else tokens
    assert counts == {"ce": ce, "mlm": masked, "cos": tokens, "mse": tokens}


@pytest.mark.parametrize(
    ("weights", "masked_only", "rows"),
    [
        (LossWeights(), False, "all"),
        (LossWeights(), True, "masked"),
        (LossWeights(ce=0.0), False, "masked"),
    ],
)
def test_the_head_is_computed_only_where_it_is_needed(pair, weights, masked_only, rows):
    batch = masked_batch(3)
    seen = []
    student, teacher = pair
    student.vocab_projector.register_forward_hook(lambda m, args, out: seen.append(len(out)))
    Distillation(student, teacher, weights, masked_only=masked_only)(batch)
    masked = int((batch["labels"] >= 0).sum())
    assert seen == {"all": [tokens_of(batch)], "masked": [masked]}[rows]


def test_a_head_that_would_learn_nothing_is_refused(pair):
    """DDP waits for the gradient of every parameter."""
    with pytest.raises(ValueError, match="masked-LM head would learn nothing.*student.distilbert"):
        Distillation(*pair, LossWeights(ce=0.0, mlm=0.0))


def test_models_that_return_tuples(pair):
    """A config.json may ask for tuples; the losses are the same."""
    batch = masked_batch(3)
    want = Distillation(*pair, EVERY)(batch)
    for model in pair:
        model.config.return_dict = False
    got = Distillation(*pair, EVERY)(batch)
    assert all(torch.equal(got[name], want[name]) for name in want)


def test_encoders_without_a_head(pair):
    student, teacher = (model.encoder for model in pair)
    assert isinstance(student, DistilBertModel)
    objective = Distillation(student, teacher, LossWeights(ce=0.0, mlm=0.0))
    batch = masked_batch(3)
    del batch["labels"]
    assert objective.counts(batch) == {"cos": 21}
    assert objective(batch)["cos"] > 0


def test_the_teacher_is_a_constant(pair):
    student, teacher = pair
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    objective = Distillation(student, teacher, EVERY).train()
    assert not teacher.training and student.training
    sum(objective(masked_batch(3)).values()).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    names = {name for name, _ in objective.named_parameters()}
    assert len(names) == len([*student.parameters()]), "the teacher is among what is trained"


def test_a_student_that_is_its_teacher_has_nothing_to_learn(pair):
    _, teacher = pair
    student = make_student(teacher, [0, 1, 2])
    sums = Distillation(student, teacher, EVERY)(masked_batch(3))
    assert max(sums[name].item() for name in ("ce", "cos", "mse")) < 1e-4 < sums["mlm"].item()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"ce": -1.0}, "the weight of ce is -1.0"),
        ({"mlm": float("nan")}, "the weight of mlm is nan"),
        ({"ce": 0.0, "mlm": 0.0, "cos": 0.0}, "nothing to learn from"),
    ],
)
def test_errors_of_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        LossWeights(**weights)


def test_without_a_teacher_it_is_masked_language_modelling(pair):
    student, _ = pair
    batch = masked_batch(3)
    objective = Distillation(student, None, LossWeights(ce=0, mlm=1, cos=0))
    want = losses.masked_lm(
        student(**{k: v for k, v in batch.items() if k != "labels"}).logits, batch["labels"]
    )
    assert objective(batch).keys() == objective.counts(batch).keys() == {"mlm"}
    torch.testing.assert_close(objective(batch)["mlm"], want)
    for weights in (LossWeights(), LossWeights(ce=0, cos=0, mse=1)):
        with pytest.raises(ValueError, match="without a teacher there is only mlm, not "):
            Distillation(student, None, weights)


def test_errors(pair):
    student, teacher = pair
    with pytest.raises(ValueError, match="temperature is 0"):
        Distillation(student, teacher, temperature=0)
    with pytest.raises(ValueError, match="'ce' has a weight, but DistilBertModel has no"):
        Distillation(student, teacher.encoder)
    with pytest.raises(ValueError, match="has no masked-LM head"):
        Distillation(student.encoder, teacher)
    teacher.resize_token_embeddings(60)
    with pytest.raises(ValueError, match="vocab_size is 50 in the student, 60 in the teacher"):
        Distillation(student, teacher)
