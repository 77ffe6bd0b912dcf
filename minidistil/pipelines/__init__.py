"""Pipelines: text in, typed results out. One file a task, and `search` over many passages."""

from minidistil.pipelines.base import InputError, Pipeline
from minidistil.pipelines.factory import pipeline
from minidistil.pipelines.feature_extraction import FeatureExtraction
from minidistil.pipelines.fill_mask import FillMask
from minidistil.pipelines.multiple_choice import MultipleChoice
from minidistil.pipelines.question_answering import QuestionAnswering
from minidistil.pipelines.text_classification import TextClassification
from minidistil.pipelines.token_classification import TokenClassification

__all__ = [
    "FeatureExtraction",
    "FillMask",
    "InputError",
    "MultipleChoice",
    "Pipeline",
    "QuestionAnswering",
    "TextClassification",
    "TokenClassification",
    "pipeline",
]
