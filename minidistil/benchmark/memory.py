"""Memory: the peak of a fresh process, and what a training step keeps, counted.

    function, arguments --a new process--> imports, rehearsal --> baseline --> the function's peak

A process that has already worked has a peak already, and its allocator has memory in store: so each
peak is of a process of its own. Much is imported only when it is first used (an optimizer brings
the compiler along), so the function is rehearsed on something tiny before the baseline is taken,
from which on the peak is counted anew. On a GPU it is PyTorch's allocator that counts.

Not here: the bytes that a kernel moves (`minidistil_kernels.lab.meter`).
"""

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

STATUS = Path("/proc/self/status")  # of Linux; other systems have no such peak
RESET = Path("/proc/self/clear_refs")  # a 5 written there sets the peak to what is held now
PR_SET_PDEATHSIG = 1  # of prctl: the signal that Linux sends when the parent is gone
PROGRAM = "from minidistil.benchmark.memory import child; child()"


def peak_memory(
    function: Callable[..., object], rehearsal: Mapping[str, Any], **arguments: Any
) -> float | None:
    """Bytes that a function has at most, above what its process holds after a rehearsal.

    Args:
        function: Of a module, to be called by name in the new process.
        rehearsal: Arguments that are others in the rehearsal, to make it tiny.
        arguments: Of the function, as JSON knows them; "device" also says which memory is meant.

    Returns:
        None where the system doesn't tell: on a CPU, without Linux.

    Raises:
        RuntimeError: The process failed; with its last words.
    """
    if not arguments.get("device", "cpu").startswith("cuda") and not STATUS.exists():
        return None
    names, threads = (function.__module__, function.__name__), torch.get_num_threads()
    task = [os.getpid(), *names, {**arguments, **rehearsal}, arguments, threads]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{function.__name__} failed: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout.splitlines()[-1])


def child() -> None:
    """What the new process does: the task on standard input, bytes to standard output."""
    parent, module, name, rehearsal, arguments, threads = json.load(sys.stdin)
    if sys.platform == "linux":
        # A parent that is killed can't end it; and it may have been killed while this one began.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit("the process that asked is gone")
    function = getattr(importlib.import_module(module), name)
    torch.set_num_threads(threads)
    function(**rehearsal)
    device = arguments.get("device", "cpu")
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        function(**arguments)
        print(torch.cuda.max_memory_allocated(device) - before)
    else:
        before = baseline()
        function(**arguments)
        print(resident(peak=True) - before)


def baseline() -> int:
    """Bytes of memory that this process has now; its peak is counted anew from here on.

    Where Linux doesn't allow that, a peak before counts too: an import's, seldom above a model's.
    """
    with suppress(OSError):
        RESET.write_text("5", encoding="ascii")
    return resident()


def resident(peak: bool = False) -> int:
    """Bytes of memory that this process has, or at most had so far; 0 without Linux."""
    key = "VmHWM" if peak else "VmRSS"
    lines = STATUS.read_text(encoding="ascii").splitlines() if STATUS.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key)), 0)


@dataclass
class Kept:
    """Bytes of one training step.

    Attributes:
        saved: All storages kept between forward and backward, parameters left out.
        largest: The largest storage that any operator returned, forward or backward.
    """

    saved: int
    largest: int


class _Largest(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.bytes = max(self.bytes, leaf.untyped_storage().nbytes())
        return result


def training_memory(model: torch.nn.Module, **inputs: Tensor) -> Kept:
    """Run one step of `model(**inputs).loss`, forward and backward, and count; on any device."""
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with _Largest() as largest, torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        model(**inputs).loss.backward()
    return Kept(sum(saved.values()), largest.bytes)
