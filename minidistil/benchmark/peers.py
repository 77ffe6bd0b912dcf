"""The ways to run DistilBERT that are compared; here transformers and this library.

    saved model --prepare--> files in its form --load--> engine
    Work --inputs--> ids in its form --run--> an answer in its form --states--> (B, S, D)

Only `run` is timed: ids are in the engine's form before, and what it returns is read after. All
have one set of weights, the same number of threads and one stream, for one call at a time.

Not here: the other engines (`runtimes.py`); which of them run, and the table (`comparison.py`);
serving many clients at once.
"""

import shutil
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minidistil.benchmark.saved import Saved
from minidistil.benchmark.work import Work
from minidistil.model import DistilBertModel


class Peer:
    """Abstract: one way to get hidden states.

    Attributes:
        name: As it stands in a table.
        dtype: Of the matrix products.
        needs: Packages that must be installed.
        on_gpu: Can run there.
    """

    name: str
    dtype: str
    needs: tuple[str, ...] = ()
    on_gpu: bool = False

    def missing(self, device: str) -> str | None:
        """Why it can't run here; None where it can."""
        absent = [package for package in self.needs if find_spec(package) is None]
        if absent:
            return f"absent: {', '.join(absent)}"
        return None if self.on_gpu or device == "cpu" else "for CPUs"

    def prepare(self, saved: Saved) -> None:
        """Write what `load` reads besides, once: exporting needs more memory than running does."""

    def load(self, saved: Saved) -> None:
        """Make the engine."""
        raise TypeError(f"{type(self).__name__} is abstract")

    def inputs(self, work: Work) -> Any:
        """A batch in the engine's form."""
        raise TypeError(f"{type(self).__name__} is abstract")

    def run(self, inputs: Any) -> Any:
        """What is timed."""
        raise TypeError(f"{type(self).__name__} is abstract")

    def states(self, output: Any) -> Tensor:
        """The hidden states that `run` returned, float32 (B, S, D) on the CPU."""
        return torch.as_tensor(np.array(output)).float()


class _Torch(Peer):
    """Abstract: a module that is given tensors."""

    on_gpu = True
    model: Any

    def inputs(self, work: Work) -> tuple[Tensor, Tensor]:
        ids, mask = work.padded(self.vocab_size)
        return ids.to(self.device), mask.to(self.device)

    def keep(self, model: Any, saved: Saved) -> None:
        self.model, self.vocab_size, self.device = model, saved.config.vocab_size, saved.device

    @torch.inference_mode()
    def run(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        return self.model(inputs[0], attention_mask=inputs[1]).last_hidden_state

    def states(self, output: Tensor) -> Tensor:
        return output.float().cpu()


class Transformers(_Torch):
    """transformers' model.

    Args:
        attention: "eager" or "sdpa".
        dtype: Of the whole model, weights and sums between the products.
        compiled: By torch.compile, anew for each shape; needs a C++ compiler.
    """

    needs = ("transformers",)

    def __init__(
        self, attention: str = "sdpa", dtype: str = "float32", compiled: bool = False
    ) -> None:
        self.attention, self.dtype, self.compiled = attention, dtype, compiled
        words = ["transformers", attention, *(["compiled"] if compiled else []), dtype]
        self.name = " ".join(words)

    def missing(self, device: str) -> str | None:
        """As of every peer; or there is no compiler."""
        return (self.compiled and _no_compiler()) or super().missing(device)

    def load(self, saved: Saved) -> None:
        """Load, and compile if asked to."""
        model = saved.torch_model(self.attention, self.dtype)
        self.keep(torch.compile(model, dynamic=False) if self.compiled else model, saved)


class Minidistil(_Torch):
    """This library's model.

    Args:
        dtype: "float32", "bfloat16" or "int8" is the fast path in that precision.
        way: "fast", or the modules that are there to be read, with sdpa, in float32: as they are
            ("modules"), or by torch.compile, anew for each shape, the weights laid out in the
            compiled code ("compiled"; needs a C++ compiler).
    """

    def __init__(self, dtype: str = "float32", way: str = "fast") -> None:
        self.dtype, self.way = dtype, way
        self.on_gpu = dtype != "int8"
        self.name = f"minidistil {dtype}" if way == "fast" else f"minidistil {way} float32"

    def missing(self, device: str) -> str | None:
        """As of every peer; or there is no compiler."""
        return (self.way == "compiled" and _no_compiler()) or super().missing(device)

    def load(self, saved: Saved) -> None:
        """Load, and lay the weights out."""
        model = DistilBertModel.from_pretrained(saved.folder).to(saved.device).eval()
        if self.way == "fast":
            model = model.for_inference(self.dtype, keep=False)
        elif self.way == "compiled":
            # What TORCHINDUCTOR_FREEZING=1 sets; in the options of torch.compile it does nothing.
            inductor: Any = import_module("torch._inductor.config")
            inductor.freezing = True
            model = torch.compile(model, dynamic=False)
        self.keep(model, saved)

    @torch.no_grad()
    def run(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """The hidden states; not in inference mode, where torch.compile leaves weights unfrozen."""
        return self.model(inputs[0], attention_mask=inputs[1]).last_hidden_state


def _no_compiler() -> str | None:
    found = shutil.which("g++") or shutil.which("c++")
    return None if found else "absent: a C++ compiler"
