"""Export: a model as one file that runs where this library is not.

    model --torch.export--> program ----------------> FILE.pt2   "torch-export": PyTorch runs it
                                    --torch.onnx----> FILE.onnx  "onnx": ONNX Runtime runs it
    FILE --loaded again--> the model's numbers, for any batch, choices, length and mask

Source: https://onnx.ai/onnx/operators; the translation is PyTorch's, torch.export and torch.onnx.
Not here: text to ids (`tokenization/`); packed batches, which are not among a file's inputs.
"""

import contextlib
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from minidistil import heads
from minidistil.checkpoints.files import staged
from minidistil.inference.encoder import FastEncoder
from minidistil.pretrained import DistilBertPreTrainedModel

FORMATS = ("onnx", "torch-export")
INPUTS = ("input_ids", "attention_mask")
LABELLED = (heads.DistilBertForSequenceClassification, heads.DistilBertForTokenClassification)
OPSET = 20  # the first in which GELU is one operator; ONNX Runtime has it since 1.17
TOLERANCE = 1e-5  # that of all comparisons in float32
LARGEST = 2**31 - 2**24  # bytes of weights: a protobuf ends at 2 GiB, and the graph needs room
Run = Callable[[Tensor, Tensor], list[Tensor]]


def export(
    model: DistilBertPreTrainedModel,
    path: str | os.PathLike[str],
    format: str = "onnx",
    *,
    verify: bool = True,
) -> float | None:
    """Write a model into one file: its operations, weights and labels.

    The file takes `input_ids` and `attention_mask`, both int64 (B, S), or (B, C, S) for multiple
    choice, with S up to `max_position_embeddings`. It gives the model's outputs by name, float32:
    `last_hidden_state` (B, S, D); or `logits` in the shape that the class gives them; or
    `start_logits` and `end_logits`, (B, S). Hidden states and attentions follow where the config
    asks for them, as `hidden_states_0`, `attentions_0` and so on.

    Its metadata: "class", "max_position_embeddings", and of classifiers "id2label", as JSON, and
    "problem_type" where the config has one. All are strings, in ONNX's `metadata_props` or in the
    extra file "metadata.json" of a .pt2.

    Args:
        model: On the CPU, in float32 or quantized, in eval mode; it stays as it is.
        path: The file, written whole or not at all; folders are made, an old file is replaced.
        format: "onnx" (opset 20) or "torch-export" (a .pt2).
        verify: Load the file and compare its outputs with the model's, on random ids and masks of
            three shapes that the export has not seen: of length 1, with a row without a token, and
            of the greatest length. For ONNX this takes ONNX Runtime.

    Returns:
        The largest difference, max|a - b| / max(1, max|b|), at most 1e-5; None where `verify` is
        False.

    Raises:
        ValueError: Another format, a model that can't be exported (the message has the way out), a
            package that is missing, or a difference above 1e-5: then no file is left behind.
        OSError: `path` can't be written, such as a folder.
    """
    if format not in FORMATS:
        raise ValueError(f"format is {format!r}; known: {', '.join(FORMATS)}")
    _check(model)
    if format == "onnx":
        _check_onnx(model, verify)
    path = Path(os.path.abspath(path))
    named = _Named(model).eval()
    # No size is 1, which torch.export would take for a constant. And two tensors: given one twice,
    # it reads one input for both.
    sizes = _sizes(model, 2, 3, 5)
    example = tuple(torch.zeros([*sizes.values()], dtype=torch.long) for _ in INPUTS)
    with torch.no_grad(), _quiet(), staged(path.parent) as scratch:
        program = _program(named, example, [*sizes])
        file = scratch / path.name
        if format == "onnx":
            file.write_bytes(_onnx(program, [*sizes], [*named(*example)], _metadata(model)))
        else:
            metadata = json.dumps(_metadata(model), ensure_ascii=False)
            torch.export.save(program, file, extra_files={"metadata.json": metadata})
        if not verify:
            return None
        run = _run_onnx(file) if format == "onnx" else _run_pt2(file)
        return _largest_error(run, named)


class _Named(nn.Module):
    """A model that returns plain tensors by name: a .pt2 then needs no class of this library."""

    def __init__(self, model: DistilBertPreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = {}
        for name, value in self.model(input_ids, attention_mask, return_dict=True).items():
            if isinstance(value, Tensor):
                outputs[name] = value
            else:
                outputs |= {f"{name}_{i}": tensor for i, tensor in enumerate(value)}
        return outputs


def _check(model: DistilBertPreTrainedModel) -> None:
    config, chunk = model.config, model.config.chunk_size_feed_forward
    if isinstance(model.encoder, FastEncoder):
        raise ValueError("export the model that for_inference was called on, not what it returned")
    if model.training:
        raise ValueError("the model is in training mode, with dropout: call model.eval() first")
    if model.device.type != "cpu" or model.dtype != torch.float32:
        raise ValueError(
            f"the model is {model.dtype} on {model.device}, and only float32 on the CPU is "
            "exported: call model.float().cpu() first"
        )
    if config.max_position_embeddings == 1:
        raise ValueError("a file's length is free: call model.resize_position_embeddings(2) first")
    if chunk:
        raise ValueError(
            f"chunk_size_feed_forward={chunk} makes the number of steps depend on the length: load "
            "the model with chunk_size_feed_forward=0, which gives the same numbers"
        )
    for name in (config.attn_implementation, config.layer_ops):
        if name in ("triton", "flash_attention_2"):
            raise ValueError(
                f"a file can't hold the kernels of {name!r}: call "
                'model.set_attn_implementation("sdpa") and model.set_layer_ops("torch") first'
            )


def _check_onnx(model: DistilBertPreTrainedModel, verify: bool) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime")[: 3 if verify else 2]:
        if find_spec(package) is None:
            raise ValueError(f"ONNX needs {package}: pip install 'minidistil[export]'")
    size = sum(parameter.nbytes for parameter in model.parameters())
    if size > LARGEST:
        raise ValueError(
            f"an ONNX file holds {LARGEST:,} bytes of weights at most, and the model has {size:,}: "
            'export it as "torch-export"'
        )


def _sizes(
    model: DistilBertPreTrainedModel, batch: int, choices: int, length: int
) -> dict[str, int]:
    """Names and sizes of the dimensions of an input."""
    length = min(length, model.config.max_position_embeddings)
    choice = {"choices": choices} if isinstance(model, heads.DistilBertForMultipleChoice) else {}
    return {"batch": batch} | choice | {"length": length}


def _program(named: _Named, example: tuple[Tensor, ...], axes: list[str]) -> ExportedProgram:
    limits = {"length": named.model.config.max_position_embeddings}
    dims = [Dim(axis, min=1, max=limits.get(axis)) for axis in axes]
    shapes = {name: dict(enumerate(dims)) for name in INPUTS}
    program = torch.export.export(named, example, dynamic_shapes=shapes)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names folders of this machine
    return program


def _metadata(model: DistilBertPreTrainedModel) -> dict[str, str]:
    config = model.config
    longest = str(config.max_position_embeddings)
    facts = {"class": type(model).__name__, "max_position_embeddings": longest}
    # Every config has labels, were it by default; without such a head they mean nothing.
    if isinstance(model, LABELLED):
        facts["id2label"] = json.dumps(config.id2label, ensure_ascii=False)
        if config.problem_type is not None:
            facts["problem_type"] = config.problem_type
    return facts


def _onnx(
    program: ExportedProgram, axes: list[str], outputs: list[str], facts: dict[str, str]
) -> bytes:
    translated = torch.onnx.export(
        program,
        input_names=INPUTS,
        output_names=outputs,
        dynamic_shapes={name: dict(enumerate(axes)) for name in INPUTS},
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert translated is not None  # it is where a path is given
    translated.model.metadata_props.update(facts)
    # Not its `save`, which puts more than 1.5 GB of weights into a second file.
    return translated.model_proto.SerializeToString()


def _run_onnx(file: Path) -> Run:
    from onnxruntime import InferenceSession

    session = InferenceSession(file, providers=["CPUExecutionProvider"])

    def run(*inputs: Tensor) -> list[Tensor]:
        arrays = {name: x.numpy() for name, x in zip(INPUTS, inputs, strict=True)}
        return [torch.as_tensor(output) for output in session.run(None, arrays)]

    return run


def _run_pt2(file: Path) -> Run:
    module = torch.export.load(file).module()
    return lambda ids, mask: [*module(ids, mask).values()]


def _largest_error(run: Run, named: _Named) -> float:
    config, worst = named.model.config, 0.0
    generator = torch.Generator().manual_seed(0)  # the caller's own draws stay what they are
    for sizes in ((1, 1, 1), (3, 2, 7), (1, 4, config.max_position_embeddings)):
        shape = [*_sizes(named.model, *sizes).values()]
        ids = torch.randint(config.vocab_size, shape, generator=generator)
        mask = torch.randint(2, shape, generator=generator)
        mask[1:2] = 0  # no NaN comes of a row without a token
        expected = named(ids, mask)
        for (name, want), got in zip(expected.items(), run(ids, mask), strict=True):
            error = float((got - want).abs().max() / want.abs().max().clamp(min=1))
            if not error <= TOLERANCE:  # nor is NaN
                raise ValueError(
                    f"{name} of the exported file differs from the model's by {error:.1e}, more "
                    f"than {TOLERANCE:.0e}, for inputs of shape {shape}: the file is not kept. "
                    "verify=False keeps it, to be looked into"
                )
            worst = max(worst, error)
    return worst


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what PyTorch's exporter and packages it looks at say of themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
