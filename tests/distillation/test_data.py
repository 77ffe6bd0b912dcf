"""Token files: what goes in comes out, damage is found, half-written work never passes."""

import json

import numpy as np
import pytest

from minidistil.distillation.data import TokenFile, TokenWriter, _write

JOB = {"vocab_size": 300, "dtype": "uint16", "source": "a book"}
SEQUENCES = [[1, 2, 299], [5], [7, 7, 7, 7]]


def write(folder, sequences=SEQUENCES, job=JOB, **state):
    with TokenWriter(folder, job) as writer:
        append(writer, sequences)
        return writer.finish(state, {"dropped": 3})


def append(writer, sequences):
    writer.append(np.concatenate(sequences), np.array([*map(len, sequences)]))


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(("dtype", "vocab_size"), [("uint16", 300), ("int32", 70_000)])
def test_what_goes_in_comes_out(tmp_path, dtype, vocab_size):
    data = write(tmp_path / "new" / "folder", job={"vocab_size": vocab_size, "dtype": dtype})
    assert [row.tolist() for row in data] == SEQUENCES
    assert data[0].dtype == dtype and len(data) == 3
    assert data.lengths.tolist() == [3, 1, 4] and data.lengths.dtype == np.int32
    assert (
        data.counts.tolist()
        == np.bincount([1, 2, 299, 5, 7, 7, 7, 7], minlength=vocab_size).tolist()
    )
    assert data.counts.dtype == np.int64
    assert data.meta["tokens"] == 8 and data.meta["sequences"] == 3 and data.meta["dropped"] == 3
    assert {path.name for path in data.folder.iterdir()} == {
        "tokens.bin", "offsets.npy", "counts.npy", "meta.json"
    }  # fmt: skip
    # The files are what numpy reads without us.
    assert np.load(data.folder / "offsets.npy").tolist() == [0, 3, 4, 8]
    assert np.fromfile(data.folder / "tokens.bin", dtype).tolist() == [1, 2, 299, 5, 7, 7, 7, 7]


@pytest.mark.parametrize("index", [3, -1, 10**9])
def test_no_such_sequence(tmp_path, index):
    with pytest.raises(IndexError, match=rf"has sequences 0 to 2, not {index}"):
        write(tmp_path / "a")[index]


def test_work_goes_on_from_the_last_save(tmp_path):
    whole = write(tmp_path / "whole", place=2)
    with TokenWriter(tmp_path / "parts", JOB) as writer:
        assert writer.state == {}
        append(writer, SEQUENCES[:2])
        writer.save({"place": 1})
        append(writer, [[9] * 100])  # written, and never saved
    with pytest.raises(FileNotFoundError, match="parts has no meta.json, so it is no finished"):
        TokenFile(tmp_path / "parts")
    with TokenWriter(tmp_path / "parts", JOB) as writer:
        assert (writer.state, writer.sequences, writer.tokens) == ({"place": 1}, 2, 4)
        append(writer, SEQUENCES[2:])
        writer.finish({"place": 2}, {"dropped": 3})
    assert files_of(tmp_path / "parts") == files_of(whole.folder)


def test_another_job_is_refused(tmp_path):
    with TokenWriter(tmp_path / "a", JOB) as writer:
        append(writer, SEQUENCES)
        writer.save({})
    before = files_of(tmp_path / "a")
    message = r"a was started with source 'a book', which is now 'no book': choose another folder"
    with pytest.raises(ValueError, match=message):
        TokenWriter(tmp_path / "a", {**JOB, "source": "no book"})
    assert files_of(tmp_path / "a") == before


@pytest.mark.parametrize("name", ["letter.txt", "tokens.bin", "meta.json"])
def test_a_folder_of_something_else_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(ValueError, match=rf"is not empty \({name}\): choose another folder"):
        TokenWriter(tmp_path, JOB)
    assert files_of(tmp_path) == {name: b"{}"}


def test_the_progress_of_something_else(tmp_path):
    (tmp_path / "progress.json").write_text('{"percent": 3}')
    with pytest.raises(ValueError, match="was started with format None"):
        TokenWriter(tmp_path, JOB)
    assert [*files_of(tmp_path)] == ["progress.json"]


def test_a_kill_before_anything_was_claimed(tmp_path):
    (tmp_path / "progress.json.new").write_text('{"jo')
    assert len(write(tmp_path)) == 3
    assert "progress.json.new" not in files_of(tmp_path)


def test_a_second_writer_stops_the_first(tmp_path):
    with TokenWriter(tmp_path, JOB) as first:
        append(first, SEQUENCES[:1])
        first.save({})
        with TokenWriter(tmp_path, JOB) as second:
            append(second, SEQUENCES[1:])
            append(first, SEQUENCES[1:])
            message = "another process writes into .*: this one stops"
            with pytest.raises(ValueError, match=message):
                first.finish({}, {})
            data = second.finish({}, {})
        with pytest.raises(ValueError, match=message):
            first.save({})
    assert [row.tolist() for row in data] == SEQUENCES


def test_saved_work_that_is_gone(tmp_path):
    with TokenWriter(tmp_path, JOB) as writer:
        append(writer, SEQUENCES)
        writer.save({})
    (tmp_path / "tokens.bin").write_bytes(b"12")
    with pytest.raises(ValueError, match=r"tokens\.bin is shorter than the 16 bytes"):
        TokenWriter(tmp_path, JOB)


def replaced(name, old, new):
    def damage(folder):
        path = folder / name
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new, 1))

    return damage


def edited(**values):
    def damage(folder):
        path = folder / "meta.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return damage


STEPS = np.array([3, 4], "<i8").tobytes()
IDS = np.array([2, 299], "<u2").tobytes()
DAMAGE = {
    "cut": (lambda folder: (folder / "tokens.bin").write_bytes(b"123"), "tokens.bin has 3 bytes"),
    "no ids": (lambda folder: (folder / "tokens.bin").unlink(), "tokens.bin"),
    "no offsets": (lambda folder: (folder / "offsets.npy").unlink(), "offsets.npy"),
    "empty counts": (lambda folder: (folder / "counts.npy").write_bytes(b""), "No data left"),
    "id": (
        replaced("tokens.bin", IDS, np.array([2, 300], "<u2").tobytes()),
        "tokens.bin holds the id 300 of 300 tokens",
    ),
    "one bit": (
        replaced("tokens.bin", IDS, np.array([3, 299], "<u2").tobytes()),
        "counts.npy does not count",
    ),
    "falling": (
        replaced("offsets.npy", STEPS, np.array([3, 3], "<i8").tobytes()),
        "offsets.npy does not rise from 0 to 8 in 3 steps",
    ),
    "a length of 2**32 - 2 too little": (
        replaced("offsets.npy", STEPS, np.array([3, 5 - 2**32], "<i8").tobytes()),
        "offsets.npy does not rise",
    ),
    "sequences": (edited(sequences=4), "offsets.npy does not rise from 0 to 8 in 4 steps"),
    "tokens": (edited(tokens=7), "tokens.bin has 16 bytes for 7 tokens of uint16"),
    "dtype": (edited(dtype="int32"), "tokens.bin has 16 bytes for 8 tokens of int32"),
    "no dtype": (edited(dtype="letters"), "letters"),
    "vocabulary": (edited(vocab_size=299), "tokens.bin holds the id 299 of 299 tokens"),
    "no number": (edited(tokens="many"), "16 bytes for many tokens"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found(tmp_path, kind):
    damage, message = DAMAGE[kind]
    write(tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=f"is damaged: .*{message}.*prepare it again"):
        TokenFile(tmp_path)


def test_damaged_meta(tmp_path):
    write(tmp_path)
    edited(format="other")(tmp_path)
    with pytest.raises(ValueError, match=r"meta\.json does not say 'minidistil tokens 1'"):
        TokenFile(tmp_path)
    (tmp_path / "meta.json").write_text('{"format"')
    with pytest.raises(ValueError, match=r"meta\.json is not valid JSON"):
        TokenFile(tmp_path)


def test_a_write_may_take_less_than_it_is_given():
    written = []

    class Slow:
        def write(self, data):
            written.append(bytes(data[:3]))
            return len(data[:3])

    _write(Slow(), b"12345678")
    assert written == [b"123", b"456", b"78"]


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="none has no meta.json"):
        TokenFile(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="file"):
        TokenWriter(tmp_path / "file", JOB)
