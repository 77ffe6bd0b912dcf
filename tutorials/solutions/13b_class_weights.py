"""Weights for rare classes.

A model that never gives a rare label loses little. To weigh each label by how rare its class is

    weight_c = n / (classes * n_c)

makes all classes that occur count the same: n_c labels of this weight are n / classes, whatever n_c
is. n counts the labels, n_c those of class c, and a label of -100 is counted in neither: it teaches
nothing. `classes` counts all classes, occurring or not. A class that does not occur has the weight
0: never infinity, and never NaN, not even where no label is left at all.

Shapes: labels (N,), int64, each from 0 to classes - 1 or -100; the result is (classes,), float32.
Source: King and Zeng 2001 (Logistic regression in rare events data);
minidistil/training/finetuning.py (class_weights).
"""

import torch


def class_weights(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """The weight of each class in the loss."""
    # answer
    counted = labels[labels != -100]
    counts = torch.bincount(counted, minlength=classes)
    weights = counted.numel() / (classes * counts)
    return torch.where(counts > 0, weights, 0.0)
    # end
