"""The log: means of some steps a line, lines of a future that did not happen dropped."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from minidistil.training.log import RunLog, read_log


def test_worked_example(tmp_path):
    """Losses 1, 2, 3, 4 with two steps a line: means 1.5 and 3.5."""
    log = RunLog(tmp_path, steps=4, done=0, every=2)
    for step in range(1, 5):
        log.add(step, {"loss": float(step), "tokens": 10.0})
    log.close()
    lines = read_log(tmp_path / "log.jsonl")
    assert [(line["step"], line["loss"], line["tokens"]) for line in lines] == [
        (2, 1.5, 10.0), (4, 3.5, 10.0),
    ]  # fmt: skip
    assert all(line["tokens_per_second"] > 0 for line in lines)


def test_a_checkpoint_has_a_line(tmp_path):
    """So the means after it are over the same steps, whether the run was resumed there or not."""
    log = RunLog(tmp_path, steps=4, done=0, every=2)
    for step in range(1, 4):
        log.add(step, {"loss": float(step), "tokens": 1.0})
    log.write(3)
    log.write(3)  # nothing since: no line
    log.close()
    lines = read_log(tmp_path / "log.jsonl")
    assert [(line["step"], line["loss"]) for line in lines] == [(2, 1.5), (3, 3.0)]


def test_what_is_no_log_is_refused_and_stays(tmp_path):
    path = tmp_path / "log.jsonl"
    for text, reason in (('{"a": 1}\n', "has no step"), ("[1]\n", "no JSON object")):
        path.write_text(text)
        with pytest.raises(ValueError, match=f"is not a log of a training run: .*{reason}"):
            RunLog(tmp_path, steps=8, done=4, every=2)
        assert path.read_text() == text


def test_resuming_drops_what_the_checkpoint_does_not_know(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"step": n}) + "\n" for n in (2, 4, 6)) + '{"step": 8')
    RunLog(tmp_path, steps=8, done=4, every=2).close()
    assert [line["step"] for line in read_log(path)] == [2, 4]


def test_errors(tmp_path):
    assert read_log(tmp_path / "none.jsonl") == []
    (tmp_path / "log.jsonl").write_text("{}\nno json\n{}\n")
    with pytest.raises(ValueError, match=r"log.jsonl is not a log of a training run"):
        read_log(tmp_path / "log.jsonl")


def test_tensorboard_does_not_bring_tensorflow_along(tmp_path):
    """TensorFlow before Triton ends the process; who logs must not have to know."""
    for package in ("tensorboard", "tensorflow"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed: nothing can bring it along")
    program = (
        "import sys; from pathlib import Path; from minidistil.training.log import RunLog\n"
        "log = RunLog(Path(sys.argv[1]), 1, 0, 1, tensorboard=True)\n"
        "log.add(1, {'loss': 1.0}); log.close()\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == 0 and [*(tmp_path / "tensorboard").iterdir()]
