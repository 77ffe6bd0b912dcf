"""Packed batches give the numbers of padded ones: every class, implementation and gradient."""

import pytest
import torch

from tests.helpers.reference import CLASSES, CONFIGS, VOCAB, pair
from tests.helpers.tolerances import assert_close

LENGTHS = [5, 1, 9, 3]


def batches():
    """The same sequences padded and packed."""
    sequences = [torch.randint(VOCAB, (n,)) for n in LENGTHS]
    ids = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True)
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    cu_seqlens = torch.tensor([0, *LENGTHS]).cumsum(0).to(torch.int32)
    return ids, mask, torch.cat(sequences), cu_seqlens


def labels_for(cls, mask):
    if cls in ("DistilBertForMaskedLM", "DistilBertForTokenClassification"):
        labels = torch.randint(2, mask.shape).masked_fill(~mask, -100)
        return {"labels": labels}, {"labels": labels[mask]}
    if cls == "DistilBertForQuestionAnswering":
        # The third answer lies beyond its sequence in both forms.
        positions = {
            "start_positions": torch.tensor([4, 0, 99, 1]),
            "end_positions": torch.tensor([4, 0, 99, 2]),
        }
        return positions, positions
    labels = {"labels": torch.tensor([0, 1, 1, 0])}
    return labels, labels


@pytest.mark.parametrize("attn", ["eager", "sdpa"])
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("cls", [c for c in CLASSES if "Choice" not in c])
def test_packed_is_padded(cls, name, attn):
    _, ours = pair(cls, name, torch.float64, attn)
    ids, mask, packed, cu_seqlens = batches()
    for_padded, for_packed = ({}, {}) if cls == "DistilBertModel" else labels_for(cls, mask)
    expected = ours(ids, mask, **for_padded)
    actual = ours(packed, cu_seqlens=cu_seqlens, **for_packed)
    assert list(actual) == list(expected)
    for field in expected:
        want = expected[field]
        if want.shape[:2] == mask.shape:
            want = want[mask]
        if field == "loss" and cls == "DistilBertForQuestionAnswering":
            continue  # a padded batch also spreads probability over its padding
        assert_close(actual[field], want, field)


@pytest.mark.parametrize("attn", ["eager", "sdpa"])
def test_question_answering_loss_sees_no_padding(attn):
    """The mean over sequences, each alone: what a packed batch computes at once."""
    _, ours = pair("DistilBertForQuestionAnswering", "k16", torch.float64, attn)
    ids, mask, packed, cu_seqlens = batches()
    positions, _ = labels_for("DistilBertForQuestionAnswering", mask)
    actual = ours(packed, cu_seqlens=cu_seqlens, **positions).loss
    alone = []
    for i, length in enumerate(LENGTHS):
        if positions["start_positions"][i] < length:
            one = {name: value[[i]] for name, value in positions.items()}
            alone.append(ours(ids[[i], :length], **one).loss)
    assert len(alone) == 3
    assert_close(actual, torch.stack(alone).mean())


@pytest.mark.parametrize("attn", ["eager", "sdpa"])
def test_gradients(attn):
    _, ours = pair("DistilBertForMaskedLM", "k32-sinusoidal", torch.float64, attn)
    ids, mask, packed, cu_seqlens = batches()
    for_padded, for_packed = labels_for("DistilBertForMaskedLM", mask)
    results = []
    for run in (
        lambda: ours(ids, mask, **for_padded),
        lambda: ours(packed, cu_seqlens=cu_seqlens, max_seqlen=9, **for_packed),
    ):
        ours.zero_grad()
        run().loss.backward()
        results.append({n: p.grad.clone() for n, p in ours.named_parameters() if p.requires_grad})
    for name, want in results[0].items():
        assert_close(results[1][name], want, name)


def test_empty_sequences_and_empty_batches():
    _, ours = pair("DistilBertModel", "k16")
    ids = torch.randint(VOCAB, (4,))
    whole = ours(ids, cu_seqlens=torch.tensor([0, 4], dtype=torch.int32)).last_hidden_state
    holes = ours(ids, cu_seqlens=torch.tensor([0, 0, 4, 4], dtype=torch.int32)).last_hidden_state
    assert_close(holes, whole)
    none = ours(ids[:0], cu_seqlens=torch.tensor([0], dtype=torch.int32)).last_hidden_state
    assert none.shape == (0, 32)


@pytest.mark.parametrize(
    ("cu_seqlens", "options", "message"),
    [
        ([0, 2, 3], {}, "rise from 0 to the 4 tokens"),
        ([1, 4], {}, "rise from 0"),
        ([0, 3, 2, 4], {}, "rise from 0"),
        ([0, 4], {"max_seqlen": 3}, "max_seqlen is 3, but the longest sequence has 4"),
        ([0, 4], {"attention_mask": torch.ones(1, 4)}, "not both"),
        ([0, 4], {"output_attentions": True}, "no attention weights"),
    ],
)
def test_boundaries_that_make_no_sense(cu_seqlens, options, message):
    _, ours = pair("DistilBertModel", "k16")
    cu_seqlens = torch.tensor(cu_seqlens, dtype=torch.int32)
    with pytest.raises(ValueError, match=message):
        ours(torch.zeros(4, dtype=torch.long), cu_seqlens=cu_seqlens, **options)


def test_boundaries_must_be_int32():
    _, ours = pair("DistilBertModel", "k16")
    with pytest.raises(ValueError, match=r"int32.*torch\.int64"):
        ours(torch.zeros(4, dtype=torch.long), cu_seqlens=torch.tensor([0, 4]))


def test_a_bare_callable_has_no_packed_form():
    _, ours = pair("DistilBertModel", "k16")
    ours.set_attn_implementation(lambda query, *_, **__: (query, None))
    with pytest.raises(ValueError, match="no packed form"):
        ours(torch.zeros(4).long(), cu_seqlens=torch.tensor([0, 4], dtype=torch.int32))


def test_multiple_choice_has_no_packed_form():
    _, ours = pair("DistilBertForMultipleChoice", "k16")
    with pytest.raises(ValueError, match="choices"):
        ours(torch.zeros(4).long(), cu_seqlens=torch.tensor([0, 4], dtype=torch.int32))
