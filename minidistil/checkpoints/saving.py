"""From a model to files: config.json and model.safetensors, all or nothing."""

import dataclasses
import os
from collections.abc import Mapping

import safetensors.torch
from torch import Tensor

from minidistil.aliases import dtype_name
from minidistil.checkpoints.files import staged, write_json
from minidistil.checkpoints.loading import PROJECTOR
from minidistil.checkpoints.quantized import SUFFIX
from minidistil.checkpoints.weights import SAFETENSORS
from minidistil.model import DistilBertModel
from minidistil.pretrained import DistilBertPreTrainedModel


def save_model(
    model: DistilBertPreTrainedModel,
    folder: str | os.PathLike[str],
    state: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a model's config and weights into `folder`; a failure leaves the old files whole.

    A tied projector is not written: it is the word embedding, and loading ties it again. Tied means
    that the weights are one and that the config says so; the config that is written says the same.

    Args:
        model: The model.
        folder: Made where it does not exist.
        state: The model's state dict, where it is not at hand as `model.state_dict()`: gathered
            from the processes that have a part of it each.

    Raises:
        ValueError: A field of the config was set to nonsense; the weights are on "meta", where they
            have shapes but no numbers; or the model comes from `for_inference`.
        NotADirectoryError: `folder` is a file.
        OSError: The disk is full, or the like; what was there before is there still.
    """
    if not isinstance(model.encoder, DistilBertModel):
        raise ValueError("a model from for_inference is for answering: save its original")
    config = dataclasses.replace(
        model.config, architectures=[type(model).__name__], dtype=dtype_name(model.dtype)
    )
    state = model.state_dict() if state is None else state
    weights = {name: tensor.contiguous() for name, tensor in state.items()}
    if any(tensor.is_meta for tensor in weights.values()):
        raise ValueError("weights on the device 'meta' have no numbers to save")
    projector = model.get_output_embeddings()
    if projector is not None:
        one = projector.weight is model.get_input_embeddings().weight
        config.tie_word_embeddings = one and config.tie_word_embeddings
        for name in {PROJECTOR, PROJECTOR + SUFFIX} & weights.keys():
            if config.tie_word_embeddings:
                del weights[name]
            else:
                # safetensors refuses two names for one memory.
                weights[name] = weights[name].clone()
    with staged(folder) as scratch:
        try:
            safetensors.torch.save_file(weights, scratch / SAFETENSORS, metadata={"format": "pt"})
        except safetensors.SafetensorError as error:  # such as a full disk
            raise OSError(f"{folder} can't be written: {error}") from error
        write_json(scratch / "config.json", config.to_dict())
