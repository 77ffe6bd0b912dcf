"""Vectors of texts against transformers, on small random weights and on real ones."""

import json
import warnings

import numpy as np
import pytest
import torch
import transformers

from minidistil import DistilBertForMaskedLM
from minidistil.checkpoints.conversion import convert_bert
from minidistil.pipelines import pipeline
from minidistil.tokenization import DistilBertTokenizer
from tests.helpers.tolerances import assert_close
from tests.helpers.weights import minilm_folder
from tests.pipelines.checkpoints import TEXTS, save_checkpoint

SENTENCES = [
    "A cat sat on the mat.",
    "The feline rested on the rug.",
    "E = mc² holds in naïve Straßburg, 東京 and Ελλάδα!",
    "The stock market fell by three percent on Tuesday after a week of losses.",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("features"), DistilBertForMaskedLM)


@pytest.fixture(scope="module")
def embed(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that the head is not used goes without saying
        return pipeline("feature-extraction", folder)


def test_a_layer_that_is_not_used_is_said(tmp_path):
    save_checkpoint(tmp_path, DistilBertForMaskedLM)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"n_layers": 1}))
    with pytest.warns(UserWarning, match=r"not used: .*transformer\.layer\.1") as caught:
        pipeline("feature-extraction", tmp_path)
    assert "vocab" not in str(caught[0].message)


@torch.no_grad()
def test_real_sentence_embeddings():
    source = minilm_folder()
    bert = transformers.BertModel.from_pretrained(source).eval()
    rows = transformers.AutoTokenizer.from_pretrained(source)(
        SENTENCES, padding=True, return_tensors="pt"
    )
    mask = rows["attention_mask"][..., None]
    pooled = (bert(**rows).last_hidden_state * mask).sum(1) / mask.sum(1)
    want = torch.nn.functional.normalize(pooled)

    model, _ = convert_bert(source)
    embed = pipeline("feature-extraction", model, DistilBertTokenizer.from_pretrained(source))
    got = torch.from_numpy(np.stack(embed(SENTENCES)))
    assert_close(got, want, "sentence embeddings")
    # The first two say the same, the last one something else.
    assert got[0] @ got[1] > got[0] @ got[3] + 0.3


def test_hidden_states(embed, folder):
    theirs = transformers.pipeline("feature-extraction", str(folder), device="cpu")
    for got, want in zip(embed(TEXTS, pooling=None), theirs(TEXTS), strict=True):
        assert_close(torch.from_numpy(got), torch.tensor(want)[0], "hidden states")


def test_pooling_follows_from_the_hidden_states(embed):
    for text in TEXTS:
        hidden = embed(text, pooling=None)
        for pooling, want in (("mean", hidden.mean(0)), ("cls", hidden[0])):
            raw = embed(text, pooling=pooling, normalize=False)
            assert_close(torch.from_numpy(raw), torch.from_numpy(want), pooling)
            unit = want / np.linalg.norm(want)
            got = embed(text, pooling=pooling)
            assert_close(torch.from_numpy(got), torch.from_numpy(unit), pooling)
            assert got.dtype == np.float32


@pytest.mark.filterwarnings("ignore:.*not used")
def test_half_precision_gives_float32(embed, folder):
    want = embed(TEXTS[1])
    for options in ({}, {"attn_implementation": "sdpa"}):
        half = pipeline("feature-extraction", folder, dtype="bfloat16", **options)
        # The fast path multiplies in bfloat16; the model itself is in it.
        assert half.model.dtype == (torch.bfloat16 if options else torch.float32)
        got = half(TEXTS[1])
        assert got.dtype == np.float32 and 0 < np.abs(got - want).max() < 0.05


def test_settings(embed):
    with pytest.raises(ValueError, match="pooling='max' is none of"):
        embed("a", pooling="max")
