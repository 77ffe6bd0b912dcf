"""What all pipelines share: batches, order, streams, and inputs that are no texts."""

import itertools

import pytest

from minidistil import DistilBertForSequenceClassification
from minidistil.pipelines import InputError, pipeline
from minidistil.pipelines.base import READ_AHEAD
from minidistil.tokenization import DistilBertTokenizer
from tests.pipelines.checkpoints import TEXTS, VOCAB, assert_same, save_checkpoint

# Of all lengths, so that sorting by length moves every one of them.
MANY = [f"{text} {'the king ' * (i * 7 % 13)}" for i in range(20) for text in TEXTS[:2]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_checkpoint(
        tmp_path_factory.mktemp("base"), DistilBertForSequenceClassification, num_labels=3
    )


@pytest.fixture(scope="module")
def classify(folder):
    return pipeline("text-classification", folder, batch_size=3)


def test_results_keep_the_order_of_inputs(classify):
    assert len({len(text) for text in MANY}) > 10
    one_by_one = [classify(text, top_k=None) for text in MANY]
    assert_same(classify(MANY, top_k=None), one_by_one)
    assert_same(classify(tuple(MANY), top_k=None), one_by_one)
    assert_same(list(classify(iter(MANY), top_k=None)), one_by_one)


def test_rows_of_a_batch_have_similar_lengths(classify):
    shapes = []

    def record(module, arguments, result):
        shapes.append((tuple(arguments[0].shape), int(arguments[1].sum())))

    hook = classify.model.register_forward_hook(record)
    classify(MANY)
    hook.remove()
    assert sum(shape[0] for shape, _ in shapes) == len(MANY)
    padded = sum(shape[0] * shape[1] for shape, _ in shapes)
    assert padded < 1.1 * sum(tokens for _, tokens in shapes)


def test_an_endless_stream_is_read_as_needed(classify):
    read = itertools.count()
    endless = (TEXTS[next(read) % len(TEXTS)] for _ in itertools.repeat(None))
    results = classify(endless)
    first = list(itertools.islice(results, 2))
    assert_same(first, classify(TEXTS[:2]))
    assert next(read) <= 3 * READ_AHEAD + 1


def test_nothing_in_nothing_out(classify):
    assert classify([]) == []
    assert list(classify(iter(()))) == []


@pytest.mark.parametrize("bad", [None, 7, 1.5, b"text", bytearray(b"text")])
def test_what_is_no_text(classify, bad):
    with pytest.raises(TypeError, match="not a text"):
        classify(bad)
    with pytest.raises(TypeError, match=r"input 1: the input is .*, not a string"):
        classify(["a", bad])


def test_results_before_a_bad_input_come_first(classify):
    good = TEXTS[:4]
    results = classify(iter([*good, "\ud800", "a"]))
    assert_same(list(itertools.islice(results, 4)), classify(good))
    with pytest.raises(InputError, match="input 4: .*surrogate") as caught:
        next(results)
    assert caught.value.index == 4


def test_a_tokenizer_that_is_too_large(folder, classify):
    vocab = {token: index for index, token in enumerate([*VOCAB, "more"])}
    with pytest.raises(ValueError, match=f"ids up to {len(VOCAB)}, the model embeds {len(VOCAB)}"):
        pipeline("text-classification", classify.model, DistilBertTokenizer(vocab))


def test_the_model_is_put_in_eval_mode(classify):
    model = DistilBertForSequenceClassification(classify.model.config).train()
    again = pipeline("text-classification", model, classify.tokenizer)
    assert again.model is model and not model.training
    assert again("a") == again("a")


def test_no_gradients(classify):
    classify(TEXTS)
    assert all(parameter.grad is None for parameter in classify.model.parameters())


@pytest.mark.parametrize("size", [0, 2.5, True, "8"])
def test_batch_size(classify, size):
    with pytest.raises(ValueError, match=f"batch_size={size!r} is no whole number from 1 up"):
        pipeline("text-classification", classify.model, classify.tokenizer, batch_size=size)


def test_a_model_without_numbers(folder, classify):
    model = DistilBertForSequenceClassification.from_pretrained(folder, device="meta")
    for device in (None, "meta"):
        with pytest.raises(ValueError, match="the device 'meta' can't be used: it holds shapes"):
            pipeline("text-classification", model, classify.tokenizer, device=device)


def test_an_unknown_setting(classify):
    with pytest.raises(TypeError, match="temperature"):
        classify("a", temperature=2)
