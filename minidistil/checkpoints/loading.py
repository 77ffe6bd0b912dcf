"""From files to a model: config, empty model, names matched, weights assigned.

The model is built on the meta device, without memory, and the tensors of the file become its
parameters: no weight is drawn only to be overwritten, and none is copied on the way (int8 rows
become floats one matrix at a time). Everything is checked before anything is assigned.
"""

import dataclasses
import os
import warnings
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from minidistil.aliases import ALIASES, canonical_fields, dtype_name
from minidistil.arguments import usable_device
from minidistil.checkpoints.quantized import as_floats, check_dtypes, take_scales
from minidistil.checkpoints.weights import read_weights
from minidistil.config import DTYPES, DistilBertConfig
from minidistil.embeddings import set_sinusoidal_positions
from minidistil.initialisation import initialise_parameter
from minidistil.pretrained import DistilBertPreTrainedModel

Model = TypeVar("Model", bound=DistilBertPreTrainedModel)
LoadingInfo = dict[str, list[str]]
PREFIX = "distilbert."  # of the encoder's names in a checkpoint with a head
PROJECTOR = "vocab_projector.weight"
WORDS = "embeddings.word_embeddings.weight"


class ShapeError(ValueError):
    """A weight of the checkpoint has another shape than the config gives it."""


def load_model(
    cls: type[Model],
    name_or_path: str | os.PathLike[str],
    *,
    where: dict[str, Any],
    dtype: str,
    device: str | torch.device,
    ignore_mismatched_sizes: bool,
    config_fields: dict[str, Any],
) -> tuple[Model, LoadingInfo]:
    """Load a checkpoint; arguments as in `DistilBertPreTrainedModel.from_pretrained`.

    Raises:
        ValueError: As `build_model`; names the checkpoint and the way out.
    """
    config = _changed(DistilBertConfig.from_pretrained(name_or_path, **where), config_fields)
    weights = read_weights(name_or_path, **where)
    try:
        model, info = build_model(cls, config, weights, dtype, device, ignore_mismatched_sizes)
    except ValueError as error:
        way_out = "; pass ignore_mismatched_sizes=True to initialise such weights instead"
        way_out = way_out if isinstance(error, ShapeError) else ""
        raise ValueError(f"{str(name_or_path)!r}: {error}{way_out}") from error
    return model, info


def build_model(
    cls: type[Model],
    config: DistilBertConfig,
    weights: dict[str, Tensor],
    dtype: str = "auto",
    device: str | torch.device = "cpu",
    ignore_mismatched_sizes: bool = False,
) -> tuple[Model, LoadingInfo]:
    """Make a model of tensors that are already in memory.

    Args:
        cls: The model's class.
        config: Its config; the model's copy of it says whether the weights are tied.
        weights: Tensors by the names in the checkpoint, old or new, with or without a head.
        dtype: Of the parameters; "auto" means the config's, or else the first tensor's.
        device: Where they go.
        ignore_mismatched_sizes: Initialise a parameter whose shape differs.

    Returns:
        The model in eval mode, and the names of `missing_keys`, `unexpected_keys` and
        `mismatched_keys`.

    Raises:
        ShapeError: A shape differs.
        ValueError: The encoder is incomplete, the weights are quantized in a way that this library
            does not know, or no such device.
    """
    with torch.device("meta"):
        model = cls(config)
    wanted = dict(model.named_parameters(remove_duplicate=False))
    weights, scales = (_modern_names(t, wanted) for t in take_scales(model.config, weights))
    _settle_tying(model, weights, scales)
    info = _compare(model, weights, wanted)
    check_dtypes(weights, scales, weights.keys() & wanted.keys())
    _check(model, info, weights, wanted, ignore_mismatched_sizes)
    resolved = _resolve_dtype(dtype, config, weights)
    _assign(model, info, weights, scales, wanted, usable_device(device), resolved)
    model.tie_weights()
    model.config.dtype = dtype_name(resolved)
    return model.eval(), info


def _compare(
    model: DistilBertPreTrainedModel, weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> LoadingInfo:
    """Hold the tensors of the checkpoint against the parameters of the model, by name and shape."""
    missing = wanted.keys() - weights.keys()
    if model.get_output_embeddings() is not None and model.config.tie_word_embeddings:
        missing -= {PROJECTOR}
    shared = weights.keys() & wanted.keys()
    return {
        "missing_keys": sorted(missing),
        "unexpected_keys": sorted(weights.keys() - wanted.keys()),
        "mismatched_keys": sorted(n for n in shared if weights[n].shape != wanted[n].shape),
    }


def _check(
    model: DistilBertPreTrainedModel,
    info: LoadingInfo,
    weights: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    ignore_mismatched_sizes: bool,
) -> None:
    """Refuse what would give a model that is not the checkpoint's."""
    mismatched = info["mismatched_keys"]
    if mismatched and not ignore_mismatched_sizes:
        name = mismatched[0]
        raise ShapeError(
            f"{name} is {tuple(weights[name].shape)} in the checkpoint, but "
            f"{tuple(wanted[name].shape)} by the config ({len(mismatched)} such)"
        )
    of_encoder = [n for n in info["missing_keys"] if n.startswith(PREFIX) or model.encoder is model]
    if of_encoder:
        raise ValueError(
            f"the checkpoint lacks {len(of_encoder)} weights of the encoder, {of_encoder[0]!r} "
            f"among them; it holds {len(weights)} tensors, such as {min(weights, default=None)!r}"
        )


def _assign(
    model: DistilBertPreTrainedModel,
    info: LoadingInfo,
    weights: Mapping[str, Tensor],
    scales: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    device: torch.device,
    dtype: torch.dtype,
) -> None:
    """Make the checkpoint's tensors the model's parameters, and draw those that it lacks."""
    config = model.config
    new = [*info["missing_keys"], *info["mismatched_keys"]]
    adopted = set()
    modules = dict(model.named_modules())
    for name in (*(weights.keys() & wanted.keys() - set(new)), *new):
        path, _, kind = name.rpartition(".")
        if name in new:
            tensor = torch.empty_like(wanted[name], device="cpu")
        else:
            tensor = as_floats(weights[name], scales.get(name), dtype)
        tensor = tensor.to(device=device, dtype=dtype)
        # A pickle may hold one tensor under two names; two parameters must not share their memory.
        tensor = tensor.clone() if tensor.data_ptr() in adopted else tensor
        adopted.add(tensor.data_ptr())
        setattr(modules[path], kind, nn.Parameter(tensor, wanted[name].requires_grad))
        if name in new:
            initialise_parameter(modules[path], kind, config.initializer_range)
    positions = model.get_position_embeddings()
    if config.sinusoidal_pos_embds and any(modules[n.rpartition(".")[0]] is positions for n in new):
        set_sinusoidal_positions(positions)


def _changed(config: DistilBertConfig, fields: dict[str, Any]) -> DistilBertConfig:
    """The config with some fields replaced; labels that no longer fit are renamed."""
    known = {f.name for f in dataclasses.fields(config)} | ALIASES.keys() | {"num_labels"}
    for name in fields.keys() - known:
        raise TypeError(f"from_pretrained() got an unexpected keyword argument {name!r}")
    if fields.get("num_labels") == config.num_labels and "id2label" not in fields:
        # The same number of labels keeps their names.
        fields = {name: value for name, value in fields.items() if name != "num_labels"}
    fields = canonical_fields(fields)
    if "id2label" in fields:
        fields.setdefault("label2id", None)
    return dataclasses.replace(config, **fields)


def _modern_names(weights: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename what old checkpoints call differently, and add or drop the encoder's prefix."""
    has_head = any(name.startswith(PREFIX) for name in wanted)
    result: dict[str, Tensor] = {}
    for original, tensor in weights.items():
        name = original
        if name.endswith("embeddings.position_ids"):
            continue  # 0, 1, 2, ...: a buffer that older versions saved
        for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
            if name.endswith(old):
                name = name.removesuffix(old) + new
        if has_head and PREFIX + name in wanted:
            name = PREFIX + name
        elif not has_head and name.removeprefix(PREFIX) in wanted:
            name = name.removeprefix(PREFIX)
        if name in result:
            raise ValueError(f"{original!r} and another tensor are both {name!r}")
        result[name] = tensor
    return result


def _settle_tying(
    model: DistilBertPreTrainedModel, weights: dict[str, Tensor], scales: Mapping[str, Tensor]
) -> None:
    """A checkpoint whose projector is not its word embedding wins over a config that says it is."""
    layer = model.get_output_embeddings()
    names = (PROJECTOR, PREFIX + WORDS)
    if layer is None or not {*names} <= weights.keys() or not model.config.tie_word_embeddings:
        return
    projector, words = (as_floats(weights[name], scales.get(name)) for name in names)
    if torch.equal(projector, words):
        del weights[PROJECTOR]
    else:
        warnings.warn(
            "the checkpoint's projector differs from its word embedding: keeping both "
            "(tie_word_embeddings=False)",
            stacklevel=2,
        )
        model.config.tie_word_embeddings = False
        layer.weight = nn.Parameter(torch.empty_like(words, device="meta"))


def _resolve_dtype(name: str, config: DistilBertConfig, weights: dict[str, Tensor]) -> torch.dtype:
    if name == "auto":
        first = next((t.dtype for t in weights.values() if t.is_floating_point()), torch.float32)
        name = config.dtype or dtype_name(first)
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or dtype_name(dtype) not in DTYPES:
        raise ValueError(f"{name!r} is not a dtype of weights: choose one of {DTYPES}")
    return dtype


def warn_of(info: LoadingInfo, what: str) -> None:
    """Warn of weights that are new and of weights that were not used, if there are any."""
    new = info["missing_keys"] + info["mismatched_keys"]
    parts = []
    if new:
        parts.append(f"new weights, to be trained before use: {', '.join(sorted(new))}")
    if info["unexpected_keys"]:
        parts.append(f"not used: {', '.join(info['unexpected_keys'])}")
    if parts:
        warnings.warn(f"{what}: {'; '.join(parts)}", stacklevel=3)
