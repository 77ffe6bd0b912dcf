"""AdamW with the right parameters decayed; a learning rate that warms up, then falls to 0.

Weight decay is for matrices: a LayerNorm's weight or a bias pulled to 0 does harm. The original
recipe told them apart by name ("LayerNorm.weight") and so missed DistilBERT's `sa_layer_norm` and
`output_layer_norm`; here it is the number of axes that tells.

Source: Loshchilov and Hutter 2019, arXiv 1711.05101; the warm-up is Devlin et al. 2018, A.2.
"""

import math

from torch import nn
from torch.autograd.graph import increment_version
from torch.optim import AdamW


def make_optimizer(
    model: nn.Module,
    learning_rate: float,
    *,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.98),
    eps: float = 1e-6,
) -> AdamW:
    """AdamW over the trainable parameters; only those with two axes or more are decayed."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.dim() < 2], "weight_decay": 0.0},
    ]
    # Fused: one pass over memory for each parameter, where the default makes ten.
    optimizer = AdamW(groups, lr=learning_rate, betas=betas, eps=eps, fused=True)

    def tell(*_: object) -> None:
        # A fused step leaves versions as they are, by which the fast path knows a changed model.
        for p in trainable:
            increment_version(p)

    optimizer.register_step_post_hook(tell)
    return optimizer


def linear_factor(step: int, steps: int, warmup: float = 0.05) -> float:
    """What the learning rate of step 0, 1, ... is multiplied by: a rise to 1, then a fall to 0.

    A function of the step alone, so that a resumed run needs no state of a schedule. The rise takes
    ceil(warmup * steps) and its first step is not 0: that step would be wasted. The fall reaches 0
    at `steps`, after the last one.
    """
    rising = math.ceil(warmup * steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    return max(0.0, (steps - step) / max(1, steps - rising))
