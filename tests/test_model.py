"""The encoder's contract: inputs, errors that say what to do, laws."""

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minidistil
from minidistil import DistilBertConfig, DistilBertModel
from minidistil.ops import AttentionImpl
from minidistil.ops.attention import eager
from tests.helpers.reference import CLASSES, POSITIONS, VOCAB, amplify, labels, pair
from tests.helpers.tolerances import assert_close

FIRST = ["self", "input_ids", "attention_mask", "inputs_embeds"]
KEYWORDS = [
    "head_mask",
    "token_type_ids",
    "cu_seqlens",
    "max_seqlen",
    "output_hidden_states",
    "output_attentions",
    "return_dict",
]


@pytest.mark.parametrize("cls", CLASSES)
def test_signatures(cls):
    """transformers 5's positional order, then keywords only, and no **kwargs."""
    parameters = inspect.signature(getattr(minidistil, cls).forward).parameters
    labels = {
        "DistilBertModel": [],
        "DistilBertForQuestionAnswering": ["start_positions", "end_positions"],
    }.get(cls, ["labels"])
    positional = [n for n, p in parameters.items() if p.kind == p.POSITIONAL_OR_KEYWORD]
    keywords = [n for n, p in parameters.items() if p.kind == p.KEYWORD_ONLY]
    assert positional == [*FIRST, *labels, "position_ids"]
    assert keywords == KEYWORDS
    assert len(parameters) == len(positional) + len(keywords)


def test_unknown_keywords_are_type_errors():
    with pytest.raises(TypeError, match="foo"):
        DistilBertModel(DistilBertConfig(n_layers=1, dim=8, n_heads=1))(foo=1)


def test_token_type_ids_are_accepted_and_ignored():
    _, model = pair("DistilBertModel", "k16")
    ids = torch.randint(VOCAB, (2, 5))
    with torch.no_grad():
        expected = model(ids)[0]
        assert torch.equal(model(ids, token_type_ids=torch.ones_like(ids))[0], expected)


IDS = torch.zeros(2, 5, dtype=torch.long)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "exactly one of input_ids and inputs_embeds"),
        ({"input_ids": IDS, "inputs_embeds": torch.zeros(2, 5, 32)}, "exactly one"),
        ({"input_ids": IDS[0]}, r"input_ids has shape \(5,\), expected \(batch, length\)"),
        (
            {"input_ids": IDS.float()},
            r"input_ids must be int32 .*, not torch.float32: .*\.long\(\)",
        ),
        ({"input_ids": IDS.short()}, "input_ids must be int32 or int64, not torch.int16"),
        ({"input_ids": IDS.byte()}, "input_ids must be int32 or int64, not torch.uint8"),
        (
            {"input_ids": IDS, "position_ids": IDS.float()},
            "position_ids must be int32 or int64, not torch.float32",
        ),
        ({"inputs_embeds": torch.zeros(2, 5, 31)}, r"\(2, 5, 31\), expected \(batch, length, 32\)"),
        ({"input_ids": IDS + VOCAB}, f"input_ids holds {VOCAB}, expected 0 to {VOCAB - 1}"),
        (
            {"input_ids": torch.zeros(1, POSITIONS + 1, dtype=torch.long)},
            "25 tokens is longer than max_position_embeddings=24: truncate it.*"
            r"resize_position_embeddings\(25\)",
        ),
        ({"input_ids": IDS, "position_ids": IDS + POSITIONS}, "position_ids holds 24"),
        ({"input_ids": IDS, "position_ids": IDS[:, :3]}, r"\(2, 3\), the input \(2, 5\)"),
        ({"input_ids": IDS, "attention_mask": IDS[:1]}, r"\(1, 5\).*\(2, 5\)"),
        ({"input_ids": IDS, "attention_mask": IDS[:, :4]}, r"\(2, 4\).*\(2, 5\)"),
        ({"input_ids": IDS, "attention_mask": torch.ones(2, 5, 5)}, r"\(2, 5, 5\); it must be"),
        ({"input_ids": IDS, "attention_mask": torch.ones(2, 3, 5, 5)}, r"\(2, 2, 5, 5\)"),
        ({"input_ids": IDS, "attention_mask": torch.ones(2, 1, 5, 5).long()}, "pass .bool()"),
        ({"input_ids": IDS, "head_mask": torch.ones(3)}, r"\(3,\).*\(2,\).*\(1, 2\)"),
    ],
)
def test_wrong_inputs_say_what_is_wrong(given, message):
    _, model = pair("DistilBertModel", "k16")
    with pytest.raises(ValueError, match=message):
        model(**given)


def test_weights_asked_of_sdpa():
    _, model = pair("DistilBertModel", "k16", attn_implementation="sdpa")
    with pytest.raises(ValueError, match=r'"?sdpa.*set_attn_implementation\("eager"\)'):
        model(IDS, output_attentions=True)


def test_switches_of_the_config():
    _, model = pair("DistilBertModel", "k16", output_hidden_states=True)
    model.config.output_attentions = True
    model.config.return_dict = False
    last, states, attentions = model(IDS)
    assert len(states) == 2 and len(attentions) == 1 and states[-1] is last
    assert list(model(IDS, output_attentions=False, return_dict=True)) == [
        "last_hidden_state",
        "hidden_states",
    ]


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (1, 1), (1, POSITIONS)])
@pytest.mark.parametrize("attn", ["eager", "sdpa"])
def test_extreme_shapes(shape, attn):
    _, model = pair("DistilBertModel", "k16", attn_implementation=attn)
    ids = torch.zeros(shape, dtype=torch.long)
    output = model(ids, torch.ones(shape)).last_hidden_state
    assert output.shape == (*shape, 32) and output.isfinite().all()


def test_non_contiguous_and_int32_ids():
    _, model = pair("DistilBertModel", "k16")
    ids = torch.randint(VOCAB, (5, 2)).T
    with torch.no_grad():
        expected = model(ids.contiguous())[0]
        assert torch.equal(model(ids)[0], expected)
        assert torch.equal(model(ids.int())[0], expected)
        positions = torch.arange(5, dtype=torch.int32)[None]
        assert torch.equal(model(ids, position_ids=positions)[0], expected)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=VOCAB, dim=32, n_heads=2, hidden_dim=37, n_layers=2, max_position_embeddings=16
    )
    model = DistilBertModel(config).eval()
    amplify(model)
    return model.double()


@st.composite
def masked_batches(draw):
    """Ids, and a mask with at least one real and one masked token in every row."""
    batch, length = draw(st.integers(1, 4)), draw(st.integers(2, 16))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    ids = torch.randint(VOCAB, (batch, length), generator=generator)
    mask = torch.rand(batch, length, generator=generator) > 0.5
    rows, ends = torch.arange(batch), torch.randint(length, (batch,), generator=generator)
    mask[rows, ends] = True
    mask[rows, (ends + 1) % length] = False
    return ids, mask, generator


@given(masked_batches())
@torch.no_grad()
def test_masked_tokens_never_matter(model, case):
    ids, mask, generator = case
    other = torch.where(mask, ids, torch.randint(VOCAB, ids.shape, generator=generator))
    for attn in ("eager", "sdpa"):
        model.set_attn_implementation(attn)
        assert torch.equal(model(ids, mask)[0][mask], model(other, mask)[0][mask])


@given(masked_batches())
@torch.no_grad()
def test_permuting_the_batch_permutes_the_result(model, case):
    ids, mask, generator = case
    order = torch.randperm(len(ids), generator=generator)
    for attn in ("eager", "sdpa"):
        model.set_attn_implementation(attn)
        assert_close(model(ids[order], mask[order])[0], model(ids, mask)[0][order])


@given(masked_batches())
@torch.no_grad()
def test_packed_is_padded(model, case):
    ids, mask, _ = case
    positions = torch.arange(ids.shape[1]).expand(ids.shape)
    cu_seqlens = torch.nn.functional.pad(mask.sum(1).cumsum(0), (1, 0)).int()
    for attn in ("eager", "sdpa"):
        model.set_attn_implementation(attn)
        packed = model(ids[mask], position_ids=positions[mask], cu_seqlens=cu_seqlens)[0]
        assert_close(packed, model(ids, mask)[0][mask])


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    "name", ["input_ids", "attention_mask", "inputs_embeds", "position_ids", "head_mask"]
)
def test_a_list_is_no_tensor(cls, name):
    _, model = pair(cls, "k16")
    ids = IDS[:, None] if cls == "DistilBertForMultipleChoice" else IDS
    given = {} if name == "inputs_embeds" else {"input_ids": ids}
    with pytest.raises(TypeError, match=rf"^{name} is a list, not a tensor: tokenizer"):
        model(**given | {name: [1, 1]})


def test_a_list_is_no_packing():
    _, model = pair("DistilBertModel", "k16")
    with pytest.raises(TypeError, match="^cu_seqlens is a list, not a tensor: tokenizer"):
        model(IDS[0], cu_seqlens=[0, 5])


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls != "DistilBertModel"])
def test_labels_in_a_list_are_no_tensor(cls):
    _, model = pair(cls, "k16")
    ids = IDS[:, None] if cls == "DistilBertForMultipleChoice" else IDS
    given = {name: [0, 0] for name in labels(cls)}
    with pytest.raises(TypeError, match=rf"^{next(iter(given))} is a list, not a tensor"):
        model(ids, **given)


@pytest.mark.parametrize("cls", CLASSES)
def test_max_seqlen_without_a_packed_batch(cls):
    _, model = pair(cls, "k16")
    ids = IDS[:, None] if cls == "DistilBertForMultipleChoice" else IDS
    with pytest.raises(ValueError, match="max_seqlen=2 is of a packed batch: give cu_seqlens too"):
        model(ids, max_seqlen=2)


def test_packed_positions_are_one_a_token():
    _, model = pair("DistilBertModel", "k16")
    cu_seqlens = torch.tensor([0, 4], dtype=torch.int32)
    for wrong in (torch.tensor(0), torch.tensor([0])):
        with pytest.raises(ValueError, match=r"position_ids has shape .*, the input \(4,\)"):
            model(torch.zeros(4).long(), position_ids=wrong, cu_seqlens=cu_seqlens)


def test_max_seqlen_may_be_more_than_the_model_takes():
    """It is an upper bound; what must fit is the longest sequence."""
    _, model = pair("DistilBertModel", "k16")
    ids, cu_seqlens = torch.randint(VOCAB, (7,)), torch.tensor([0, 5, 7], dtype=torch.int32)
    expected = model(ids, cu_seqlens=cu_seqlens)[0]
    assert torch.equal(model(ids, cu_seqlens=cu_seqlens, max_seqlen=POSITIONS + 1)[0], expected)
    cu_seqlens = torch.tensor([0, POSITIONS + 1], dtype=torch.int32)
    with pytest.raises(ValueError, match="25 tokens is longer than max_position_embeddings=24"):
        model(torch.zeros(25).long(), cu_seqlens=cu_seqlens, max_seqlen=99)


def test_max_seqlen_may_be_more_where_no_length_can_be_seen():
    """On the meta device, as on a GPU, nothing but `max_seqlen` is known."""
    seen = []

    def packed(query, key, value, cu_seqlens, max_seqlen, **_):
        seen.append(max_seqlen)
        return query

    _, model = pair("DistilBertModel", "k16")
    model.to("meta").set_attn_implementation(AttentionImpl(eager, packed))
    ids = torch.zeros(7, dtype=torch.long, device="meta")
    cu_seqlens = torch.zeros(3, dtype=torch.int32, device="meta")
    assert model(ids, cu_seqlens=cu_seqlens, max_seqlen=99)[0].shape == (7, 32)
    assert seen == [99]
