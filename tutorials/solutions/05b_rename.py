"""BERT's weights under DistilBERT's names.

DistilBERT is BERT without pooler and segments, and calls its parts by other names, as in NAMES. All
names of BERT may begin with "bert.", which falls away. What begins with "pooler." has no place.

The first trap: "output.LayerNorm" is a part of "attention.output.LayerNorm", so the table can't be
applied in any order. The second is the segments. To each token of a single text BERT adds row 0 of
their table, and that row can be added to all positions instead:

    word + position + segment[0] = word + (position + segment[0])

Then the table of segments has no place either. Thrown away without that, it makes every number of
the model a little wrong, and no error says so.

Asked for is a new dict. The old one and its tensors stay as they are.

Shapes: positions (P, D), segments (2, D); those of the others do not matter.
Source: Devlin et al. 2018, arXiv 1810.04805; minidistil/checkpoints/conversion.py.
"""

import torch

NAMES = {  # BERT's and DistilBERT's, in the alphabetical order of the latter
    "attention.self.key": "attention.k_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.self.query": "attention.q_lin",
    "attention.self.value": "attention.v_lin",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
    "attention.output.LayerNorm": "sa_layer_norm",
    "encoder.layer": "transformer.layer",
}
POSITIONS = "embeddings.position_embeddings.weight"
SEGMENTS = "embeddings.token_type_embeddings.weight"


def rename(bert: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Make the weights of a DistilBertModel of those of a BertModel."""
    # answer
    weights = {}
    for name, tensor in bert.items():
        new = name.removeprefix("bert.")
        for old in sorted(NAMES, key=len, reverse=True):
            new = new.replace(old, NAMES[old])
        if not new.startswith("pooler."):
            weights[new] = tensor
    segments = weights.pop(SEGMENTS)
    weights[POSITIONS] = weights[POSITIONS] + segments[0]
    return weights
    # end
