"""Pairs of models with the same weights, transformers' and ours, and inputs that test them.

Linear weights are multiplied: at a standard deviation of 0.02 a tiny model hardly reacts to its
mask, and a wrong mask would pass.
"""

import torch
import transformers
from torch import Tensor, nn

import minidistil

# Head widths 16 to 128, 1 to 4 layers, both kinds of positions, all activations. At most 128 wide:
# with weights ten times too large, the float32 error of the reference itself (against float64)
# grows from 7e-7 at width 32 to 2.7e-5 at 256, and a bound of 1e-5 would test luck.
CONFIGS = {
    "k16": {"dim": 32, "n_heads": 2, "hidden_dim": 37, "n_layers": 1},
    "k32-sinusoidal": {
        "dim": 96,
        "n_heads": 3,
        "hidden_dim": 101,
        "n_layers": 2,
        "sinusoidal_pos_embds": True,
    },
    "k40-tanh": {
        "dim": 80,
        "n_heads": 2,
        "hidden_dim": 53,
        "n_layers": 3,
        "activation": "gelu_new",
    },
    "k64-relu": {
        "dim": 64,
        "n_heads": 1,
        "hidden_dim": 201,
        "n_layers": 4,
        "activation": "relu",
        "sinusoidal_pos_embds": True,
    },
    "k80-untied": {
        "dim": 80,
        "n_heads": 1,
        "hidden_dim": 77,
        "n_layers": 2,
        "activation": "silu",
        "tie_word_embeddings": False,
    },
    "k128-chunked": {
        "dim": 128,
        "n_heads": 1,
        "hidden_dim": 259,
        "n_layers": 2,
        "chunk_size_feed_forward": 3,
    },
}
CLASSES = [
    "DistilBertModel",
    "DistilBertForMaskedLM",
    "DistilBertForSequenceClassification",
    "DistilBertForTokenClassification",
    "DistilBertForQuestionAnswering",
    "DistilBertForMultipleChoice",
]
VOCAB, POSITIONS, BATCH, CHOICES, LENGTH = 61, 24, 4, 3, 9


def pair(
    cls: str,
    name: str,
    dtype: torch.dtype = torch.float32,
    attn_implementation: str = "eager",
    **fields: object,
) -> tuple[nn.Module, nn.Module]:
    """(transformers' model, ours), with the same amplified weights, in eval mode."""
    shape = {"vocab_size": VOCAB, "max_position_embeddings": POSITIONS} | CONFIGS[name] | fields
    config = transformers.DistilBertConfig(**shape, attn_implementation="eager")
    theirs = getattr(transformers, cls)(config)
    amplify(theirs)
    ours = getattr(minidistil, cls)(
        minidistil.DistilBertConfig(**shape, attn_implementation=attn_implementation)
    )
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return theirs.to(dtype).eval(), ours.to(dtype).eval()


@torch.no_grad()
def amplify(model: nn.Module) -> None:
    """Make attention sharp and biases matter: weights of Linear layers times 10, biases drawn."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight *= 10
            module.bias.normal_(0, 0.3)
        elif isinstance(module, nn.LayerNorm):
            module.weight.normal_(1, 0.1)
            module.bias.normal_(0, 0.1)


def holey_mask(batch: int = BATCH, length: int = LENGTH) -> Tensor:
    """(batch, length) of 0 and 1: padding left, right and in between; something in every row."""
    mask = torch.rand(batch, length) > 0.4
    mask[0] = torch.arange(length) < length // 2
    if batch > 1:
        mask[1] = torch.arange(length) >= length // 2
    mask[:, length // 3] = True
    mask[:, -2] = False
    assert mask.any(-1).all() and not mask.all(-1).any()
    return mask.long()


def inputs(cls: str) -> dict[str, Tensor]:
    """Token ids, and a mask with holes, in the class's shape."""
    if cls == "DistilBertForMultipleChoice":
        ids = torch.randint(VOCAB, (BATCH, CHOICES, LENGTH))
        mask = holey_mask(BATCH * CHOICES).view(BATCH, CHOICES, LENGTH)
        return {"input_ids": ids, "attention_mask": mask}
    return {"input_ids": torch.randint(VOCAB, (BATCH, LENGTH)), "attention_mask": holey_mask()}


def labels(cls: str) -> dict[str, Tensor]:
    """Labels in the class's shape, some of them ignored."""
    if cls == "DistilBertForMaskedLM":
        tokens = torch.randint(VOCAB, (BATCH, LENGTH))
        return {"labels": tokens.masked_fill(torch.rand(BATCH, LENGTH) > 0.5, -100)}
    if cls == "DistilBertForTokenClassification":
        tokens = torch.randint(2, (BATCH, LENGTH))
        return {"labels": tokens.masked_fill(torch.rand(BATCH, LENGTH) > 0.5, -100)}
    if cls == "DistilBertForQuestionAnswering":
        return {
            "start_positions": torch.randint(LENGTH, (BATCH,)),
            # The last answer was cut off by truncation.
            "end_positions": torch.tensor([*torch.randint(LENGTH, (BATCH - 1,)), LENGTH + 3]),
        }
    if cls == "DistilBertForMultipleChoice":
        return {"labels": torch.randint(CHOICES, (BATCH,))}
    return {"labels": torch.randint(2, (BATCH,))}
