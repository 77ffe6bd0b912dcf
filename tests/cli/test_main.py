"""Help, exit codes, messages, Ctrl-C and closed pipes."""

import re
import shlex
import signal
import subprocess
import sys

import pytest

import minidistil
from minidistil.cli import cli

# A process started in the background inherits that SIGINT is ignored; a terminal's does not.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from minidistil.cli import main
main()
"""
COMMAND = [sys.executable, "-c", PROGRAM]


def test_help_and_version_do_not_import_torch():
    for argument in ("--help", "--version", "-h"):
        code = (
            "import atexit, sys; from minidistil.cli import main; "
            "atexit.register(lambda: print('torch' in sys.modules)); main()"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, argument], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "False"


def test_version(shell):
    assert shell("--version").out.strip() == f"minidistil, version {minidistil.__version__}"


@pytest.mark.parametrize("verb", sorted(cli.commands))
def test_every_verb_shows_an_example_that_is_well_formed(shell, verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").touch()  # the file that an example searches
    run = shell(verb, "--help")
    assert run.code == 0
    example = run.out.partition("Example")[2].replace("\\\n", " ")
    commands = [line for line in example.splitlines() if line.strip().startswith("minidistil ")]
    assert any(shlex.split(line)[1] == verb for line in commands)
    for line in commands:
        name, *arguments = shlex.split(line)[1:]
        with cli.commands[name].make_context(name, arguments):
            pass  # parsed without an error


def test_wrong_calls(shell):
    for arguments in (
        [],
        ["frobnicate"],
        ["classify", "--frobnicate"],
        ["classify", "--top-k", "0"],
    ):
        run = shell(*arguments)
        assert run.code == 2 and "Usage: minidistil" in run.err and run.out == ""


@pytest.mark.parametrize("verb", ["tag", "choose"])
def test_a_verb_without_a_default_needs_a_model(shell, verb):
    run = shell(verb, "a", "b", "c")
    assert run.code == 2 and "--model is needed: " in run.err


def test_what_the_user_got_wrong_is_a_message(shell, models, tmp_path):
    cases = {
        ("classify", "--model", tmp_path / "no", "a"): "there is no folder",
        ("classify", "--model", models["classifier"], "--file", tmp_path / "no"): "No such file",
        ("classify", "--model", models["classifier"], "--device", "abacus", "a"): "device 'abacus'",
        ("classify", "--model", models["classifier"], "--device", "meta", "a"): "device 'meta'",
        ("fill-mask", "--model", models["mlm"], "a"): r"argument 1: the text has no \[MASK\]",
    }
    for arguments, message in cases.items():
        run = shell(*arguments)
        assert run.code == 1 and run.out == ""
        assert re.fullmatch(f"Error: .*{message}.*\n", run.err), run.err


def test_a_file_error_names_the_file(shell, models, tmp_path):
    run = shell("classify", "--model", models["classifier"], "--file", tmp_path / "none.txt")
    assert run.err == f"Error: {tmp_path / 'none.txt'}: No such file or directory\n"


def test_an_error_without_a_file_is_its_reason(models, tmp_path):
    # The system's limit on the size of a file stands for a full disk: both fail in a write.
    code = (
        "import resource, sys; from minidistil.cli import main; import minidistil.pipelines; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9)); main()"
    )
    arguments = ["embed", "--model", models["base"], "--output", tmp_path / "vectors.npy", "a"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and done.stderr == "Error: File too large\n"
    assert list(tmp_path.iterdir()) == []


def test_warnings_are_messages(shell, models):
    run = shell("classify", "--model", models["classifier"], "a " * 80)
    assert run.code == 0
    assert (
        run.err.startswith("Warning: a text is longer than the 64 tokens")
        and run.err.count("\n") == 1
    )


def test_interrupt(models):
    process = subprocess.Popen(
        [*COMMAND, "classify", "--model", models["classifier"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout and process.stderr
    # More than is read ahead; the end of the input never comes.
    process.stdin.write("the king\n" * 2000)
    process.stdin.flush()
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    # Read to the end before the input is closed: an end of input would race with the signal.
    out, err = process.stdout.read(), process.stderr.read()
    assert process.wait() == 130
    process.stdin.close()
    assert err.strip() == ""
    # What was done is whole lines.
    assert {*(first + out).splitlines(keepends=True)} == {first}


def test_closed_pipe(models):
    process = subprocess.Popen(
        [*COMMAND, "classify", "--model", models["classifier"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout and process.stderr
    process.stdout.close()
    try:
        process.stdin.write("the king\n" * 100_000)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it has ended already
    assert process.stderr.read() == ""
    # As shells report a tool that SIGPIPE ended.
    assert process.wait() == 141


@pytest.mark.parametrize(
    ("closed", "code", "message"),
    [
        ("a <&-", 0, ""),
        ("<&-", 2, "Error: there is no input: give TEXT, --file FILE, or pipe it in"),
        ("--file - <&-", 1, "Error: standard input is closed"),
        ("a >&-", 1, "Error: standard output is closed: redirect it, to a file or away"),
        ("a 2>&-", 0, ""),
        ("--top-k 0 a 2>&-", 2, ""),
    ],
)
def test_streams_that_are_closed(models, closed, code, message):
    command = shlex.join([*COMMAND, "classify", "--model", str(models["classifier"])])
    done = subprocess.run(
        ["sh", "-c", f"{command} {closed}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == code and bool(done.stdout) == (code == 0)
    assert done.stderr.strip().endswith(message) and "Traceback" not in done.stderr
