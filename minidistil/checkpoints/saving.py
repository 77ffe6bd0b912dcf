"""From a model to files: config.json and model.safetensors, all or nothing."""

import dataclasses
from pathlib import Path

import safetensors.torch

from minidistil.checkpoints.files import staged, write_json
from minidistil.checkpoints.weights import SAFETENSORS
from minidistil.pretrained import DistilBertPreTrainedModel


def save_model(model: DistilBertPreTrainedModel, folder: Path) -> None:
    """Write a model's config and weights into `folder`; a failure leaves the old files whole.

    A tied projector is not written: it is the word embedding, and loading ties it again.

    Raises:
        ValueError: A field of the config was set to nonsense.
        NotADirectoryError: `folder` is a file.
    """
    config = dataclasses.replace(
        model.config,
        architectures=[type(model).__name__],
        dtype=str(model.dtype).removeprefix("torch."),
    )
    weights = model.state_dict()
    projector = model.get_output_embeddings()
    if projector is not None and projector.weight is model.get_input_embeddings().weight:
        del weights["vocab_projector.weight"]
    # transformers refuses a file that does not say which framework wrote it.
    tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
    with staged(folder) as scratch:
        safetensors.torch.save_file(tensors, scratch / SAFETENSORS, metadata={"format": "pt"})
        write_json(scratch / "config.json", config.to_dict())
