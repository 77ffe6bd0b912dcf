"""Distillation: from a BERT teacher to a student of a few of its layers.

text --preparation.py--> data.py --batches.py, masking.py, source.py--> batch
batch --teacher | student--> losses.py, weighed by distiller.py --minidistil.training--> student

`recipe.py` is all of it in one call.
"""

from minidistil.distillation.batches import BatchPlan, pack, pad
from minidistil.distillation.data import TokenFile
from minidistil.distillation.distiller import Distillation, LossWeights
from minidistil.distillation.masking import Masking
from minidistil.distillation.preparation import prepare
from minidistil.distillation.recipe import Recipe, distill, load_teacher
from minidistil.distillation.source import MaskedBatches
from minidistil.distillation.student import make_student

__all__ = [
    "BatchPlan",
    "Distillation",
    "LossWeights",
    "MaskedBatches",
    "Masking",
    "Recipe",
    "TokenFile",
    "distill",
    "load_teacher",
    "make_student",
    "pack",
    "pad",
    "prepare",
]
