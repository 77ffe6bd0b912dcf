"""`pipeline(task, model)`: load a checkpoint and its tokenizer, and build the task's pipeline."""

from pathlib import Path
from typing import Any

import torch

from minidistil.arguments import usable_device
from minidistil.checkpoints.loading import warn_of
from minidistil.checkpoints.trained import load_trained
from minidistil.inference.linear import PRECISIONS
from minidistil.model import DistilBertModel
from minidistil.pipelines.base import Pipeline
from minidistil.pipelines.feature_extraction import FeatureExtraction
from minidistil.pipelines.fill_mask import FillMask
from minidistil.pipelines.multiple_choice import MultipleChoice
from minidistil.pipelines.question_answering import QuestionAnswering
from minidistil.pipelines.text_classification import TextClassification
from minidistil.pipelines.token_classification import TokenClassification
from minidistil.pretrained import DistilBertPreTrainedModel
from minidistil.tokenization import DistilBertTokenizer

TASKS: dict[str, type[Pipeline[Any]]] = {
    "fill-mask": FillMask,
    "text-classification": TextClassification,
    "token-classification": TokenClassification,
    "question-answering": QuestionAnswering,
    "multiple-choice": MultipleChoice,
    "feature-extraction": FeatureExtraction,
}
ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


def pipeline(
    task: str,
    model: str | Path | DistilBertPreTrainedModel | None = None,
    tokenizer: str | Path | DistilBertTokenizer | None = None,
    device: str | int | torch.device | None = None,
    batch_size: int = 8,
    *,
    dtype: str | torch.dtype | None = None,
    attn_implementation: str | None = None,
    **settings: Any,
) -> Any:
    """Build a pipeline.

    Args:
        task: "fill-mask", "text-classification" ("sentiment-analysis"), "token-classification"
            ("ner"), "question-answering", "multiple-choice" or "feature-extraction".
        model: A folder, a hub repository (`"user/name"`, `"user/name@revision"`) or a model. None
            takes the student that is shipped for "text-classification" (sentiment) and
            "feature-extraction" (sentence vectors), else the task's well-known checkpoint, where
            there is one.
        tokenizer: Likewise; None takes that of the checkpoint.
        device: A name such as "cuda", or the number of a GPU; None is the CPU for a checkpoint,
            and where the model is for a model. As in transformers, a model is itself moved there,
            and put in eval mode: the pipeline takes it as its own, and makes no copy.
        batch_size: Rows that go through the model at a time.
        dtype: What a checkpoint is run in. None and "float32", "bfloat16" and "int8" take the fast
            path (`inference.fast.for_inference`), any other is the dtype of the weights.
        attn_implementation: Run a checkpoint as the model itself, with this attention, such as
            "eager"; `dtype` is then that of the weights.
        **settings: Those of the task, such as `top_k`; a call can change them.

    Returns:
        A pipeline, to be called with texts: see the class of the task.

    Raises:
        ValueError: An unknown task, no model, a model without tokenizer, a checkpoint that lacks
            the task's head; `dtype` or `attn_implementation` with a model, which has its own.
        FileNotFoundError: No such checkpoint.
        TypeError: A model of another class, a setting that the task doesn't have.

    Examples:
        >>> feeling = pipeline("text-classification")  # the student that is shipped
        >>> [answer["label"] for answer in feeling(["a joy to read", "a dull, tedious mess"])]
        ['positive', 'negative']
        >>> embed = pipeline("feature-extraction")
        >>> cat, kitten, tax = embed(["a cat", "a small kitten", "the income tax"])
        >>> bool(cat @ kitten > cat @ tax)
        True
    """
    cls = TASKS.get(ALIASES.get(task, task))
    if cls is None:
        raise ValueError(f"there is no task {task!r}; choose one of {[*TASKS, *ALIASES]}")
    model = cls.default_model if model is None else model
    if model is None:
        raise ValueError(f"{task} has no default model: pass model=, a folder or a hub id")
    if tokenizer is None:
        if isinstance(model, DistilBertPreTrainedModel):
            raise ValueError(f"pass tokenizer= together with a {type(model).__name__}")
        tokenizer = model
    if device is not None:
        device = usable_device(device)
    if not isinstance(model, DistilBertPreTrainedModel):
        fast = "float32" if dtype is None else str(dtype).removeprefix("torch.")
        fast = fast if attn_implementation is None and fast in PRECISIONS else None
        weights = "float32" if fast else dtype
        model = _load(cls, ALIASES.get(task, task), model, weights, attn_implementation)
        if device is not None:
            model = model.to(device)
        if fast:
            model = model.for_inference(fast, keep=False)
    elif dtype is not None:
        raise ValueError(f"dtype={dtype!r} is for a checkpoint: cast the model yourself, model.to")
    elif attn_implementation is not None:
        raise ValueError(
            f"attn_implementation={attn_implementation!r} is for a checkpoint: call the model's "
            "set_attn_implementation yourself"
        )
    if not isinstance(tokenizer, DistilBertTokenizer):
        tokenizer = DistilBertTokenizer.from_pretrained(tokenizer)
    return cls(model, tokenizer, device, batch_size, **settings)


def _load(
    cls: type[Pipeline[Any]],
    task: str,
    name: str | Path,
    dtype: str | torch.dtype | None,
    attn_implementation: str | None,
) -> DistilBertPreTrainedModel:
    model_class = cls.model_class
    if cls is FeatureExtraction:
        model_class = DistilBertModel
    model, info = load_trained(
        model_class,
        name,
        f"pass a checkpoint fine-tuned for {task}",
        dtype=dtype,
        attn_implementation=attn_implementation,
    )
    if cls is FeatureExtraction:  # which asks no head, whatever the checkpoint has
        own = ("embeddings.", "transformer.")
        unused = info["unexpected_keys"]
        info["unexpected_keys"] = [key for key in unused if any(part in key for part in own)]
    warn_of(info, f"{model_class.__name__} from {str(name)!r}")
    return model
