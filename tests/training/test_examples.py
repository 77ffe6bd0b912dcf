"""Labels stand where they belong, no token is lost, and a packed batch is the padded one."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from minidistil import (
    DistilBertConfig,
    DistilBertForMultipleChoice,
    DistilBertForQuestionAnswering,
    DistilBertForSequenceClassification,
    DistilBertForTokenClassification,
)
from minidistil.training.examples import collate, make_examples
from minidistil.training.readers import TASKS, read_examples
from minidistil.training.records import (
    ChoiceRecord,
    QuestionRecord,
    TagRecord,
    TextRecord,
    label_map,
)
from tests.helpers.tolerances import assert_close
from tests.pipelines.checkpoints import TEXTS, VOCAB
from tests.training.data import real_file, small_tokenizer

TOKENIZER = small_tokenizer()
LABELS = {0: "a", 1: "b", 2: "c"}
TAGS = {0: "O", 1: "B-x", 2: "I-x"}
PROBLEMS = {
    "regression": (0.5, -2.0, None),
    "single_label_classification": ("c", "a", None),
    "multi_label_classification": (("b", "c"), (), None),
}
LONG = "the king of paris was born in 1843 and ada was loving the king of london"
WORDS = st.lists(
    st.text(st.sampled_from("abж1,.\u200b\ufe0f \u00e9東"), min_size=1, max_size=6),
    min_size=1,
    max_size=30,
)


def ids_of(example):
    (row,) = example.rows
    return row.tolist()


def model_of(cls, **fields):
    """A model that hangs on its input: linear weights of a new one are far too small for that."""
    shape = {"dim": 32, "n_heads": 4, "hidden_dim": 40, "n_layers": 2}
    config = DistilBertConfig(
        vocab_size=len(VOCAB), max_position_embeddings=64, dropout=0.0, **shape, **fields
    )
    model = cls(config).eval().double()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.weight *= 12
    return model


def padded(batch):
    """The same batch with padding, which a model reads by its mask."""
    sizes = batch["cu_seqlens"].diff().tolist()
    rows = batch["input_ids"].split(sizes)
    labels = {
        name: values
        for name, values in batch.items()
        if name not in ("input_ids", "cu_seqlens", "max_seqlen")
    }
    if len(labels.get("labels", ())) == len(batch["input_ids"]) != len(sizes):
        parts = labels["labels"].split(sizes)
        labels = {"labels": pad_sequence(parts, batch_first=True, padding_value=-100)}
    return {
        "input_ids": pad_sequence(rows, batch_first=True),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in rows], batch_first=True),
        **labels,
    }


def assert_packed_is_padded(model, examples):
    batch = collate(examples)
    assert batch["cu_seqlens"].dtype == torch.int32 and batch["input_ids"].dtype == torch.int64
    assert batch["max_seqlen"] == max(batch["cu_seqlens"].diff())
    assert len({*batch["cu_seqlens"].diff().tolist()}) > 1, "equal lengths prove nothing"
    packed = model(**batch).loss
    assert packed > 0
    assert_close(packed, model(**padded(batch)).loss)
    assert_close(packed, model(**collate(examples[::-1])).loss, "another order")


@pytest.mark.parametrize("problem_type", PROBLEMS)
def test_texts(problem_type):
    labels = PROBLEMS[problem_type]
    records = [TextRecord(text, None, label) for text, label in zip(TEXTS[:3], labels, strict=True)]
    examples = make_examples(
        records, TOKENIZER, max_length=64, id2label=LABELS, problem_type=problem_type
    )
    assert [ids_of(example) for example in examples] == TOKENIZER(TEXTS[:3]).input_ids
    assert [example.record for example in examples] == [0, 1, 2]
    first, second, unlabelled = (example.labels["labels"] for example in examples)
    expected, nothing = {
        "regression": ((0.5, -2.0), math.nan),
        "single_label_classification": ((2, 0), -100),
        "multi_label_classification": (((0.0, 1.0, 1.0), (0.0, 0.0, 0.0)), (math.nan,) * 3),
    }[problem_type]
    assert (first, second) == expected
    assert unlabelled == pytest.approx(nothing, nan_ok=True)
    labels = 1 if problem_type == "regression" else 3
    model = model_of(
        DistilBertForSequenceClassification, num_labels=labels, problem_type=problem_type
    )
    assert_packed_is_padded(model, examples[:2])


def test_pairs_stand_in_one_row():
    records = [TextRecord("ada", "the king", "a"), TextRecord("ada", None, "a")]
    first, second = make_examples(records, TOKENIZER, max_length=64, id2label=LABELS)
    assert ids_of(first) == TOKENIZER("ada", "the king").input_ids
    assert ids_of(second) == TOKENIZER("ada").input_ids


def test_long_texts_are_cut_with_one_warning():
    records = [TextRecord(text, None, "a") for text in (LONG, "ada", LONG)]
    with pytest.warns(UserWarning, match="^2 of 3 records have more than 8 tokens") as caught:
        examples = make_examples(records, TOKENIZER, max_length=8, id2label=LABELS)
    assert len(caught) == 1
    assert [len(ids_of(example)) for example in examples] == [8, 3, 8]


def test_a_label_that_is_not_in_the_map():
    for label in ("d", ("a", "d")):
        records = [TextRecord("ada", None, label, "f:7")]
        problem = f"{'single' if label == 'd' else 'multi'}_label_classification"
        with pytest.raises(ValueError, match="f:7: label 'd' is not in the label map"):
            make_examples(records, TOKENIZER, max_length=8, id2label=LABELS, problem_type=problem)
    with pytest.raises(ValueError, match="f:3: label 'B-y' is not in the label map"):
        record = TagRecord(("ada",), ("B-y",), "f:3")
        make_examples([record], TOKENIZER, max_length=8, id2label=TAGS)


def test_tags_stand_at_first_tokens():
    words, tags = ("Ada", "lovely", "\u200b", "xyz"), ("B-x", "O", "O", "I-x")
    (example,) = make_examples([TagRecord(words, tags)], TOKENIZER, max_length=64, id2label=TAGS)
    tokens = TOKENIZER.convert_ids_to_tokens(ids_of(example))
    assert tokens == ["[CLS]", "ada", "love", "##ly", "x", "##y", "##z", "[SEP]"]
    assert example.labels["labels"].tolist() == [-100, 1, 0, -100, 2, -100, -100, -100]
    assert example.words.tolist() == [-1, 0, 1, -1, 3, -1, -1, -1]


@given(st.lists(WORDS, min_size=1, max_size=4), st.integers(3, 40))
def test_every_word_is_labelled_once_and_no_token_is_lost(sentences, max_length):
    tags = [[TAGS[len(word) % 3] for word in words] for words in sentences]
    records = [TagRecord(tuple(w), tuple(t)) for w, t in zip(sentences, tags, strict=True)]
    examples = make_examples(records, TOKENIZER, max_length=max_length, id2label=TAGS)
    for number, words in enumerate(sentences):
        whole = TOKENIZER(words, is_split_into_words=True, max_length=10_000, truncation=True)
        windows = [example for example in examples if example.record == number]
        # What a window repeats of the one before stands before its first new token.
        overlap, covered = max_length // 4, whole.input_ids[1:-1]
        seen = ids_of(windows[0])[1:-1]
        for window in windows[1:]:
            seen += ids_of(window)[1:-1][overlap:]
        assert seen == covered
        assert all(len(ids_of(window)) <= max_length for window in windows)
        labelled = [
            (word, TAGS[label])
            for window in windows
            for word, label in zip(
                window.words.tolist(), window.labels["labels"].tolist(), strict=True
            )
            if word >= 0 or label >= 0
        ]
        spelled = sorted({word for word in whole.word_ids() if word is not None})
        assert labelled == [(word, tags[number][word]) for word in spelled]


def test_packed_sentences_are_padded_ones():
    records = [TagRecord(tuple(text.split()), ("B-x",) * len(text.split())) for text in TEXTS]
    examples = make_examples(records, TOKENIZER, max_length=16, id2label=TAGS)
    assert len(examples) > len(records)
    assert_packed_is_padded(model_of(DistilBertForTokenClassification, num_labels=3), examples)


def test_sentences_without_tags():
    examples = make_examples([TagRecord(("ada",))], TOKENIZER, max_length=8, id2label=TAGS)
    assert examples[0].labels["labels"].tolist() == [-100] * 3
    assert examples[0].words.tolist() == [-1, 0, -1]


def question(answer="king of paris", **fields):
    answers = ((answer, LONG.index(answer)),) if answer else ()
    return QuestionRecord("q", "who?", LONG, answers, **fields)


def answered(example):
    """Tokens of the answer; [] where the window says that it has none."""
    start, end = example.labels["start_positions"], example.labels["end_positions"]
    return [] if start == end == 0 else ids_of(example)[start : end + 1]


def test_an_answer_stands_in_the_windows_that_hold_all_of_it():
    examples = make_examples([question()], TOKENIZER, max_length=16, doc_stride=4)
    expected = TOKENIZER("king of paris", add_special_tokens=False).input_ids
    for example in examples:
        text = TOKENIZER.decode(ids_of(example)[4:-1])
        assert answered(example) == (expected if "king of paris" in text else [])
        assert example.record == 0
    assert sum(bool(answered(example)) for example in examples) == 1 < len(examples)


def test_without_an_answer():
    examples = make_examples([question(None, impossible=True)], TOKENIZER, max_length=16)
    assert len(examples) > 1
    assert {(e.labels["start_positions"], e.labels["end_positions"]) for e in examples} == {(0, 0)}
    # Unlabelled: past the end of each window, where the head ignores it.
    for example in make_examples([question(None)], TOKENIZER, max_length=16):
        length = len(ids_of(example))
        assert [*example.labels.values()] == [length, length]
    batch = collate(make_examples([question(None)], TOKENIZER, max_length=16))
    assert model_of(DistilBertForQuestionAnswering)(**batch).loss == 0


def test_an_answer_within_a_word_takes_its_tokens():
    context = "ada xyz-loving"
    for answer, tokens in {
        "y": ["##y"],
        "yz": ["##y", "##z"],
        " xyz-": ["x", "##y", "##z", "-"],
    }.items():
        record = QuestionRecord("q", "who?", context, ((answer, context.index(answer)),))
        (example,) = make_examples([record], TOKENIZER, max_length=64)
        assert TOKENIZER.convert_ids_to_tokens(answered(example)) == tokens


def test_characters_that_make_no_token_may_surround_an_answer():
    record = QuestionRecord("q", "who?", "\u200bada\u200b", (("\u200bada\u200b", 0),))
    (example,) = make_examples([record], TOKENIZER, max_length=64)
    assert TOKENIZER.convert_ids_to_tokens(answered(example)) == ["ada"]


@given(st.integers(12, 40), st.integers(0, 4), st.data())
def test_windows_cover_the_context_and_know_its_characters(max_length, doc_stride, data):
    start = data.draw(st.integers(0, len(LONG) - 1))
    answer = LONG[start : data.draw(st.integers(start + 1, len(LONG)))]
    assume(answer.strip())
    record = QuestionRecord("q", "who?", LONG, ((answer, start),))
    examples = make_examples([record], TOKENIZER, max_length=max_length, doc_stride=doc_stride)
    whole = TOKENIZER(LONG, add_special_tokens=False)
    begin, end = start + len(answer) - len(answer.lstrip()), start + len(answer.rstrip())
    touched = [i for i, (b, e) in enumerate(whole.encodings[0].offsets) if b < end and e > begin]
    expected = [whole.input_ids[i] for i in touched]
    first = covered = 0
    for example in examples:
        inside = example.words[:, 0] >= 0
        tokens = torch.tensor(ids_of(example))[inside].tolist()
        last = first + len(tokens) - 1
        assert tokens == whole.input_ids[first : last + 1]
        assert len(tokens) + 7 == len(ids_of(example)) <= max_length  # [CLS] who? [SEP] ... [SEP]
        has_all = first <= touched[0] and touched[-1] <= last
        assert answered(example) == (expected if has_all else [])
        for token, (b, e) in zip(tokens, example.words[inside].tolist(), strict=True):
            assert TOKENIZER.convert_ids_to_tokens(token).removeprefix("##") in LONG[b:e]
        covered, first = last + 1, last + 1 - doc_stride
    assert covered == len(whole.input_ids)


def test_packed_windows_are_padded_ones():
    """Of one length: padding takes part in the softmax over positions, as in the reference."""
    examples = make_examples([question(), question("ada")], TOKENIZER, max_length=24)
    model = model_of(DistilBertForQuestionAnswering)
    alone = [model(**padded(collate([example]))).loss for example in examples]
    assert len({len(ids_of(example)) for example in examples}) > 1
    assert_close(model(**collate(examples)).loss, torch.stack(alone).mean())
    same = [example for example in examples if len(ids_of(example)) == 24]
    assert len(same) > 1
    assert_close(model(**collate(same)).loss, model(**padded(collate(same))).loss)


def test_a_question_without_room():
    record = QuestionRecord("q", "who " * 20, LONG, (), True, "f.json, question 'q'")
    with pytest.raises(ValueError, match="^f.json, question 'q': the question has 60 tokens, of"):
        make_examples([record], TOKENIZER, max_length=32)


def test_choices_are_padded():
    records = [
        ChoiceRecord("ada", ("the king", "xyz"), 1),
        ChoiceRecord("the", ("a", "born in paris")),
    ]
    examples = make_examples(records, TOKENIZER, max_length=64)
    batch = collate(examples)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (2, 2, 7)
    assert batch["labels"].tolist() == [1, -100]
    for row, record in enumerate(records):
        for column, choice in enumerate(record.choices):
            mask = batch["attention_mask"][row, column].bool()
            ids = batch["input_ids"][row, column]
            assert ids[mask].tolist() == TOKENIZER(record.prompt, choice).input_ids
            assert not mask[mask.sum() :].any()
    model = model_of(DistilBertForMultipleChoice)
    logits = model(**batch).logits
    for row, example in enumerate(examples):
        assert_close(logits[row], model(**collate([example])).logits[0], "padding is not read")


def test_prompts_have_one_number_of_choices():
    records = [ChoiceRecord("ada", ("a", "b"), 0), ChoiceRecord("ada", ("a", "b", "c"), 0)]
    with pytest.raises(ValueError, match=r"records have \[2, 3\] choices"):
        make_examples(records, TOKENIZER, max_length=12)


def test_long_choices_are_cut_with_a_warning():
    records = [ChoiceRecord(LONG, ("a", "b"), 0)]
    with pytest.warns(UserWarning, match="1 of 1 records"):
        (example,) = make_examples(records, TOKENIZER, max_length=12)
    assert [len(row) for row in example.rows] == [12, 12]


def test_wnut17_in_windows():
    records = read_examples(real_file("wnut17/emerging.dev.conll"), TASKS[1])
    names = label_map(records)
    examples = make_examples(records, TOKENIZER, max_length=32, id2label=names)
    assert len(examples) > len(records)
    found = {
        (example.record, word): names[label]
        for example in examples
        for word, label in zip(
            example.words.tolist(), example.labels["labels"].tolist(), strict=True
        )
        if word >= 0
    }
    missing = 0
    for number, record in enumerate(records):
        for word, tag in enumerate(record.tags):
            missing += (number, word) not in found
            assert found.get((number, word), tag) == tag
    assert missing < 10, "only words that the tokenizer drops"


def test_xquad_answers_stand_in_windows():
    records = read_examples(real_file("xquad/xquad.en.json"), TASKS[2])[:200]
    examples = make_examples(records, TOKENIZER, max_length=384)
    seen = set()
    for example in examples:
        if tokens := answered(example):
            seen.add(example.record)
            ((text, _),) = records[example.record].answers
            assert tokens == TOKENIZER(text, add_special_tokens=False).input_ids
    assert len(seen) >= 198
