"""Run the command line in this process, as a shell would."""

import io
import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from minidistil.cli import main


@dataclass
class Run:
    """What a command did: its exit code, its output, its messages."""

    code: object
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


class Terminal(io.TextIOWrapper):
    """Standard input where somebody types."""

    def isatty(self) -> bool:
        return True


class Shell:
    """Calls `main` with arguments and bytes on standard input."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def __call__(self, *arguments: object, stdin: str | bytes = b"", terminal: bool = False) -> Run:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        kind = Terminal if terminal else io.TextIOWrapper
        self.monkeypatch.setattr(sys, "stdin", kind(io.BytesIO(data)))
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        captured = self.capsys.readouterr()
        return Run(exit_.value.code, captured.out, captured.err)
