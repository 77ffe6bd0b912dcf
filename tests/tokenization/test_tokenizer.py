"""Results are transformers', keyword for keyword, where transformers gives a result."""

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidistil.tokenization import DistilBertTokenizer

from .samples import TINY_VOCAB, real_vocab_file
from .test_basic import texts

OURS = DistilBertTokenizer(TINY_VOCAB, model_max_length=12)
THEIRS = transformers.DistilBertTokenizer(vocab=TINY_VOCAB, model_max_length=12)

SENTENCE = st.lists(
    st.sampled_from(["want", "unwanted", "running", "low", ",", "UNwant\u00e9d", "X", "[MASK]"]),
    max_size=9,
)
KEYWORDS = st.fixed_dictionaries(
    {
        "add_special_tokens": st.booleans(),
        "padding": st.sampled_from([False, True, "longest", "max_length", "do_not_pad"]),
        "truncation": st.sampled_from(
            [None, False, True, "longest_first", "only_first", "only_second", "do_not_truncate"]
        ),
        "max_length": st.sampled_from([None, 3, 4, 5, 7, 8, 10, 16]),
        "stride": st.sampled_from([0, 0, 1, 2]),
        "pad_to_multiple_of": st.sampled_from([None, None, 4, 8]),
        "padding_side": st.sampled_from([None, "left", "right"]),
        "return_overflowing_tokens": st.booleans(),
        "return_offsets_mapping": st.booleans(),
        "return_special_tokens_mask": st.booleans(),
        "return_length": st.booleans(),
        "return_attention_mask": st.sampled_from([None, True, False]),
        "is_split_into_words": st.booleans(),
    }
)
pytestmark = pytest.mark.filterwarnings("ignore:a row has", "ignore:max_length", "ignore:`max_len")


@st.composite
def inputs(draw: st.DrawFn, batched: bool, paired: bool) -> tuple[Any, Any]:
    """Lists of words for a text, or a batch, and for its second texts or None."""
    form = st.lists(SENTENCE, min_size=2, max_size=2) if batched else SENTENCE
    return draw(form), draw(form) if paired else None


def as_strings(words: Any) -> Any:
    if words and isinstance(words[0], list):
        return [" ".join(sentence) for sentence in words]
    return " ".join(words) if words is not None else None


def plain(encoding: Any) -> dict[str, Any]:
    return {
        name: value.tolist() if hasattr(value, "tolist") else value
        for name, value in encoding.items()
    }


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("batched", [False, True])
def test_every_keyword(batched: bool, paired: bool, side: str) -> None:
    ours, theirs = copy.deepcopy(OURS), THEIRS
    ours.truncation_side = theirs.truncation_side = side
    compared = 0

    @given(inputs(batched, paired), KEYWORDS)
    @settings(suppress_health_check=[HealthCheck.too_slow])
    def check(pair: tuple[Any, Any], keywords: dict[str, Any]) -> None:
        nonlocal compared
        text, text_pair = pair if keywords["is_split_into_words"] else map(as_strings, pair)
        try:
            found = ours(text, text_pair, **keywords)
        except ValueError as error:
            # transformers fails here too, with a trace of Rust's where a stride is too wide.
            assert "max_length" in str(error) or "only_second" in str(error)
            with pytest.raises(BaseException, match=r"runcation|stride"):
                theirs(text, text_pair, **keywords)
            return
        wanted = theirs(text, text_pair, **keywords)
        assert plain(found) == plain(wanted)
        assert list(found) == list(wanted)
        for row in range(len(found.encodings)):
            assert found.tokens(row) == wanted.tokens(row)
            assert found.word_ids(row) == wanted.word_ids(row)
            assert found.sequence_ids(row) == wanted.sequence_ids(row)
        compared += 1

    check()
    assert compared > 60


@pytest.mark.parametrize("kind", ["pt", "np"])
@pytest.mark.parametrize("text", ["want low", ["want low", "running"], "", [""]], ids=str)
def test_tensors(kind: Any, text: Any) -> None:
    keywords: dict[str, Any] = {"padding": True, "return_offsets_mapping": True}
    found = OURS(text, return_tensors=kind, **keywords)
    wanted = THEIRS(text, return_tensors=kind, **keywords)
    assert plain(found) == plain(wanted)
    for name in wanted:
        assert (found[name].shape, found[name].dtype) == (wanted[name].shape, wanted[name].dtype)


@pytest.mark.parametrize(
    ("text", "text_pair", "split"),
    [
        ([("want", "un"), ("low", "un low")], None, False),
        ([["want", "un"], ["low", "un low"]], None, False),
        ([(["want", "un"], ["low"])], None, True),
        ([("want", "un"), ("low", "un")], None, True),
        (("want", "un"), None, False),
        (("want", "un"), ("low", "un"), True),
        ("want", "", False),
        (["want"], [""], False),
        ([], None, True),
        (["want"], [], True),
        ([["want"]], [[]], True),
    ],
)
def test_forms_of_input(text: Any, text_pair: Any, split: bool) -> None:
    found = OURS(text, text_pair, is_split_into_words=split)
    assert plain(found) == plain(THEIRS(text, text_pair, is_split_into_words=split))


def test_none_keeps_the_attention_mask() -> None:
    assert OURS("low", return_attention_mask=None).attention_mask == [1, 1, 1]
    assert list(OURS("low", return_attention_mask=False)) == ["input_ids"]


def test_an_empty_batch() -> None:
    assert plain(OURS([])) == {"input_ids": [], "attention_mask": []}


@given(st.lists(texts(), min_size=1, max_size=3))
def test_arbitrary_text(batch: list[str]) -> None:
    assert plain(OURS(batch, return_offsets_mapping=True)) == plain(
        THEIRS(batch, return_offsets_mapping=True)
    )


def test_published_offsets() -> None:
    text = "A, na\u00efve [MASK] AllenNLP sentence."
    uncased = DistilBertTokenizer(real_vocab_file("uncased"))
    cased = DistilBertTokenizer(real_vocab_file("cased"), do_lower_case=False)
    assert uncased(text, return_offsets_mapping=True).offset_mapping == [
        *((0, 0), (0, 1), (1, 2), (3, 8), (9, 15), (16, 21), (21, 23), (23, 24), (25, 33)),
        *((33, 34), (0, 0)),
    ]
    encoding = cased(text, return_offsets_mapping=True)
    assert encoding.tokens()[3:6] == ["na", "##\u00ef", "##ve"]
    assert encoding.offset_mapping[3:6] == [(3, 5), (5, 6), (6, 8)]
    special = [
        getattr(uncased, f"{name}_token_id") for name in ("pad", "unk", "cls", "sep", "mask")
    ]
    assert special == [0, 100, 101, 102, 103]


def test_chinese_characters_stay_together_on_request() -> None:
    vocab = {**TINY_VOCAB, "\u7684": 15, "\u4eba": 16, "##\u4eba": 17}
    assert DistilBertTokenizer(vocab).tokenize("\u7684\u4eba") == ["\u7684", "\u4eba"]
    together = DistilBertTokenizer(vocab, tokenize_chinese_chars=False)
    assert together.tokenize("\u7684\u4eba") == ["\u7684", "##\u4eba"]


@given(texts())
def test_offsets_point_at_the_token(text: str) -> None:
    """The place of a token, tokenized by itself, gives the same characters again."""
    vocab = {**TINY_VOCAB, **{c: 20 + i for i, c in enumerate("aeisxo0$~、")}}
    vocab |= {f"##{c}": 40 + i for i, c in enumerate("aeisxo0")}
    tokenizer = DistilBertTokenizer(vocab)
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    for token, (start, end) in zip(encoding.tokens(), encoding.offset_mapping, strict=True):
        if token not in tokenizer.all_special_tokens:
            assert "".join(tokenizer.tokenize(text[start:end])) in (
                token,
                token.removeprefix("##"),
                "[UNK]" if token.startswith("##") else token,
            )


def test_calls_leave_no_trace() -> None:
    """Also with threads, pickle and copies, between which settings could leak."""
    text = ["want low running", "low"]
    before = plain(OURS(text))
    state = OURS.__dict__["_backend"].to_str()

    def padded(length: int) -> list[int]:
        encoding = OURS(text, padding="max_length", truncation=True, max_length=length)
        return [len(row) for row in encoding.input_ids]

    with ThreadPoolExecutor(4) as pool:
        lengths = [3 + index % 9 for index in range(300)]
        assert list(pool.map(padded, lengths)) == [[length, length] for length in lengths]
    assert plain(OURS(text)) == before
    assert OURS.__dict__["_backend"].to_str() == state
    for twin in (pickle.loads(pickle.dumps(OURS)), copy.deepcopy(OURS)):
        assert plain(twin(text)) == before
        assert vars(twin).keys() == vars(OURS).keys()


def test_a_text_too_long_is_allowed_and_told() -> None:
    with pytest.warns(UserWarning, match="a row has 15 tokens, and the model takes 12"):
        assert len(OURS("want " * 13).input_ids) == 15
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OURS("want " * 13, truncation=True)
        OURS("want " * 10)


def test_unknown_keywords() -> None:
    keywords: dict[str, Any] = {"return_token_type_ids": True}
    with pytest.raises(TypeError, match="return_token_type_ids"):
        OURS("low", **keywords)
    with pytest.raises(TypeError, match="nonsense"):
        OURS.encode("low", nonsense=1)
