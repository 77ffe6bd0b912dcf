"""Atomic writing: all or nothing, at every moment of failure."""

import os
import stat
import subprocess
import sys

import pytest

from minidistil.checkpoints.files import SCRATCH, read_json, staged, write_json


def test_files_appear_together(tmp_path):
    folder = tmp_path / "new" / "folder"
    with staged(folder) as scratch:
        (scratch / "a").write_text("1")
        (scratch / "b").write_text("2")
        assert [p.name for p in folder.iterdir() if p != scratch] == []
    assert {p.name: p.read_text() for p in folder.iterdir()} == {"a": "1", "b": "2"}


def test_other_files_stay(tmp_path):
    (tmp_path / "kept").write_text("old")
    with staged(tmp_path) as scratch:
        (scratch / "new").write_text("new")
    assert {p.name for p in tmp_path.iterdir()} == {"kept", "new"}


def test_a_failure_leaves_the_old_files_whole(tmp_path):
    (tmp_path / "a").write_text("old")

    def fail():
        with staged(tmp_path) as scratch:
            (scratch / "a").write_text("half")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a": "old"}


def test_a_killed_process_leaves_the_old_files_whole(tmp_path):
    """SIGKILL in the middle of writing: no clean-up runs, and the old file is still the old one."""
    (tmp_path / "a").write_text("old")
    script = (
        "import os, sys; from minidistil.checkpoints.files import staged\n"
        f"with staged({str(tmp_path)!r}) as scratch:\n"
        "    (scratch / 'a').write_text('half'); os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -9
    assert (tmp_path / "a").read_text() == "old"
    # What it has left is removed by a later call, when it is too old to be one just made.
    (left,) = tmp_path.glob(f"{SCRATCH}*")
    with staged(tmp_path):
        assert left.exists()
    make_old(left)
    with staged(tmp_path):
        assert not left.exists()


def make_old(folder):
    os.utime(folder, (0, 0))


@pytest.mark.parametrize("where", ["this process", "another process"])
def test_the_scratch_folder_of_the_living_is_left_alone(where, tmp_path):
    if where == "this process":
        with staged(tmp_path) as scratch:
            (scratch / "a").write_text("new")
            make_old(scratch)
            with staged(tmp_path):
                pass
    else:
        script = (
            "import sys; from minidistil.checkpoints.files import staged\n"
            f"with staged({str(tmp_path)!r}) as scratch:\n"
            "    (scratch / 'a').write_text('new'); print(scratch, flush=True); input()\n"
        )
        command = [sys.executable, "-c", script]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **pipes) as process:
            make_old(process.stdout.readline().strip())
            with staged(tmp_path):
                pass
            process.communicate("\n")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "new")]


def test_without_locks_nothing_is_removed(tmp_path, monkeypatch):
    """Some network file systems have none: what looks abandoned may be alive elsewhere."""

    def refuse(*_):
        raise OSError("no locks available")

    (tmp_path / f"{SCRATCH}old").mkdir()
    make_old(tmp_path / f"{SCRATCH}old")
    monkeypatch.setattr("fcntl.flock", refuse)
    with staged(tmp_path) as scratch:
        (scratch / "a").write_text("new")
    assert {p.name for p in tmp_path.iterdir()} == {"a", f"{SCRATCH}old"}


def test_permissions_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        with staged(tmp_path) as scratch:
            (scratch / "a").write_text("x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"), staged(tmp_path / "file"):
        pass


def test_json(tmp_path):
    write_json(tmp_path / "x.json", {"b": "ü", "a": [1]})
    assert (tmp_path / "x.json").read_text(encoding="utf-8").endswith("}\n")
    assert read_json(tmp_path / "x.json") == {"a": [1], "b": "ü"}


def test_what_is_no_file_is_left_alone(tmp_path):
    os.mkfifo(tmp_path / "b")

    def save():
        with staged(tmp_path) as scratch:
            (scratch / "a").write_text("new")
            (scratch / "b").write_text("new")

    (tmp_path / "a").write_text("old")
    with pytest.raises(OSError, match="b is not a regular file"):
        save()
    assert stat.S_ISFIFO((tmp_path / "b").stat().st_mode)
    assert (tmp_path / "a").read_text() == "old"


def test_a_link_is_replaced_and_its_target_kept(tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "a").symlink_to("target")
    with staged(tmp_path) as scratch:
        (scratch / "a").write_text("new")
    assert (tmp_path / "a").read_text() == "new" and (tmp_path / "target").read_text() == "old"


def test_json_too_deep(tmp_path):
    (tmp_path / "x.json").write_text('{"a":' + "[" * 100_000)
    with pytest.raises(ValueError, match=r"x\.json is not valid JSON"):
        read_json(tmp_path / "x.json")


def test_no_folder():
    with (
        pytest.raises(ValueError, match=r"'' is no folder to write into; .* pass '\.'"),
        staged(""),
    ):
        pass


@pytest.mark.parametrize("name", ["link", "link/below"])
def test_a_link_to_nowhere(name, tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    message = r"link is a link to a folder that is not there: make that folder or remove the link"
    with pytest.raises(FileNotFoundError, match=message), staged(tmp_path / name):
        pass
    (tmp_path / "nowhere").mkdir()
    with staged(tmp_path / name) as scratch:
        (scratch / "a").write_text("x")
    assert (tmp_path / "nowhere").joinpath(*name.split("/")[1:], "a").read_text() == "x"
