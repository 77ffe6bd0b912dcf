"""Building pipelines from names, folders and models."""

import json
import warnings

import numpy as np
import pytest
import torch

from minidistil import DistilBertForMaskedLM, DistilBertForTokenClassification, DistilBertModel
from minidistil.pipelines import FillMask, TokenClassification, pipeline
from minidistil.pipelines.factory import ALIASES, TASKS
from minidistil.tokenization import DistilBertTokenizer
from tests.pipelines.checkpoints import assert_same, save_checkpoint

HEADS = {task: cls.model_class for task, cls in TASKS.items()} | {
    "feature-extraction": DistilBertModel
}
INPUTS = {
    "question-answering": {"question": "Who?", "context": "Ada, king of Paris"},
    "multiple-choice": {"prompt": "the king", "choices": ["was born", "loved"]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("factory"), DistilBertForMaskedLM)


def test_folder_or_objects(folder):
    of_folder = pipeline("fill-mask", str(folder), top_k=2)
    model, tokenizer = (
        DistilBertForMaskedLM.from_pretrained(folder),
        DistilBertTokenizer.from_pretrained(folder),
    )
    of_objects = pipeline("fill-mask", model, tokenizer, "cpu", top_k=2)
    assert isinstance(of_folder, FillMask)
    assert of_objects.model is model and of_objects.tokenizer is tokenizer
    assert_same(of_folder("a [MASK]"), of_objects("a [MASK]"))
    assert_same(of_objects("a [MASK]"), pipeline("fill-mask", model, folder)("a [MASK]", top_k=2))


def test_dtype_and_attention(folder):
    half = pipeline("fill-mask", folder, dtype="bfloat16", attn_implementation="eager")
    assert half.model.dtype == torch.bfloat16
    assert half.model.config.attn_implementation == "eager"


@pytest.mark.parametrize("name", ["dtype", "attn_implementation"])
@pytest.mark.parametrize("value", ["float64", torch.float64, "auto", "foo", "eager"], ids=str)
def test_the_callers_model_is_not_changed(folder, name, value):
    model = DistilBertForMaskedLM.from_pretrained(folder)
    with pytest.raises(ValueError, match=f"{name}={value!r} is for a checkpoint: c.* yourself"):
        pipeline("fill-mask", model, folder, **{name: value})
    assert model.dtype == torch.float32 and model.config.attn_implementation == "sdpa"


def test_unknown_task(folder):
    with pytest.raises(ValueError, match="no task 'summarization'; choose one of") as caught:
        pipeline("summarization", folder)
    for name in (*TASKS, *ALIASES):
        assert repr(name) in str(caught.value)


def test_aliases(tmp_path):
    save_checkpoint(tmp_path, DistilBertForTokenClassification)
    assert isinstance(pipeline("ner", tmp_path), TokenClassification)


def test_what_is_missing(folder):
    model = DistilBertForMaskedLM.from_pretrained(folder)
    with pytest.raises(ValueError, match="pass tokenizer= together with a DistilBertForMaskedLM"):
        pipeline("fill-mask", model)
    with pytest.raises(ValueError, match="multiple-choice has no default model"):
        pipeline("multiple-choice")
    with pytest.raises(FileNotFoundError, match="no folder"):
        pipeline("fill-mask", "./nowhere")


def test_another_class(folder):
    fill = pipeline("fill-mask", folder)
    with pytest.raises(TypeError, match="needs a DistilBertForTokenClassification, not a Distil"):
        pipeline("ner", fill.model, fill.tokenizer)


def test_a_checkpoint_without_the_head(folder):
    # No warning besides, which would say the same.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = "has no trained classifier.*: pass a checkpoint fine-tuned for token-class"
        with pytest.raises(ValueError, match=message):
            pipeline("ner", folder)


@pytest.mark.parametrize(("task", "cls"), [*HEADS.items()])
def test_a_config_that_asks_for_more_changes_no_result(tmp_path, task, cls):
    save_checkpoint(tmp_path, cls)
    item = INPUTS.get(task, "the [MASK]")
    want = pipeline(task, tmp_path)(item)
    path = tmp_path / "config.json"
    more = {"return_dict": False, "output_attentions": True, "output_hidden_states": True}
    config = json.loads(path.read_text(encoding="utf-8")) | more
    path.write_text(json.dumps(config), encoding="utf-8")
    got = pipeline(task, tmp_path)
    assert not got.model.config.return_dict
    np.testing.assert_equal(got(item), want)
