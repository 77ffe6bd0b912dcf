"""A student has the teacher's chosen layers, number by number."""

import pytest
import torch

from minidistil import DistilBertForSequenceClassification, DistilBertModel
from minidistil.distillation.student import DISTILBERT_LAYERS, make_student
from tests.helpers.training import masked_batch, tiny_masked_lm

BATCH = {k: v for k, v in masked_batch(0).items() if k != "labels"}


def test_all_layers_is_a_copy():
    teacher = tiny_masked_lm(3).eval()
    student = make_student(teacher, [0, 1, 2]).eval()
    assert torch.equal(student(**BATCH).logits, teacher(**BATCH).logits)
    with torch.no_grad():
        student.get_input_embeddings().weight.zero_()
    assert teacher.get_input_embeddings().weight.abs().sum() > 0, "they share memory"


@pytest.mark.parametrize("layers", [(2, 0), (1,), (0, 0, 2)])
def test_the_blocks_are_the_chosen_ones(layers):
    teacher = tiny_masked_lm(3).eval()
    student = make_student(teacher, layers)
    assert student.training and student.config.n_layers == len(layers)
    for new, old in enumerate(layers):
        ours = student.encoder.transformer.layer[new].state_dict()
        theirs = teacher.encoder.transformer.layer[old].state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert student.vocab_projector.weight is student.get_input_embeddings().weight


@pytest.mark.parametrize("cls", [DistilBertModel, DistilBertForSequenceClassification])
def test_any_class(cls):
    teacher = cls(tiny_masked_lm(3).config)
    student = make_student(teacher, [2])
    ours, theirs = student.state_dict(), teacher.state_dict()
    prefix = "" if cls is DistilBertModel else "distilbert."
    name = f"{prefix}transformer.layer.{{}}.attention.q_lin.weight"
    assert torch.equal(ours[name.format(0)], theirs[name.format(2)])
    same = [n for n in ours if "transformer.layer" not in n]
    assert same and all(torch.equal(ours[n], theirs[n]) for n in same)


def test_pruned_heads_move_with_their_layer():
    teacher = tiny_masked_lm(3)
    teacher.prune_heads({2: [1]})
    teacher.eval()
    student = make_student(teacher, [0, 2])
    assert student.config.pruned_heads == {1: [1]}
    assert student.eval()(**BATCH).logits.isfinite().all()


def test_a_frozen_teacher_has_a_student_that_learns():
    teacher = tiny_masked_lm(2).requires_grad_(False)
    assert all(p.requires_grad for p in make_student(teacher, [0]).parameters())


def test_dtype_follows():
    assert make_student(tiny_masked_lm(2).bfloat16(), [0]).dtype == torch.bfloat16


def test_errors():
    teacher = tiny_masked_lm(3)
    with pytest.raises(ValueError, match="layer 4 of a teacher that has layers 0 to 2"):
        make_student(teacher)
    with pytest.raises(ValueError, match="layer -1"):
        make_student(teacher, [-1])
    with pytest.raises(ValueError, match="at least one of the teacher's 3 layers"):
        make_student(teacher, [])
    assert DISTILBERT_LAYERS == (0, 2, 4, 7, 9, 11)
