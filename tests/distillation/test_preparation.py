"""Preparation: the library's ids, the recipe's rules, the same bytes whatever interrupts it."""

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import AddedToken

from minidistil.distillation import preparation
from minidistil.distillation.data import TokenFile
from minidistil.distillation.preparation import Encoder, prepare
from minidistil.tokenization import DistilBertTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "king", "love", "##ly", "##ing", "東", "京", "é"]
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?!'-"
VOCAB = [*SPECIAL, *WORDS, *CHARACTERS, *(f"##{c}" for c in CHARACTERS)]
TOKENIZER = DistilBertTokenizer({token: index for index, token in enumerate(VOCAB)})
UNK, CLS, SEP = (VOCAB.index(token) for token in ("[UNK]", "[CLS]", "[SEP]"))
ALL = {"max_length": 10_000, "min_tokens": 3, "max_unknown": 1.0}


def rows(data):
    return [row.tolist() for row in data]


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def text_file(tmp_path, lines, name="text.txt"):
    path = tmp_path / name
    path.write_bytes("\n".join(lines).encode())
    return path


def corpus(count, seed=0):
    """Lines of 0 to 60 words: some too short, some to be cut, some unknown."""
    draw = random.Random(seed)
    words = ["The", "King", "loves", "lovely", "songs", "東京", "ü", "(1843)", "Páris", "\t", "☃"]
    lines = [" ".join(draw.choices(words, k=draw.randrange(60))) for _ in range(count)]
    lines[5::10] = [" ".join(draw.choices("☃a", k=20)) for _ in lines[5::10]]
    return lines


def by_the_recipe(lines, tokenizer, max_length=512):
    """The original's steps, one sequence at a time: binarized_data.py and lm_seqs_dataset.py."""
    backend = tokenizer.private_backend()
    kept = []
    for line in lines:
        ids = backend.encode(f"[CLS] {line.strip()} [SEP]", add_special_tokens=False).ids
        pieces = [ids]
        if len(ids) > max_length:
            step = max_length - 2
            pieces = [ids[start : start + step] for start in range(0, len(ids), step)]
            pieces = [p if p[0] == CLS else [CLS, *p] for p in pieces]
            pieces = [p if p[-1] == SEP else [*p, SEP] for p in pieces]
        pieces = [piece for piece in pieces if len(piece) > 11]
        kept += [piece for piece in pieces if piece.count(UNK) / len(piece) < 0.5]
    return kept


def test_the_worked_example(tmp_path):
    """[CLS] the king love ##ly . [SEP] are seven tokens, and max_length 6 cuts them into 4 and 3.

    The first piece has its [CLS] and lacks [SEP], the second has [SEP] and lacks [CLS].
    """
    file = text_file(tmp_path, ["The king lovely.", "a"])
    data = prepare(file, TOKENIZER, tmp_path / "out", max_length=6, min_tokens=4)
    words = [[VOCAB[index] for index in row] for row in data]
    assert words == [["[CLS]", "the", "king", "love", "[SEP]"], ["[CLS]", "##ly", ".", "[SEP]"]]
    assert data.meta["dropped_short"] == 1 and data.meta["dropped_unknown"] == 0
    assert data.meta["special_ids"] == {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    assert data.meta["vocab_size"] == len(VOCAB) and data.meta["dtype"] == "uint16"


@pytest.mark.parametrize("max_length", [12, 13, 16, 40, 512])
def test_the_rules_are_the_recipes(tmp_path, max_length):
    lines = corpus(300)
    data = prepare(text_file(tmp_path, lines), TOKENIZER, tmp_path / "out", max_length=max_length)
    expected = by_the_recipe(lines, TOKENIZER, max_length)
    assert rows(data) == expected and len(expected) > 100
    assert data.meta["dropped_short"] > 10 and data.meta["dropped_unknown"] > 3
    assert (
        data.counts.tolist() == np.bincount(np.concatenate(expected), minlength=len(VOCAB)).tolist()
    )


def test_half_unknown_is_dropped(tmp_path):
    lines = [" ".join(["☃"] * n + ["a"] * (12 - n)) for n in (6, 7, 8)]  # of 14 tokens
    lines.append("☃ ☃ ☃")  # short, so it does not count as unknown too
    data = prepare(text_file(tmp_path, lines), TOKENIZER, tmp_path / "out")
    assert [row.count(UNK) for row in rows(data)] == [6]
    assert data.meta["dropped_unknown"] == 2 and data.meta["dropped_short"] == 1


words = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from([*SPECIAL, *WORDS, "[MASK]x"]),
        st.sampled_from(["É", "e\u0301", "\u0301", "İ", "ß", "Σ", "ﬁ"]),
        st.sampled_from(["\t", "\x1c", "\x85", "\u2028", "\u00a0", "\u3000", "\u200d", "\ufeff"]),
    ),
    max_size=8,
)  # fmt: skip
joined = st.builds(str.join, st.sampled_from([" ", "", "  ", "\n"]), words)


@given(
    st.lists(joined, min_size=1, max_size=4), st.booleans(), st.sampled_from([None, True, False])
)
@example(["a\u0301 \u0301b", "東 京東京", "[MASK] [MASK]a"], False, False)
def test_word_by_word_is_what_the_library_makes_of_a_text(texts, lower, strip_accents):
    vocab = {token: index for index, token in enumerate(VOCAB)}
    tokenizer = DistilBertTokenizer(vocab, do_lower_case=lower, strip_accents=strip_accents)
    tokenizer.add_tokens([AddedToken("[MASK]x", single_word=True), AddedToken("lo", lstrip=True)])
    check_against_the_library(tokenizer, texts)


@given(st.lists(joined, min_size=1, max_size=4))
@example(["the king loves the king", "new\tking"])
def test_added_tokens_with_spaces(texts):
    tokenizer = DistilBertTokenizer({token: index for index, token in enumerate(VOCAB)})
    tokenizer.add_tokens(["the king", AddedToken("New King", special=True), "\tk"])
    check_against_the_library(tokenizer, texts)


def check_against_the_library(tokenizer, texts):
    ids, lengths, short, unknown = Encoder(tokenizer, **ALL)(texts)
    got = [row.tolist() for row in np.split(ids, np.cumsum(lengths)[:-1])] if len(lengths) else []
    expected = [e.ids for e in tokenizer.private_backend().encode_batch(texts)]
    assert got == [row for row in expected if len(row) >= 3]
    assert short == sum(len(row) < 3 for row in expected) and unknown == 0


def test_a_large_vocabulary_takes_32_bits(tmp_path):
    vocab = {token: index for index, token in enumerate(VOCAB)} | {"far": 70_000}
    data = prepare(text_file(tmp_path, ["far " * 12]), DistilBertTokenizer(vocab), tmp_path / "out")
    assert rows(data) == [[CLS, *[70_000] * 12, SEP]]
    assert data.meta["dtype"] == "int32" and data.meta["vocab_size"] == 70_001


@pytest.mark.parametrize(("block", "known"), [(1, 1 << 22), (300, 1), (5000, 40), (10**6, 0)])
def test_blocks_and_what_is_known_leave_no_trace(tmp_path, monkeypatch, block, known):
    file = text_file(tmp_path, corpus(200))
    whole = prepare(file, TOKENIZER, tmp_path / "whole")
    monkeypatch.setattr(preparation, "BLOCK", block)
    monkeypatch.setattr(preparation, "KNOWN", known)
    prepare(file, TOKENIZER, tmp_path / "other")
    assert files_of(tmp_path / "other") == files_of(whole.folder)


def test_what_is_known_is_bounded(monkeypatch):
    monkeypatch.setattr(preparation, "KNOWN", 1000)
    encoder = Encoder(TOKENIZER, **ALL)
    for start in range(0, 20_000, 100):
        encoder([" ".join(map(str, range(start, start + 100)))])
        assert len(encoder._known) < 1000


def test_json_lines_are_the_texts(tmp_path):
    lines = corpus(50)
    objects = [json.dumps({"id": n, "text": line}) for n, line in enumerate(lines)]
    objects.insert(7, "")  # an empty line is no text
    text = prepare(text_file(tmp_path, lines), TOKENIZER, tmp_path / "a")
    as_json = prepare(text_file(tmp_path, objects, "x.jsonl"), TOKENIZER, tmp_path / "b")
    assert rows(text) == rows(as_json)


def test_files_follow_one_another(tmp_path):
    lines = corpus(60)
    files = [text_file(tmp_path, lines[i : i + 20], f"{i}.txt") for i in (0, 20, 40)]
    parts = prepare(iter(files), TOKENIZER, tmp_path / "parts")
    whole = prepare(str(text_file(tmp_path, lines)), TOKENIZER, tmp_path / "whole")
    assert rows(parts) == rows(whole)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_line_endings_and_byte_order_marks(tmp_path, ending, start, name):
    line = json.dumps({"text": "king " * 12}) if name.endswith("l") else "king " * 12
    path = tmp_path / name
    path.write_bytes((start + line + ending + line + ending).encode())
    assert rows(prepare(path, TOKENIZER, tmp_path / "out")) == [[CLS, *[6] * 12, SEP]] * 2


GOOD = b"the king loves the king's lovely song a b c d\n"
BAD = {
    "utf-8": ("a.txt", GOOD * 2 + b"the k\xffng\n",
              r"a\.txt:3: .*byte 0xff in position 5.*errors='replace'"),
    "first line": ("a.txt", b"\xef\xbb\xbf\xff\n", r"a\.txt:1: .*0xff"),
    "compressed": ("a.txt", b"\x1f\x8b\x08\x00", r"a\.txt:1: .*0x8b"),
    "no json": ("a.jsonl", b'{"text": "a"}\nking\n', r"a\.jsonl:2: Expecting value"),
    "no text": ("a.jsonl", b'{"body": "king"}\n', r'a\.jsonl:1: an object with a string "text" is '
                r'needed, not \{"body": "king"\}'),
    "no string": ("a.jsonl", b'{"text": ["king"]}\n', r"a\.jsonl:1: an object with a string"),
    "no object": ("a.jsonl", b'["king"]', r"a\.jsonl:1: an object with a string"),
    "half a pair": ("a.jsonl", b'{"text": "\\ud800"}', r"a\.jsonl:1: an object with a string"),
    "deep": ("a.jsonl", b"[" * 100_000, r"a\.jsonl:1: .*recursion"),
    "empty": ("a.txt", b"", r"a\.txt is empty"),
    "nothing left": ("a.txt", b"the king\n\n",
                     r"no sequence is left in .*out: {'dropped_short': 2"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(tmp_path, kind):
    name, content, message = BAD[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path / name, TOKENIZER, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no finished token file"):
        TokenFile(tmp_path / "out")


def test_the_line_of_an_error_in_a_later_block_of_a_later_file(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "BLOCK", 100)
    (tmp_path / "a.txt").write_bytes(GOOD * 5)
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbf" + GOOD * 10 + b"\xff\n" + GOOD)
    with pytest.raises(ValueError, match=r"b\.txt:11: .*0xff"):
        prepare([tmp_path / "a.txt", tmp_path / "b.txt"], TOKENIZER, tmp_path / "out")


def test_bad_bytes_replaced(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"king " * 12 + b"\xff\n")
    data = prepare(tmp_path / "a.txt", TOKENIZER, tmp_path / "out", errors="replace")
    assert rows(data) == [[CLS, *[6] * 12, UNK, SEP]] or rows(data) == [[CLS, *[6] * 12, SEP]]


def test_wrong_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        prepare(tmp_path / "none", TOKENIZER, tmp_path / "out")
    with pytest.raises(ValueError, match="is no regular file"):
        prepare(tmp_path, TOKENIZER, tmp_path / "out")
    with pytest.raises(ValueError, match="give a file"):
        prepare([], TOKENIZER, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"errors": "ignore"}, "errors='ignore' is neither 'strict' nor 'replace'"),
        ({"max_unknown": 0}, "max_unknown=0 is no share"),
        ({"max_unknown": 50}, "max_unknown=50 is no share"),
        ({"min_tokens": 2}, "min_tokens=2 is no whole number from 3 up"),
        ({"max_length": 11}, "max_length=11 is no whole number from 12 up"),
        ({"max_length": 64.0}, "max_length=64.0 is no whole number"),
    ],
)
def test_what_can_not_be(tmp_path, settings, message):
    file = text_file(tmp_path, corpus(30))
    with pytest.raises(ValueError, match=message):
        prepare(file, TOKENIZER, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_a_finished_folder_is_returned(tmp_path):
    file = text_file(tmp_path, corpus(30))
    data = prepare(file, TOKENIZER, tmp_path / "out")
    times = {path.name: path.stat().st_mtime_ns for path in data.folder.iterdir()}
    (data.folder / "progress.json").write_text("{}")  # a kill in the last instant leaves it
    assert rows(prepare(file, TOKENIZER, tmp_path / "out")) == rows(data)
    assert {path.name: path.stat().st_mtime_ns for path in data.folder.iterdir()} == times


def other_tokenizer():
    return DistilBertTokenizer({token: n for n, token in enumerate(VOCAB)}, do_lower_case=False)


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("change", ["settings", "tokenizer", "file", "touched", "more", "fewer"])
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
        message = r"started with file 1 '1.txt, \d+ bytes, modified \d+', which is now '1.txt, "
    elif change == "touched":
        os.utime(files[1], ns=(0, 0))
        message = r"which is now '2.txt, \d+ bytes, modified 0'"
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
    with pytest.raises(ValueError, match=r"text\.txt was started with file 1"):
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
