"""Each peer in a process of its own, which works when it is its turn and sleeps when it is not.

    peer --new process--> rehearsal, load --Worker.begin--> states --Worker.turn--> seconds

Two engines in one process are no strangers. Each brings a library of threads, and the threads of
one wait where those of the other work: with CTranslate2 loaded, PyTorch's products took 1.9 times
as long, though CTranslate2 did nothing.

Memory is counted above what the process holds after its engine has loaded and answered something
tiny. Imports alone are no fair baseline: some packages import most of themselves when first used.

Not here: whose turn it is (`timing.py`), and what comes of it (`comparison.py`).
"""

import multiprocessing
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minidistil.benchmark.memory import baseline, resident
from minidistil.benchmark.peers import Peer
from minidistil.benchmark.saved import Saved
from minidistil.benchmark.timing import turn
from minidistil.benchmark.work import Work

REHEARSAL = Work("rehearsal", (5, 9))


class Worker:
    """A peer in its own process, from its creation until `stop`.

    Args:
        peer: Is pickled; what it loads, it loads there.
        saved: The model, with all files that the peer reads.
        tiny: Likewise, of a model to rehearse with.

    Raises:
        RuntimeError: The peer failed, here or in a later call; with its reason.
    """

    def __init__(self, peer: Peer, saved: Saved, tiny: Saved) -> None:
        # A new interpreter: a fork would have the threads of this one, but not running.
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        given = (other, peer, saved, tiny)
        self._process = context.Process(target=_serve, args=given, daemon=True)
        self._process.start()
        self._name = peer.name
        other.close()
        self._answer()

    def begin(self, work: Work) -> Tensor:
        """Take a batch as that of the turns to come; the hidden states of it, (B, S, D)."""
        return torch.from_numpy(self._ask(work))

    def turn(self) -> float:
        """Seconds of a call, after one that is not timed."""
        return self._ask("turn")

    def memory(self) -> float | None:
        """Bytes at most so far above the rehearsal: weights and work. None where none are read."""
        return self._ask("memory")

    def stop(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()

    def _ask(self, request: Work | str) -> Any:
        self._pipe.send(request)
        return self._answer()

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            answer = RuntimeError(f"its process ended with {self._process.exitcode}")
        if isinstance(answer, Exception):
            raise RuntimeError(f"{self._name}: {answer}")
        return answer


def _serve(pipe: Connection, peer: Peer, saved: Saved, tiny: Saved) -> None:
    """What the process does: answer, until nobody asks any more or something fails."""
    try:
        torch.set_num_threads(saved.threads)
        peer.load(tiny)
        peer.states(peer.run(peer.inputs(REHEARSAL)))
        before = baseline()
        peer.load(saved)
        pipe.send(None)
        run: Any = None
        while True:
            request = pipe.recv()
            if isinstance(request, Work):
                run = partial(peer.run, peer.inputs(request))
                pipe.send(np.ascontiguousarray(peer.states(run()).numpy()))
            elif request == "turn":
                pipe.send(turn(run, saved.device))
            else:
                known = before and saved.device == "cpu"
                pipe.send(resident(peak=True) - before if known else None)
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        # Whatever an engine throws is its answer: the others go on.
        pipe.send(RuntimeError(f"{type(error).__name__}: {error}".splitlines()[0]))
