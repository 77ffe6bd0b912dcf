"""The config: validation, aliases, labels, and json both ways with transformers."""

import copy
import dataclasses
import json
import threading

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from minidistil import DistilBertConfig, config, feed_forward


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dropout", 2.0),
        ("dropout", -0.1),
        ("attention_dropout", "0.1"),
        ("qa_dropout", None),
        ("seq_classif_dropout", float("nan")),
        ("vocab_size", -1),
        ("vocab_size", 0),
        ("vocab_size", "a"),
        ("vocab_size", True),
        ("n_layers", 1.5),
        ("dim", 30),
        ("activation", "swishy"),
        ("problem_type", "clustering"),
        ("pad_token_id", 30522),
        ("pad_token_id", -1),
        ("initializer_range", -0.02),
        ("initializer_range", float("inf")),
        ("chunk_size_feed_forward", -1),
        ("sinusoidal_pos_embds", "yes"),
        ("id2label", {}),
        ("id2label", {0: "a", 2: "b"}),
        ("id2label", {"x": "a"}),
        ("id2label", {0.0: "a"}),
        ("id2label", {None: "a", 0: "b"}),
        ("id2label", {0: ["a"]}),
        ("label2id", 3),
        ("extra", ["a"]),
        ("dtype", "garbage"),
        ("dtype", "int8"),
        ("architectures", [1]),
        ("architectures", "DistilBertModel"),
        ("pruned_heads", {0: 5}),
        ("pruned_heads", {0: ["a"]}),
        ("pruned_heads", {0: "0"}),
        ("pruned_heads", {0: [True]}),
        ("pruned_heads", {0: [[0]]}),
        ("pruned_heads", {"x": [0]}),
        ("pruned_heads", {6: [0]}),
        ("pruned_heads", {0: [12]}),
        ("pruned_heads", {0: list(range(12))}),
    ],
)
def test_nonsense_names_the_field_and_the_value(field, value):
    with pytest.raises(ValueError, match=rf"config\.{field} must be .*, not ") as error:
        DistilBertConfig(**{field: value})
    assert repr(value) in str(error.value) or field == "pruned_heads"


def test_unknown_field_is_a_type_error():
    with pytest.raises(TypeError, match="n_layer'"):
        DistilBertConfig(n_layer=3)


def test_labels():
    assert DistilBertConfig().id2label == {0: "LABEL_0", 1: "LABEL_1"}
    assert DistilBertConfig(num_labels=3).id2label == {i: f"LABEL_{i}" for i in range(3)}
    config = DistilBertConfig(id2label={"0": "no", "1": "yes", "2": "maybe"})
    assert config.num_labels == 3
    assert config.label2id == {"no": 0, "yes": 1, "maybe": 2}
    config.num_labels = 3
    assert config.id2label[2] == "maybe"
    config.num_labels = 1
    assert (config.id2label, config.label2id) == ({0: "LABEL_0"}, {"LABEL_0": 0})
    with pytest.raises(ValueError, match=r"num_labels=3 contradicts id2label=\{0: 'a'\}"):
        DistilBertConfig(num_labels=3, id2label={0: "a"})
    with pytest.raises(ValueError, match="num_labels=0 is no whole number from 1 up"):
        DistilBertConfig(num_labels=0)


def test_label2id_alone_defines_the_labels():
    ids = {"no": 0, "yes": 1, "maybe": 2}
    assert DistilBertConfig(label2id=ids).id2label == {0: "no", 1: "yes", 2: "maybe"}
    assert DistilBertConfig.from_dict({"label2id": ids}) == DistilBertConfig(label2id=ids)
    with pytest.raises(ValueError, match="num_labels=2 contradicts id2label="):
        DistilBertConfig(label2id=ids, num_labels=2)
    with pytest.raises(ValueError, match=r"config\.id2label must be a name for each of 0, 1"):
        DistilBertConfig(label2id={"no": [0]})
    assert DistilBertConfig(label2id={}) == DistilBertConfig(label2id=None)


@pytest.mark.parametrize(
    "ids",
    [{"no": 1, "yes": 0}, {"no": 0}, {"no": 0, "yes": 1, "maybe": 2}, {"no": 0, "yes": 2},
     {"no": 0, "yes": "1"}, {"no": 0, "yes": True}, {"no": 0, "yes": [1]}],
)  # fmt: skip
def test_labels_that_contradict_each_other(ids, tmp_path):
    labels = {0: "no", 1: "yes"}
    message = r"config\.label2id must be null or the inverse of id2label={0: 'no', 1: 'yes'}, not "
    with pytest.raises(ValueError, match=message):
        DistilBertConfig(id2label=labels, label2id=ids)
    config = DistilBertConfig()
    config.id2label, config.label2id = labels, ids
    with pytest.raises(ValueError, match=message):
        config.save_pretrained(tmp_path)


def test_two_labels_of_one_name():
    config = DistilBertConfig(id2label={0: "A", 1: "A", 2: "B"})
    assert config.label2id == {"A": 1, "B": 2}
    assert DistilBertConfig.from_dict(config.to_dict()) == config


def test_numbers_of_numpy_become_pythons(tmp_path):
    config = DistilBertConfig(
        vocab_size=np.int64(50),
        dropout=np.float64(0.1),
        attention_dropout=np.float32(0.5),
        tie_word_embeddings=np.bool_(True),
        num_labels=np.int64(2),
        label2id={np.str_("no"): np.int64(0), "yes": np.uint8(1)},
        pruned_heads={np.int64(1): [np.int32(3)]},
        extra={"a": [np.float32(2.5)]},
    )
    config.n_layers = np.int64(2)
    config.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert (written["vocab_size"], written["n_layers"], written["a"]) == (50, 2, [2.5])
    assert (written["dropout"], written["attention_dropout"]) == (0.1, 0.5)
    assert written["label2id"] == {"no": 0, "yes": 1}
    assert DistilBertConfig.from_pretrained(tmp_path) == config


SHAPES = st.fixed_dictionaries(
    {},
    optional={
        "vocab_size": st.integers(1, 10**6),
        "max_position_embeddings": st.integers(1, 10**5),
        "sinusoidal_pos_embds": st.booleans(),
        "n_layers": st.integers(1, 24),
        "n_heads": st.sampled_from([1, 2, 4, 8]),
        "dim": st.sampled_from([8, 16, 64]),
        "hidden_dim": st.integers(1, 9999),
        "dropout": st.floats(0, 1),
        "activation": st.sampled_from(["gelu", "relu", "silu", "gelu_new"]),
        "initializer_range": st.floats(0, 1),
        "num_labels": st.integers(1, 9),
        "problem_type": st.sampled_from([None, "regression"]),
        "tie_word_embeddings": st.booleans(),
        "dtype": st.sampled_from([None, "float16", torch.bfloat16]),
    },
)


@given(SHAPES)
def test_dictionary_round_trip(fields):
    fields = {"dim": 16, "n_heads": 2, "pad_token_id": None} | fields
    config = DistilBertConfig(**fields)
    again = DistilBertConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config


@given(SHAPES)
def test_both_libraries_read_each_others_fields(fields):
    fields = {"dim": 16, "n_heads": 2, "pad_token_id": None} | fields
    ours = DistilBertConfig(**fields)
    theirs = transformers.DistilBertConfig.from_dict(json.loads(json.dumps(ours.to_dict())))
    again = DistilBertConfig.from_dict(json.loads(theirs.to_json_string(use_diff=False)))
    for name in ours.to_dict().keys() - {"architectures", "pruned_heads", "model_type"}:
        assert getattr(again, name) == getattr(ours, name), name


def test_unknown_fields_are_kept_and_written_back(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(
        '{"model_type": "distilbert", "finetuning_task": "sst-2", "tie_weights_": true}'
    )
    config = DistilBertConfig.from_pretrained(tmp_path)
    assert config.extra == {"finetuning_task": "sst-2", "tie_weights_": True}
    config.save_pretrained(tmp_path / "again")
    written = json.loads((tmp_path / "again" / "config.json").read_text())
    assert written["finetuning_task"] == "sst-2" and written["tie_weights_"] is True


@pytest.mark.parametrize("name", ["extra", "layer_ops"])
def test_foreign_fields_with_the_names_of_ours(name, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({name: {"a": 1}}), encoding="utf-8")
    config = DistilBertConfig.from_pretrained(tmp_path)
    assert config.extra == {name: {"a": 1}} and config.layer_ops == "torch"
    config.save_pretrained(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "config.json").read_text())[name] == {"a": 1}


def test_a_broken_file_is_named_once(tmp_path):
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="is not valid JSON") as error:
        DistilBertConfig.from_pretrained(tmp_path)
    assert str(error.value).count("config.json") == 1


def test_what_is_written():
    written = DistilBertConfig(pruned_heads={1: [3, 2, 3]}, dtype=torch.float16).to_dict()
    assert written["model_type"] == "distilbert"
    assert written["pruned_heads"] == {1: [2, 3]}
    assert written["dtype"] == "float16"
    assert not {"attn_implementation", "_attn_implementation", "extra"} & written.keys()


def test_transformers_defaults_are_ours():
    theirs = transformers.DistilBertConfig()
    ours = DistilBertConfig()
    for field in dataclasses.fields(ours):
        if field.name not in ("attn_implementation", "layer_ops", "extra", "pruned_heads"):
            assert getattr(ours, field.name) == getattr(theirs, field.name), field.name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "bert"}, "minidistil convert"),
        ({"model_type": "gpt2"}, "'gpt2', not 'distilbert'"),
        ({"num_labels": 3, "id2label": {"0": "a"}}, "contradicts"),
    ],
)
def test_files_of_other_models(values, message):
    with pytest.raises(ValueError, match=message):
        DistilBertConfig.from_dict(values)


def test_an_invalid_change_is_not_saved(tmp_path):
    config = DistilBertConfig()
    config.dropout = 7
    with pytest.raises(ValueError, match="dropout"):
        config.save_pretrained(tmp_path)
    assert not any(tmp_path.iterdir())


def test_every_activation_exists():
    assert set(config.ACTIVATIONS) == set(feed_forward.ACTIVATIONS)


def test_null_means_the_default():
    values = {"id2label": None, "pruned_heads": None, "_attn_implementation": "flash_attention_2"}
    assert DistilBertConfig.from_dict(values) == DistilBertConfig()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"torch_dtype": None, "dtype": "float32"}, {"dtype": "float32"}),
        ({"torch_dtype": "torch.float32", "dtype": "float32"}, {"dtype": "float32"}),
        ({"torch_dtype": "float16", "dtype": "float32"}, {"dtype": "float32"}),
        ({"torch_dtype": "float16"}, {"dtype": "float16"}),
        ({"model_type": None, "problem_type": "", "pruned_heads": []}, {}),
        ({"return_dict": None, "n_layers": 2, "hidden_size": None}, {"n_layers": 2}),
        ({"pad_token_id": None, "other": None}, {"pad_token_id": None, "extra": {"other": None}}),
        ({"activation": "gelu_pytorch_tanh"}, {"activation": "gelu_pytorch_tanh"}),
    ],
)
def test_what_other_writers_leave_empty_or_say_twice(values, expected):
    assert DistilBertConfig.from_dict(values) == DistilBertConfig(**expected)


@pytest.mark.parametrize("field", ["id2label", "pruned_heads"])
def test_a_list_is_no_dictionary(field):
    with pytest.raises(ValueError, match=rf"config\.{field} must be a dictionary, not \['a'\]"):
        DistilBertConfig(**{field: ["a"]})


@pytest.mark.parametrize("field", ["return_dict", "output_attentions", "tie_word_embeddings"])
def test_switches_are_booleans(field):
    with pytest.raises(ValueError, match=rf"config\.{field} must be true or false, not 'yes'"):
        DistilBertConfig(**{field: "yes"})


def test_an_attention_that_cannot_be_copied():
    lock = threading.Lock()
    config = DistilBertConfig(attn_implementation=lambda *_: lock)
    assert "attn_implementation" not in config.to_dict()


def test_keys_that_json_has_made_text_of():
    config = DistilBertConfig(id2label={"1": "b", "0": "a"}, pruned_heads={"1": (2, 0, 2)})
    assert config.id2label == {0: "a", 1: "b"} and config.pruned_heads == {1: [0, 2]}


def test_what_was_set_to_nonsense_by_hand():
    config = DistilBertConfig()
    for field, value in (("id2label", 5), ("pruned_heads", None), ("label2id", []), ("dtype", 7)):
        with pytest.raises(ValueError, match=rf"config\.{field} must be .*, not "):
            DistilBertConfig.validate(copy_with(config, field, value))


def copy_with(config, field, value):
    config = copy.copy(config)
    setattr(config, field, value)
    return config
