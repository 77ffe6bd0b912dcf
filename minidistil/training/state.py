"""The state of a training run on disk: written whole or not at all, read without unpickling.

    run/checkpoints/step-00000400/  config.json  model.safetensors   what `from_pretrained` loads
                                    optimizer.safetensors            AdamW's moments, until the end
                                    state.json                       step, settings, environment

Everything else that a run depends on is a function of its settings and the number of the step: the
learning rate, the order of the data, which tokens are masked, and dropout, whose generator is
seeded anew for each step. So there is no state of a schedule, a sampler or a random generator to
save, or to forget.

A checkpoint appears by one rename, so a run that is killed at any moment leaves the last one whole.
When the run is done its moments are removed: they are twice the weights, and nothing goes on from
them, because other settings, such as more epochs, are another run.

Not here: what a model's own folder holds (`minidistil.checkpoints`).
"""

import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer

from minidistil.checkpoints.files import read_json, staged, write_json
from minidistil.checkpoints.loading import PROJECTOR
from minidistil.checkpoints.saving import save_model
from minidistil.checkpoints.weights import SAFETENSORS
from minidistil.pretrained import DistilBertPreTrainedModel
from minidistil.training import processes

NAME = re.compile(r"step-(\d{8})")
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
HASH = re.compile(r"[0-9a-f]{64}")
# Weights and moments as one process would have them, wherever their parts are.
FULL = StateDictOptions(full_state_dict=True, cpu_offload=True, strict=False)


def environment(device: torch.device) -> dict[str, Any]:
    """What the bits of a result depend on, apart from the settings."""
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),  # each sums a share, with a rounding of its own
        "processes": processes.world_size(),
        "device": device.type,
    }


def full_state(model: DistilBertPreTrainedModel) -> Any:
    """The state dict of a model on rank 0, gathered from the processes; they all must ask."""
    return get_model_state_dict(model, options=FULL)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint in `folder`, if there is one."""
    return max((p for p in folder.glob("step-*") if NAME.fullmatch(p.name)), default=None)


def save_checkpoint(
    folder: Path, student: DistilBertPreTrainedModel, optimizer: Optimizer, record: dict[str, Any]
) -> None:
    """Write `folder/step-N`, N = record["step"], then remove the older ones.

    Args:
        folder: Of the checkpoints.
        student: The model that is trained.
        optimizer: Its moments are saved.
        record: What `state.json` is to hold: the step, the settings, the environment.

    Raises:
        OSError: Such as a full disk; the older checkpoints are then as they were.
    """
    # Every process takes part: a weight in parts is gathered from all of them.
    moments: Any = get_optimizer_state_dict(student, optimizer, options=FULL)
    weights = full_state(student)
    if processes.rank() == 0:
        final, scratch = folder / f"step-{record['step']:08}", folder / ".unfinished"
        shutil.rmtree(scratch, ignore_errors=True)
        save_model(student, scratch, weights)
        with staged(scratch) as files:
            tensors = {
                f"{parameter}.{name}": value
                for parameter, values in moments["state"].items()
                for name, value in values.items()
            }
            safetensors.torch.save_file(tensors, files / OPTIMIZER)
            write_json(files / STATE, record)
        older = [path for path in folder.glob("step-*") if path != final]
        shutil.rmtree(final, ignore_errors=True)
        scratch.rename(final)
        for path in older:
            shutil.rmtree(path)
    processes.barrier()


def load_checkpoint(
    path: Path, student: DistilBertPreTrainedModel, optimizer: Optimizer, record: dict[str, Any]
) -> tuple[int, bool]:
    """Put a run where a checkpoint left it.

    Args:
        path: A folder that `save_checkpoint` wrote.
        student: Gets its weights.
        optimizer: Gets its moments.
        record: The settings and the environment of the run that wants to go on.

    Returns:
        The number of steps that were taken, and whether the run is done: it has no moments then.

    Raises:
        ValueError: Other settings than the checkpoint's, or a damaged file.
    """
    saved = read_json(path / STATE)
    finished = "finished" in saved
    for name, value in record["settings"].items():
        before = saved["settings"].get(name)
        if before != value:
            differs = f"{name} = {before!r}, and this run has {value!r}"
            if HASH.fullmatch(str(value)) or HASH.fullmatch(str(before)):
                differs = f"another {name} than this run has"
            raise ValueError(
                f"{path} was made with {differs}: set it back, or choose another folder for a new "
                "run"
            )
    for name, value in record["environment"].items():
        if saved["environment"].get(name) != value:
            warnings.warn(
                f"{path} was made with {name} = {saved['environment'].get(name)}, and goes on with "
                f"{value}: the result will differ in its last bits",
                stacklevel=2,
            )
    try:
        weights: Any = safetensors.torch.load_file(path / SAFETENSORS)
        moments: Any = {} if finished else safetensors.torch.load_file(path / OPTIMIZER)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}; remove it to start anew") from error
    shapes = {name: value.shape for name, value in student.state_dict().items()}
    saved_shapes = {name: value.shape for name, value in weights.items()}
    # What is in one of them only, or in both with two shapes. A tied projector is not on file.
    wrong = {name for name, _ in shapes.items() ^ saved_shapes.items()} - {PROJECTOR}
    if wrong:
        raise ValueError(f"{path} does not fit the model: {', '.join(sorted(wrong))}")
    set_model_state_dict(student, weights, options=FULL)
    if finished:
        return int(saved["step"]), True
    # Each process takes its part out of the whole; with `cpu_offload` only rank 0 would have one.
    whole = StateDictOptions(full_state_dict=True, strict=False)
    state: Any = get_optimizer_state_dict(student, optimizer, options=whole)
    for name, value in moments.items():
        parameter, _, moment = name.rpartition(".")
        state["state"][parameter][moment] = value
    set_optimizer_state_dict(student, optimizer, state, options=FULL)
    return int(saved["step"]), False


def finish_checkpoint(folder: Path) -> None:
    """Remove the moments of a run that is done; its last checkpoint says so from now on.

    A kill leaves them, or a checkpoint that says so and has them still; called again, they go.

    Args:
        folder: Of the checkpoints.
    """
    processes.barrier()  # the others may still be reading them
    last = last_checkpoint(folder)
    if processes.rank() == 0 and last is not None:
        with staged(last) as files:
            write_json(files / STATE, read_json(last / STATE) | {"finished": True})
        (last / OPTIMIZER).unlink(missing_ok=True)
    processes.barrier()
