"""The tile viewer: what was recorded is what the page shows, in a real browser."""

import html
import json
import os
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner

from minidistil.visual import tiles
from tests.visual.browser import load, needs_chromium

triton = pytest.importorskip("triton", reason="the kernels need Triton")
tl = pytest.importorskip("triton.language")
interpreter = pytest.importorskip("minidistil_kernels.interpreter")
if not interpreter.INTERPRETING:
    pytest.skip("a trace needs Triton's interpreter", allow_module_level=True)

softmax = pytest.importorskip("minidistil_kernels.softmax").softmax
lab_trace = pytest.importorskip("minidistil_kernels.lab.trace")
trace = lab_trace.trace


@triton.jit
def hostile_kernel(x_ptr, BLOCK: tl.constexpr):
    """</script><script>document.title = 'taken'</script><img src=x onerror=alert(1)>."""
    tl.store(x_ptr + tl.arange(0, BLOCK), 0.0)  # <!-- </code> & <script>


def data_of(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(text.partition('id="data">')[2].partition("</script>")[0])


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Where the pages of both kernels lie, made by the command."""
    folder = tmp_path_factory.mktemp("pages")
    for kernel in ("softmax", "attention"):
        arguments = ["--kernel", kernel, "--out", str(folder / f"{kernel}.html")]
        done = CliRunner().invoke(tiles.main, arguments)
        assert (done.exit_code, done.exception) == (0, None), done.output
    return folder


def test_softmax_data(pages):
    (launch,) = data_of(pages / "softmax.html")["launches"]
    assert [(o["name"], o["matrix"], o["output"]) for o in launch["operands"]] == [
        ("x_ptr", [6, 20], False),
        ("y_ptr", [6, 20], True),
    ]
    event = launch["events"][7]
    assert (event["program"], event["kind"], event["operand"]) == (3, "store", 1)
    assert (event["boxes"], event["tile"], event["masked"]) == (
        [[3, 4, 0, 20]], [1, 32], [[0, 1, 20, 32]],
    )  # fmt: skip
    ((function, number),) = event["lines"]
    source = launch["functions"][function]
    assert "tl.store(y_ptr" in source["lines"][number - source["first"]]


def test_lse_stands_upright_beside_the_context(pages):
    (launch,) = data_of(pages / "attention.html")["launches"]
    matrices = {o["name"]: o["matrix"] for o in launch["operands"]}
    assert matrices["context_ptr"] == [80, 16]
    assert matrices["lse_ptr"] == [80, 1]
    assert launch["untouched"] == ["seed_ptr"]
    number = list(matrices).index("lse_ptr")
    boxes = [e["boxes"] for e in launch["events"] if e["operand"] == number]
    assert [box[0][2:] for box in boxes] == [[0, 1]] * launch["grid"][0]
    assert boxes[-1][0][1] == 80


def test_programs_are_counted_with_the_last_axis_fastest(tmp_path):
    with trace() as t:
        hostile_kernel[(2, 1, 3)](torch.empty(2, 8), BLOCK=4)
    tiles.tile_page(t, tmp_path / "x.html")
    (launch,) = data_of(tmp_path / "x.html")["launches"]
    assert [event["program"] for event in launch["events"]] == [0, 1, 2, 3, 4, 5]


def test_a_trace_must_have_something_to_show(tmp_path):
    with pytest.raises(ValueError, match="no events"):
        tiles.tile_page(lab_trace.Trace(), tmp_path / "x.html")


def test_a_trace_can_be_too_large(tmp_path, monkeypatch):
    with trace() as t:
        softmax(torch.zeros(6, 20))
    monkeypatch.setattr(tiles, "MAX_EVENTS", 11)
    with pytest.raises(ValueError, match="12 events on 240 elements"):
        tiles.tile_page(t, tmp_path / "x.html")
    assert list(tmp_path.iterdir()) == []


def test_without_the_interpreter_the_command_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "minidistil.visual.tiles", "--out", str(tmp_path / "x.html")],
        env={**os.environ, "TRITON_INTERPRET": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "set TRITON_INTERPRET=1" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written_is_an_error_with_a_name(tmp_path):
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(tiles.main, ["--out", str(tmp_path / "file" / "x.html")])
    assert done.exit_code == 1
    assert "x.html" in done.output


@needs_chromium
@pytest.mark.parametrize("kernel", ["softmax", "attention"])
def test_the_start_is_untouched(pages, tmp_path, kernel):
    document = load(pages / f"{kernel}.html", tmp_path)
    assert document.console == []
    assert document.first("body")["data-at"] == "0"
    assert {f["data-read"] + f["data-written"] for f in document.figures().values()} == {"00"}


@needs_chromium
@pytest.mark.parametrize("fragment", ["#end", "#playing"])
@pytest.mark.parametrize(
    ("kernel", "inputs", "outputs", "loaded"),
    [
        ("softmax", ["x_ptr"], ["y_ptr"], 6 * 20 * 4),
        ("attention", ["query_ptr", "key_ptr", "value_ptr"], ["context_ptr", "lse_ptr"], None),
    ],
)
def test_the_end_has_every_cell_marked(pages, tmp_path, fragment, kernel, inputs, outputs, loaded):
    document = load(pages / f"{kernel}.html", tmp_path, fragment, milliseconds=60_000)
    (launch,) = data_of(pages / f"{kernel}.html")["launches"]
    assert document.console == []
    body, figures = document.first("body"), document.figures()
    assert body["data-at"] == body["data-events"] == str(len(launch["events"]))
    assert "data-playing" not in body
    assert list(figures) == [*inputs, *outputs]
    for name in inputs:
        assert figures[name]["data-read"] == figures[name]["data-elements"]
        assert figures[name]["data-written"] == "0"
    for name in outputs:
        assert figures[name]["data-written"] == figures[name]["data-elements"]
        assert figures[name]["data-read"] == "0"
    expected = sum(e["bytes"] for e in launch["events"] if e["kind"] == "load")
    assert body["data-loaded"] == str(expected)
    assert loaded in (None, expected)


@needs_chromium
def test_a_step_shows_program_line_and_place(pages, tmp_path):
    document = load(pages / "softmax.html", tmp_path, "#8")
    lines = [a for tag, a in document.elements if a.get("class", "").startswith("line ")]
    assert [a["class"] for a in lines] == ["line store"]
    assert document.texts["line"].strip().startswith("tl.store(y_ptr")
    assert document.texts["who"] == "program 3"
    assert document.figures()["x_ptr"]["data-read"] == "80"
    assert document.figures()["y_ptr"]["data-written"] == "80"


@needs_chromium
def test_hands_and_keys(pages, tmp_path):
    """The page in a frame, driven as a reader drives it; where it stands after each move."""
    script = """
    const moves = [
      "#next", "#next", "#back", "#last", "#first", "ArrowRight", "ArrowRight", "ArrowLeft",
      "End", "Home", "slider 5", "#programs button:nth-of-type(4)", "control ArrowRight", "x",
    ];
    addEventListener("load", () => {
      const page = frames[0].document, stood = [];
      for (const move of moves) {
        const [name, value] = move.split(" ");
        if (name === "slider") {
          page.getElementById("slider").value = value;
          page.getElementById("slider").dispatchEvent(new Event("input"));
        } else if (move.startsWith("#")) page.querySelector(move).click();
        else page.body.dispatchEvent(new KeyboardEvent(
          "keydown", { key: value ?? name, ctrlKey: name === "control", bubbles: true }));
        stood.push(page.body.dataset.at);
      }
      page.body.dispatchEvent(new KeyboardEvent("keydown", { key: " ", bubbles: true }));
      stood.push("playing" in page.body.dataset);
      page.getElementById("back").click();
      stood.push("playing" in page.body.dataset);
      document.body.dataset.stood = stood.join(" ");
    });
    """
    page = html.escape((pages / "softmax.html").read_text(encoding="utf-8"))
    frame = tmp_path / "frame.html"
    frame.write_text(f'<body><iframe srcdoc="{page}"></iframe><script>{script}</script>', "utf-8")
    document = load(frame, tmp_path / "profile")
    assert document.console == []
    stood = document.first("body")["data-stood"]
    assert stood == "1 2 1 12 0 1 2 1 12 0 5 7 7 7 true false"


@needs_chromium
def test_hostile_source_is_text(tmp_path):
    with trace() as t:
        hostile_kernel[(1,)](torch.empty(8), BLOCK=4)
        softmax(torch.zeros(2, 3))
    path = tmp_path / "x.html"
    tiles.tile_page(t, path)
    document = load(path, tmp_path / "profile", "#end")
    assert document.console == []
    tags = [tag for tag, _ in document.elements]
    assert tags.count("script") == 2
    assert "img" not in tags
    assert "document.title = 'taken'" in document.texts["source"]
    assert [a["value"] for tag, a in document.elements if tag == "option"] == ["0", "1"]
    assert document.figures()["x_ptr"]["data-written"] == "4", "half of it"
