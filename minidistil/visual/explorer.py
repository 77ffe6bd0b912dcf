"""The attention explorer: a page that shows what each head of a model looks at in a text.

    explorer_page(model, tokenizer, "What a lovely film!", "explain.html")

or `minidistil explain "What a lovely film!"`. The page holds every attention weight in eight bits,
the length of each hidden state, the model's answer (labels, or words for [MASK]; of a model without
such a head its sentence vector) and, computed beforehand, the answer without each single head.

A large weight says that a token was looked at, not that it mattered: that is what switching a head
off is for. Michel et al. 2019, arXiv 1905.10650, found that most heads can go one at a time.

Source of the picture: Vig 2019, arXiv 1906.05714.
Not here: the shell (`page.py`), the drawing itself (`assets/`).
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minidistil.heads import DistilBertForMaskedLM, DistilBertForSequenceClassification
from minidistil.pipelines.text_classification import Pair, TextClassification
from minidistil.pretrained import DistilBertPreTrainedModel
from minidistil.tokenization import DistilBertTokenizer
from minidistil.visual.page import html_page, write_page

ASSETS = ("explorer.html", "explorer.css", "explorer.js")
MAX_TOKENS = 128
SHOWN = 5  # labels or words of an answer


def explorer_page(
    model: DistilBertPreTrainedModel, tokenizer: DistilBertTokenizer, text: str, path: str | Path
) -> None:
    """Write the page of a text, atomically.

    Args:
        model: Any model; it is run with eager attention, the only one that has weights to show.
        tokenizer: The model's.
        text: At most `MAX_TOKENS` tokens.
        path: Of the page.

    Raises:
        ValueError: The text has no word, or too many; or the model's numbers are not finite.
        OSError: `path` cannot be written.
    """
    write_page(html_page("Attention", explain(model, tokenizer, text), ASSETS), path)


@torch.inference_mode()
def explain(
    model: DistilBertPreTrainedModel, tokenizer: DistilBertTokenizer, text: str
) -> dict[str, Any]:
    """What the page shows, as plain values.

    Returns:
        `tokens`; `heads`, the numbers of each layer's; `weights`, base64 of uint8 (heads of all
        layers, S, S); `norms` (L + 1, S); `answer` with `kind`, `names` and `scores`; `without`,
        the scores when a head is off, a list for each layer.

    Raises:
        ValueError: As `explorer_page`.
    """
    inputs = tokenizer(text, return_tensors="pt").to(model.device)
    length = inputs["input_ids"].shape[1]
    if length <= tokenizer.num_special_tokens_to_add():
        raise ValueError(f"the text {text!r} has no token to look at")
    if length > (limit := min(MAX_TOKENS, model.config.max_position_embeddings)):
        raise ValueError(f"the text has {length} tokens, the page shows at most {limit}: cut it")
    if not isinstance(model, DistilBertForSequenceClassification | DistilBertForMaskedLM):
        model = model.encoder  # the answers of other heads are no short list
    training, implementation = model.training, model.config.attn_implementation
    model.eval().set_attn_implementation("eager")
    try:
        output = model(
            **inputs, output_attentions=True, output_hidden_states=True, return_dict=True
        )
        kind, names, scores_of = _answer(model, tokenizer, inputs["input_ids"], output)
        encoder: Any = model.encoder
        heads = [block.attention.heads for block in encoder.transformer.layer]
        without: list[list[list[float]]] = []
        for layer, numbers in enumerate(heads):
            without.append([])
            for head in numbers:
                mask = torch.ones(len(heads), model.config.n_heads, device=model.device)
                mask[layer, head] = 0.0
                changed = model(
                    **inputs, head_mask=mask, output_hidden_states=True, return_dict=True
                )
                without[-1].append(scores_of(changed))
        scores = scores_of(output)
    finally:
        model.train(training).set_attn_implementation(implementation)
    weights = torch.cat([layer[0] for layer in output.attentions]).float()
    norms = torch.stack([hidden[0].float().norm(dim=-1) for hidden in output.hidden_states])
    if not torch.isfinite(weights).all() or not torch.isfinite(norms).all():
        raise ValueError("the model's attention or hidden states are not finite: nothing to show")
    return {
        "tokens": tokenizer.convert_ids_to_tokens(inputs["input_ids"][0].tolist()),
        "heads": heads,
        "weights": _bytes(weights),
        "norms": [[round(value, 2) for value in row] for row in norms.tolist()],
        "answer": {"kind": kind, "names": names, "scores": scores},
        "without": without,
    }


def _answer(
    model: DistilBertPreTrainedModel, tokenizer: DistilBertTokenizer, ids: Tensor, output: Any
) -> tuple[str, list[str], Callable[[Any], list[float]]]:
    """What kind of answer the model gives, the names of its scores, and the scores of an output."""
    if isinstance(model, DistilBertForSequenceClassification):
        classify = TextClassification(model, tokenizer, top_k=None)

        def labels(output: Any) -> dict[str, float]:
            logits = output.logits[0].float().cpu()
            found: Any = classify.decode(Pair("", None), [], [logits], classify.settings)
            return {label["label"]: label["score"] for label in found}

        names = [*labels(output)][:SHOWN]
        return "labels", names, lambda output: [labels(output)[name] for name in names]
    places = (ids[0] == tokenizer.mask_token_id).nonzero().flatten()
    if isinstance(model, DistilBertForMaskedLM) and len(places):
        best = output.logits[0, places].topk(SHOWN).indices  # (masks, SHOWN)
        words = [tokenizer.convert_ids_to_tokens(row) for row in best.tolist()]
        several = len(places) > 1
        names = [
            f"mask {number}: {word}" if several else word
            for number, row in enumerate(words, 1)
            for word in row
        ]
        return (
            "words",
            names,
            lambda output: (
                output.logits[0, places].float().softmax(-1).gather(1, best).flatten().tolist()
            ),
        )
    mean = output.hidden_states[-1][0].float().mean(0)
    return (
        "vector",
        ["cosine with the whole model's sentence vector"],
        lambda output: [
            float(torch.cosine_similarity(output.hidden_states[-1][0].float().mean(0), mean, dim=0))
        ],
    )


def _bytes(weights: Tensor) -> str:
    """Weights of 0 to 1 in 256 steps, base64."""
    levels = (weights * 255).round().to(torch.uint8).cpu()
    return base64.b64encode(levels.numpy().tobytes()).decode("ascii")
