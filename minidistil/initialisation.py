"""New weights: N(0, initializer_range), biases 0, LayerNorm 1 and 0, the padding row 0.

Source: transformers' DistilBERT. (BERT's own code drew from a truncated normal distribution.)
"""

import torch
from torch import nn


@torch.no_grad()
def initialise_parameter(module: nn.Module, name: str, std: float) -> None:
    """Draw one parameter of one module.

    Args:
        module: Owns the parameter; its type says what the parameter is.
        name: "weight" or "bias".
        std: Standard deviation of linear weights and embeddings.
    """
    parameter = module.get_parameter(name)
    if parameter.is_meta:
        return  # nothing to fill: a checkpoint's tensor will take this one's place
    if name == "bias":
        parameter.zero_()
    elif isinstance(module, nn.LayerNorm):
        parameter.fill_(1.0)
    else:
        parameter.normal_(0.0, std)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            parameter[module.padding_idx].zero_()
