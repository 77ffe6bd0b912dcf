"""The tile viewer: what was recorded is what the page shows, in a real browser."""

import json
import os
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner

from minidistil.visual import tiles
from tests.helpers.browser import violations

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


def figures(page):
    """What the drawn tensors say of themselves: elements, read, written, by name."""
    return page.eval_on_selector_all(
        "[data-name]", "all => Object.fromEntries(all.map((e) => [e.dataset.name, {...e.dataset}]))"
    )


def at(page):
    return int(page.get_attribute("body", "data-at"))


@pytest.mark.parametrize("kernel", ["softmax", "attention"])
def test_the_start_is_untouched(pages, open_page, kernel):
    page = open_page((pages / f"{kernel}.html").as_uri())
    assert at(page) == 0 and page.inner_text("#now") == "Nothing has run yet."
    assert {f["read"] + f["written"] for f in figures(page).values()} == {"00"}


@pytest.mark.parametrize("fragment", ["#end", "#playing"])
@pytest.mark.parametrize(
    ("kernel", "inputs", "outputs", "loaded"),
    [
        ("softmax", ["x_ptr"], ["y_ptr"], 6 * 20 * 4),
        ("attention", ["query_ptr", "key_ptr", "value_ptr"], ["context_ptr", "lse_ptr"], None),
    ],
)
def test_the_end_has_every_cell_marked(pages, open_page, fragment, kernel, inputs, outputs, loaded):
    page = open_page((pages / f"{kernel}.html").as_uri() + fragment)
    page.clock.install()
    page.reload()
    page.clock.run_for(30_000)  # ms; the whole plays in 20 s at most
    (launch,) = data_of(pages / f"{kernel}.html")["launches"]
    steps = len(launch["events"])
    assert at(page) == steps
    assert page.get_attribute("body", "data-events") == str(steps)
    assert page.get_attribute("body", "data-playing") is None
    assert list(drawn := figures(page)) == [*inputs, *outputs]
    for name in inputs:
        assert drawn[name]["read"] == drawn[name]["elements"]
        assert drawn[name]["written"] == "0"
    for name in outputs:
        assert drawn[name]["written"] == drawn[name]["elements"]
        assert drawn[name]["read"] == "0"
    expected = sum(e["bytes"] for e in launch["events"] if e["kind"] == "load")
    assert page.get_attribute("body", "data-loaded") == str(expected)
    assert loaded in (None, expected)


def test_a_step_shows_program_line_and_place(pages, open_page):
    page = open_page((pages / "softmax.html").as_uri() + "#8")
    assert page.locator(".line[aria-current]").evaluate_all(
        "all => all.map((e) => e.className)"
    ) == ["line store"]
    assert page.inner_text("#line").startswith("tl.store(y_ptr")
    assert page.inner_text("#who") == "program 3"
    assert page.inner_text("#programs [aria-current]") == "3"
    assert page.inner_text("#now") == "program 3 stores y_ptr, row 3: 80 bytes."
    assert figures(page)["x_ptr"]["read"] == figures(page)["y_ptr"]["written"] == "80"


def test_hands(pages, open_page):
    page = open_page((pages / "softmax.html").as_uri())
    for place, want in (
        ("#next", 1), ("#next", 2), ("#back", 1), ("#last", 12), ("#first", 0),
        ("#programs button:nth-of-type(4)", 7),
    ):  # fmt: skip
        page.click(place)
        assert at(page) == want, place
    page.fill("#slider", "5")
    assert at(page) == 5 and page.inner_text("#step") == "5 / 12"
    assert page.is_enabled("#first") and page.is_enabled("#last")
    page.click("#play")
    page.wait_for_selector("body[data-at='6']")
    assert page.get_attribute("#play", "aria-label") == "Pause (space)"
    page.click("#back")
    assert page.get_attribute("body", "data-playing") is None, "a hand stops it"


def test_keys(pages, open_page):
    page = open_page((pages / "softmax.html").as_uri())
    for key, want in (
        ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 12), ("ArrowRight", 12),
        ("Home", 0), ("ArrowLeft", 0), ("End", 12), ("Control+ArrowLeft", 12), ("x", 12),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert at(page) == want, key
    page.keyboard.press(" ")
    assert page.get_attribute("body", "data-playing") == "", "from the start again"
    page.keyboard.press(" ")
    assert page.get_attribute("body", "data-playing") is None
    page.focus("#source pre")
    stood = at(page)
    page.keyboard.press("ArrowRight")
    assert at(page) == stood, "the arrows scroll what has the focus"


def test_hostile_source_is_text(open_page, tmp_path):
    with trace() as t:
        hostile_kernel[(1,)](torch.empty(8), BLOCK=4)
        softmax(torch.zeros(2, 3))
    tiles.tile_page(t, tmp_path / "x.html")
    page = open_page((tmp_path / "x.html").as_uri() + "#end")
    assert page.locator("script").count() == 2 and page.locator("img").count() == 0
    assert "</script><script>document.title = 'taken'" in page.inner_text("#source")
    assert figures(page)["x_ptr"]["written"] == "4", "half of it"
    page.select_option("#launch", "1")
    assert at(page) == 0 and list(figures(page)) == ["x_ptr", "y_ptr"], "the launch of the softmax"


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("kernel", ["softmax", "attention"])
def test_nobody_is_shut_out(pages, open_page, kernel, width, dark):
    page = open_page((pages / f"{kernel}.html").as_uri(), width=width, dark=dark)
    assert violations(page) == []
    for kind in ("load", "store", *(["dot"] if kernel == "attention" else [])):
        while not page.locator(f"#stage.{kind}").count():
            page.click("#next")
        assert violations(page) == [], kind
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "no scrolling sideways"
