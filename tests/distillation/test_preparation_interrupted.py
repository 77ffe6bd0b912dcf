"""Preparation that is stopped and started again: the same bytes, or a refusal; never a mixture."""

import os
import subprocess
import sys

import pytest

from minidistil.distillation import preparation
from minidistil.distillation.preparation import Encoder, prepare
from minidistil.tokenization import DistilBertTokenizer
from tests.distillation.preparing import TOKENIZER, VOCAB, corpus, files_of, rows, text_file


def test_a_finished_folder_is_returned(tmp_path):
    file = text_file(tmp_path, corpus(30))
    data = prepare(file, TOKENIZER, tmp_path / "out")
    times = {path.name: path.stat().st_mtime_ns for path in data.folder.iterdir()}
    (data.folder / "progress.json").write_text("{}")  # a kill in the last instant leaves it
    assert rows(prepare(file, TOKENIZER, tmp_path / "out")) == rows(data)
    assert {path.name: path.stat().st_mtime_ns for path in data.folder.iterdir()} == times


def test_a_copy_is_the_same_file(tmp_path):
    file = text_file(tmp_path, corpus(30))
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / file.name
    copy.write_bytes(file.read_bytes())
    os.utime(copy, ns=(0, 0))
    data = prepare(file, TOKENIZER, tmp_path / "out")
    before = files_of(tmp_path / "out")
    assert rows(prepare(copy, TOKENIZER, tmp_path / "out")) == rows(data)
    prepare(copy, TOKENIZER, tmp_path / "again")
    assert files_of(tmp_path / "again") == files_of(tmp_path / "out") == before


def other_tokenizer():
    return DistilBertTokenizer({token: n for n, token in enumerate(VOCAB)}, do_lower_case=False)


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("change", ["settings", "tokenizer", "file", "byte", "more", "fewer"])
def test_other_arguments_are_refused(tmp_path, monkeypatch, finished, change):
    files = [text_file(tmp_path, corpus(30, seed), f"{seed}.txt") for seed in (1, 2)]
    if not finished:
        monkeypatch.setattr(preparation, "BLOCK", 1000)
        monkeypatch.setattr(preparation, "SAVED", 1)
        files[1].write_bytes(files[1].read_bytes() + b"\xff")
        with pytest.raises(ValueError, match="0xff"):
            prepare(files, TOKENIZER, tmp_path / "out")
    else:
        prepare(files, TOKENIZER, tmp_path / "out")
    before = files_of(tmp_path / "out")
    tokenizer, settings, message = TOKENIZER, {}, ""
    if change == "settings":
        settings, message = {"max_length": 64}, "max_length 512, which is now 64"
    elif change == "tokenizer":
        tokenizer, message = other_tokenizer(), "started with tokenizer '"
    elif change == "file":
        files[0].write_bytes(b"x" + files[0].read_bytes())
        message = r"started with file 1 '1.txt, \d+ bytes, SHA-256 \w+', which is now '1.txt, "
    elif change == "byte":  # of the same size and time
        stat, text = files[1].stat(), files[1].read_bytes()
        files[1].write_bytes(b"?" + text[1:])
        os.utime(files[1], ns=(stat.st_atime_ns, stat.st_mtime_ns))
        message = rf"which is now '2.txt, {len(text)} bytes, SHA-256 \w+'"
    elif change == "more":
        files, message = [*files, files[0]], "number of files 2, which is now 3"
    else:
        files, message = files[:1], "number of files 2, which is now 1"
    with pytest.raises(ValueError, match=message):
        prepare(files, tokenizer, tmp_path / "out", **settings)
    assert files_of(tmp_path / "out") == before


def test_a_file_that_changes_meanwhile(tmp_path, monkeypatch):
    file = text_file(tmp_path, corpus(30))
    monkeypatch.setattr(preparation, "BLOCK", 1000)
    encode = Encoder.__call__

    def slow(self, texts):
        file.write_bytes(file.read_bytes() + b"more")
        return encode(self, texts)

    monkeypatch.setattr(Encoder, "__call__", slow)
    with pytest.raises(ValueError, match=r"text\.txt changed while it was read"):
        prepare(file, TOKENIZER, tmp_path / "out")


def test_the_bar_counts_bytes_and_goes_on_where_the_work_does(tmp_path, monkeypatch):
    bars = []

    class Bar(preparation.tqdm):
        def __init__(self, **options):
            assert options.pop("disable") is None  # shown on a terminal
            super().__init__(**options, file=open(os.devnull, "w"))  # noqa: SIM115
            bars.append(self)

    monkeypatch.setattr(preparation, "tqdm", Bar)
    monkeypatch.setattr(preparation, "BLOCK", 1000)
    monkeypatch.setattr(preparation, "SAVED", 1)
    files = [text_file(tmp_path, corpus(30, seed), f"{seed}.txt") for seed in (1, 2)]
    encode, calls = Encoder.__call__, []

    def failing(self, texts):
        calls.append(texts)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return encode(self, texts)

    monkeypatch.setattr(Encoder, "__call__", failing)
    with pytest.raises(KeyboardInterrupt):
        prepare(files, TOKENIZER, tmp_path / "out")
    prepare(files, TOKENIZER, tmp_path / "out")
    size = sum(file.stat().st_size for file in files)
    assert bars[0].total == bars[1].total == bars[1].n == size
    assert 0 < bars[0].n == bars[1].initial < size
    assert len(calls) - 8 < 8  # the second run did not begin at the beginning


# Forks from a process that has imported everything and used nothing: a kill costs milliseconds.
# `die(n)` ends the child for good in its n-th step of input and output, half a write done.
CHILDREN = """
import os, random, signal, sys, time, warnings
from pathlib import Path
from minidistil.distillation import data, preparation
from minidistil.tokenization import DistilBertTokenizer

folder, text, vocab = map(Path, sys.argv[1:])
os.environ["TOKENIZERS_PARALLELISM"] = "false"
preparation.BLOCK, preparation.SAVED = int(os.environ["BLOCK"]), 2
tokenizer = DistilBertTokenizer(vocab)

def die(n):
    steps = iter(range(n))
    def before(function, half=False):
        def stepped(*arguments):
            if next(steps, None) is None:
                if half:
                    arguments[0].write(arguments[1][:len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)
        return stepped
    data._write = before(data._write, half=True)
    for name in ("replace", "fsync", "truncate", "unlink"):
        setattr(os, name, before(getattr(os, name)))

def child(name, n=None, seconds=None):
    pid = os.fork()
    if not pid:
        if n is not None:
            die(n)
        preparation.prepare([text], tokenizer, folder / name)
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def check(name):
    same = {p.name: p.read_bytes() for p in (folder / name).iterdir()} == whole
    assert same, name

start = time.perf_counter()
assert child("whole") == 0
lasts = time.perf_counter() - start
whole = {p.name: p.read_bytes() for p in (folder / "whole").iterdir()}
"""


def run_children(tmp_path, lines, block, script):
    file = text_file(tmp_path, lines)
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("\n".join(VOCAB), encoding="utf-8")
    (tmp_path / "out").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", CHILDREN + script, tmp_path / "out", file, vocab],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "BLOCK": str(block), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_killed_in_each_step(tmp_path):
    """SIGKILL in the n-th write, flush or rename, for every n; then started again."""
    script = """
for n in range(1000):
    code = child(f"{n}", n=n)
    if code == 0:
        break
    assert code == -signal.SIGKILL, code
    assert child(f"{n}") == 0
    check(f"{n}")
check(f"{n}")
# One folder, killed again and again, later each time.
for m in range(1000):
    if child("again", n=m) == 0:
        break
check("again")
print(n, m)
"""
    steps, tries = map(int, run_children(tmp_path, corpus(35), 2000, script))
    assert steps > 20 and tries > 5


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_killed_at_random_moments(tmp_path):
    """A larger corpus, killed by the clock at least 25 times, within one run and across many."""
    script = """
draw, kills = random.Random(0), 0
for n in range(1000):
    while (code := child(f"{n}", seconds=draw.uniform(0, lasts))) != 0:
        assert code == -signal.SIGKILL, code
        kills += 1
    check(f"{n}")
    if kills >= 25:
        break
print(kills)
"""
    kills = int(run_children(tmp_path, corpus(4000), 2000, script)[0])
    assert kills >= 25


def test_a_full_disk(tmp_path):
    """The system's limit on the size of a file stands for a full disk: both fail in a write."""
    script = """
import resource
pid = os.fork()
if not pid:
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
    try:
        preparation.prepare([text], tokenizer, folder / "full")
    except OSError as error:
        assert error.filename.endswith("tokens.bin"), error.filename
        assert "make room and start again" in str(error), error
        os._exit(7)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert not (folder / "full" / "meta.json").exists()
assert '"sequences": 0' not in (folder / "full" / "progress.json").read_text()
assert child("full") == 0  # room was made
check("full")
"""
    run_children(tmp_path, corpus(400), 2000, script)
