"""Values that transformers' own tests and model cards publish for the hub's checkpoints.

They need the hub: `HF_HUB_OFFLINE=0 pytest -m hub`.
"""

import pytest
import torch

from minidistil import DistilBertModel, pipeline

pytestmark = pytest.mark.hub


@torch.no_grad()
def test_hidden_states_with_a_masked_first_token():
    model = DistilBertModel.from_pretrained("distilbert-base-uncased")
    ids = torch.tensor([[0, 345, 232, 328, 740, 140, 1695, 69, 6078, 1588, 2]])
    mask = torch.tensor([[0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]])
    output = model(ids, mask)[0]
    expected = torch.tensor(
        [[-0.1639, 0.3299, 0.1648], [-0.1746, 0.3289, 0.1710], [-0.1884, 0.3357, 0.1810]]
    )
    assert output.shape == (1, 11, 768)
    torch.testing.assert_close(output[0, 1:4, 1:4], expected, rtol=0, atol=1e-4)


@torch.no_grad()
def test_hidden_states_without_a_mask():
    model = DistilBertModel.from_pretrained("distilbert-base-uncased")
    output = model(torch.tensor([[0, 1, 2, 3, 4, 5]]))[0]
    expected = torch.tensor(
        [
            [0.19261885, -0.13732955, 0.4119799],
            [0.22150156, -0.07422661, 0.39037204],
            [0.22756018, -0.0896414, 0.3701467],
        ]
    )
    torch.testing.assert_close(output[0, :3, :3], expected, rtol=0, atol=1e-4)


def test_fill_mask():
    fill = pipeline("fill-mask", model="distilbert-base-uncased")
    results = fill("Hello I'm a [MASK] model.")
    expected = {
        "role": 0.05292855575680733,
        "fashion": 0.03968575969338417,
        "business": 0.034743521362543106,
        "model": 0.03462274372577667,
        "modeling": 0.018145186826586723,
    }
    assert {r["token_str"]: r["score"] for r in results} == pytest.approx(expected, abs=1e-5)


def test_sentiment():
    classify = pipeline(
        "text-classification", model="distilbert-base-uncased-finetuned-sst-2-english"
    )
    texts = [
        "I've been waiting for a HuggingFace course my whole life.",
        "I hate this so much!",
    ]
    results = classify(texts)
    assert [r["label"] for r in results] == ["POSITIVE", "NEGATIVE"]
    scores = [r["score"] for r in results]
    assert scores == pytest.approx([0.9598047137260437, 0.9994558095932007], abs=1e-5)


def test_question_answering():
    answer = pipeline("question-answering", model="distilbert-base-cased-distilled-squad")
    result = answer(
        question="Where do I work?",
        context="My name is Sylvain and I work at Hugging Face in Brooklyn",
    )
    assert (result["answer"], result["start"], result["end"]) == ("Hugging Face", 33, 45)
    assert result["score"] == pytest.approx(0.6385916471481323, abs=1e-4)
