"""The attention explorer: its numbers are the model's. `test_explorer_page.py` uses its page."""

import base64

import numpy as np
import pytest
import torch

import minidistil
from minidistil import DistilBertConfig, DistilBertTokenizer
from minidistil.visual.explorer import ASSETS, MAX_TOKENS, explain, explorer_page
from minidistil.visual.page import html_page

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "</script>", "a", "good", "film", "<b>"]
TOKENIZER = DistilBertTokenizer({word: i for i, word in enumerate(WORDS)})


def model_of(name="ForSequenceClassification", **fields):
    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=len(WORDS), n_layers=2, n_heads=3, dim=24, hidden_dim=32, initializer_range=0.5,
        max_position_embeddings=160, **fields,
    )  # fmt: skip
    return getattr(minidistil, f"DistilBert{name}")(config).eval()


def weights_of(data):
    size = len(data["tokens"])
    return np.frombuffer(base64.b64decode(data["weights"]), np.uint8).reshape(-1, size, size) / 255


def test_weights_and_norms_are_the_models():
    model = model_of()
    data = explain(model, TOKENIZER, "a good film")
    assert data["tokens"] == ["[CLS]", "a", "good", "film", "[SEP]"]
    assert data["heads"] == [[0, 1, 2], [0, 1, 2]]
    model.set_attn_implementation("eager")
    with torch.no_grad():
        output = model(
            **TOKENIZER("a good film", return_tensors="pt"),
            output_attentions=True, output_hidden_states=True,
        )  # fmt: skip
    want = torch.cat(output.attentions)[:].flatten(0, 1).reshape(6, 5, 5).numpy()
    np.testing.assert_allclose(weights_of(data), want, atol=0.5 / 255 + 1e-6)
    norms = [hidden[0].norm(dim=-1).tolist() for hidden in output.hidden_states]
    np.testing.assert_allclose(data["norms"], norms, atol=0.006)
    assert data["answer"]["kind"] == "labels"
    chances = dict(zip(data["answer"]["names"], data["answer"]["scores"], strict=True))
    want = output.logits[0].softmax(-1).tolist()
    assert chances == pytest.approx({"LABEL_0": want[0], "LABEL_1": want[1]})


def test_a_head_that_is_off_is_a_head_mask():
    model = model_of()
    data = explain(model, TOKENIZER, "a good film")
    inputs = TOKENIZER("a good film", return_tensors="pt")
    for layer, head in ((0, 2), (1, 0)):
        mask = torch.ones(2, 3)
        mask[layer, head] = 0
        with torch.no_grad():
            chances = model(**inputs, head_mask=mask).logits[0].softmax(-1)
        want = [float(chances[int(name[-1])]) for name in data["answer"]["names"]]
        assert data["without"][layer][head] == pytest.approx(want)
    assert [len(layer) for layer in data["without"]] == [3, 3]


def test_the_model_stays_as_it_was():
    model = model_of().train()
    explain(model, TOKENIZER, "a good film")
    assert model.training and model.config.attn_implementation == "sdpa"


def test_words_for_masks():
    model = model_of("ForMaskedLM")
    one = explain(model, TOKENIZER, "a [MASK] film")["answer"]
    assert one["kind"] == "words" and len(one["names"]) == 5 and set(one["names"]) <= {*WORDS}
    assert one["scores"] == sorted(one["scores"], reverse=True)
    two = explain(model, TOKENIZER, "a [MASK] [MASK]")
    assert [name[:6] for name in two["answer"]["names"]] == ["mask 1"] * 5 + ["mask 2"] * 5
    assert len(two["without"][0][0]) == 10


@pytest.mark.parametrize("name", ["Model", "ForTokenClassification", "ForMaskedLM"])
def test_without_an_answer_it_is_the_sentence_vector(name):
    data = explain(model_of(name), TOKENIZER, "a good film")
    assert data["answer"]["kind"] == "vector" and data["answer"]["scores"] == pytest.approx([1.0])
    assert all(score[0] < 0.9999 for layer in data["without"] for score in layer)


def test_pruned_heads_are_gone():
    model = model_of()
    model.prune_heads({0: [1]})
    data = explain(model, TOKENIZER, "a good film")
    assert data["heads"] == [[0, 2], [0, 1, 2]] and weights_of(data).shape == (5, 5, 5)
    assert [len(layer) for layer in data["without"]] == [2, 3]


def test_errors(tmp_path):
    model = model_of()
    with pytest.raises(ValueError, match="'' has no token to look at"):
        explain(model, TOKENIZER, "")
    with pytest.raises(ValueError, match=f"has 132 tokens, the page shows at most {MAX_TOKENS}"):
        explorer_page(model, TOKENIZER, "a " * 130, tmp_path / "x.html")
    with torch.no_grad():
        model.distilbert.embeddings.word_embeddings.weight[6] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        explain(model, TOKENIZER, "a film")
    assert not [*tmp_path.iterdir()]


def test_size_at_64_tokens():
    """Six layers of twelve heads at 64 tokens stay below 2 MB."""
    size = 64
    data = {
        "tokens": ["word"] * size, "heads": [[*range(12)]] * 6,
        "weights": base64.b64encode(bytes(72 * size * size)).decode(),
        "norms": [[12.34] * size] * 7,
        "answer": {"kind": "labels", "names": ["a"], "scores": [0.5]},
        "without": [[[0.123456789012345]] * 12] * 6,
    }  # fmt: skip
    assert len(html_page("Attention", data, ASSETS).encode()) < 2e6
