"""The explorer's page, used as a reader uses it: every number on it is one of `explain`'s."""

import pytest

from minidistil.visual.explorer import ASSETS, explain, explorer_page
from minidistil.visual.page import html_page, write_page
from tests.helpers.browser import violations
from tests.visual.test_explorer import TOKENIZER, model_of, weights_of

TEXT = "a good film"
FROM, TO, HEADS = "#from button", "#to span", "#grid button"
HOSTILE = ["</script><script>document.title = 'taken'</script>", "<img src=x onerror=x()>"]


@pytest.fixture(scope="module")
def data():
    found = explain(model_of(), TOKENIZER, TEXT)
    # Behind LayerNorms of new weights all lengths are alike, and a wrong row would go unseen.
    found["norms"] = [[10 * row + token + 0.25 for token in range(5)] for row in range(3)]
    return found


@pytest.fixture
def page(data, open_page, tmp_path):
    write_page(html_page("Attention", data, ASSETS), tmp_path / "x.html")
    return open_page((tmp_path / "x.html").as_uri())


def chosen(page):
    """The words of the head that is chosen, said by the one button that a Tab reaches."""
    reached = page.locator("#grid [tabindex='0']")
    assert reached.get_attribute("aria-current") == "true"
    assert page.locator("#grid [aria-current='true']").count() == 1
    return reached.get_attribute("aria-label").partition(";")[0]


def scores(page):
    return [float(text) for text in page.locator("#scores dd:nth-of-type(odd)").all_inner_texts()]


def rounded(numbers):
    return [pytest.approx(number, abs=0.00051) for number in numbers]


def test_it_opens_with_the_first_head(page, data):
    assert page.inner_text("#about") == "5 tokens, 2 layers, 6 heads."
    assert page.inner_text("#answer-title") == "What the model says"
    assert page.locator("#scores dt").all_inner_texts() == data["answer"]["names"]
    assert scores(page) == rounded(data["answer"]["scores"])
    assert page.locator(HEADS).count() == 6 and chosen(page) == "layer 0, head 0"
    assert page.inner_text("#which") == "Layer 0, head 0"
    assert page.locator(FROM).all_inner_texts() == data["tokens"]
    assert page.locator(TO).all_inner_texts() == data["tokens"]
    assert page.locator("#lines line").count() == (weights_of(data)[0] >= 0.02).sum()
    assert page.inner_text("#words").startswith("All tokens.")


def test_a_click_chooses_a_head(page, data):
    page.locator(HEADS).nth(4).click()
    assert chosen(page) == "layer 1, head 1" and page.inner_text("#which") == "Layer 1, head 1"
    assert page.inner_text("#norms-title") == "Lengths behind layer 1"
    norms = [float(text) for text in page.locator("#norms b").all_inner_texts()]
    assert norms == data["norms"][2]
    first, second = zip(data["answer"]["scores"], data["without"][1][1], strict=True)
    names = data["answer"]["names"]
    assert page.inner_text("#effect") == (
        f"Without layer 1, head 1: {names[0]} {first[0]:.3f} → {first[1]:.3f}, "
        f"{names[1]} {second[0]:.3f} → {second[1]:.3f}"
    )
    assert page.locator("#lines line").count() == (weights_of(data)[4] >= 0.02).sum()


def test_arrow_keys_go_around_the_heads(page):
    page.locator(HEADS).first.focus()
    moves = {
        "ArrowLeft": (0, 0), "ArrowRight": (0, 1), "ArrowDown": (1, 1),
        "Control+ArrowRight": (1, 1), "ArrowUp": (0, 1), "Home": (0, 1), "Escape": (0, 1),
    }  # fmt: skip
    for key, (layer, head) in moves.items():
        page.keyboard.press(key)
        assert chosen(page) == f"layer {layer}, head {head}", key
        assert page.locator("#grid [tabindex='0']").evaluate("e => e === document.activeElement")
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    assert chosen(page) == "layer 1, head 2", "the last one"


def test_a_head_switched_off(page, data):
    page.locator(HEADS).nth(2).click()
    page.click("#off")
    assert page.get_attribute("#off", "aria-pressed") == "true"
    assert scores(page) == rounded(data["without"][0][2])
    width = page.locator("#scores .before").first.evaluate("e => e.style.width")
    assert float(width[:-1]) == pytest.approx(100 * data["answer"]["scores"][0], abs=0.01)
    assert page.locator("#lines line").count() == 0
    assert page.inner_text("#words") == "This head is off: its context is zero."
    page.locator(FROM).nth(1).click()
    assert page.inner_text("#words") == "“a” looks at nothing: this head is off"
    page.locator(HEADS).nth(3).click()
    assert page.get_attribute("#off", "aria-pressed") == "false", "another head is on"
    assert scores(page) == rounded(data["answer"]["scores"])


def test_o_switches_the_head_that_has_the_focus(page, data):
    page.locator(HEADS).first.focus()
    for key, want in (
        ("Control+o", data["answer"]["scores"]), ("o", data["without"][0][0]),
        ("O", data["answer"]["scores"]),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert scores(page) == rounded(want), key


def test_a_token_shows_what_it_looks_at(page, data):
    weights = weights_of(data)[0]
    page.locator(FROM).nth(2).click()
    assert page.locator("#from [aria-pressed='true']").all_inner_texts() == ["good"]
    assert page.locator("#lines line").count() == (weights[2] >= 0.02).sum()
    best = weights[2].argmax()
    said = f"“good” looks at {data['tokens'][best]} {weights[2, best]:.2f}"
    assert page.inner_text("#words").startswith(said)
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#words").startswith("“film” looks at")
    assert page.locator(FROM).nth(3).evaluate("e => e === document.activeElement")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert page.inner_text("#words").startswith("“[SEP]” looks at"), "the last one"
    page.keyboard.press("Enter")
    assert page.inner_text("#words").startswith("All tokens.")
    assert page.locator("#lines line").count() == (weights >= 0.02).sum()


def test_whatever_the_text_is_it_is_shown_as_text(open_page, tmp_path):
    hostile = explain(model_of(id2label=dict(enumerate(HOSTILE))), TOKENIZER, TEXT)
    hostile["tokens"][1:3] = HOSTILE
    write_page(html_page("Attention", hostile, ASSETS), tmp_path / "x.html")
    page = open_page((tmp_path / "x.html").as_uri())
    assert page.title() == "Attention" and page.locator("img").count() == 0
    for place in (FROM, TO, "#norms code", "#scores dt"):
        assert set(HOSTILE) <= {*page.locator(place).all_inner_texts()}
    page.locator(FROM).nth(2).click()
    assert page.inner_text("#words").startswith(f"“{HOSTILE[1]}” looks at")


def test_nothing_can_be_fetched(page, faults):
    said = page.evaluate("fetch('https://example.org/').catch((error) => error.message)")
    assert said == "Failed to fetch"
    assert "Content Security Policy" in faults[0]
    assert not [fault for fault in faults if "asks for" in fault], "the request was not even made"
    faults.clear()


def test_the_squares_change_with_the_colour_scheme(page, open_page):
    draw = "canvas => canvas.toDataURL()"
    light = turned = page.locator("#grid canvas").nth(1).evaluate(draw)
    page.emulate_media(color_scheme="dark")
    # The page is told in a task of its own, sooner or later; a wait in the page its CSP forbids.
    for _ in range(200):
        turned = page.locator("#grid canvas").nth(1).evaluate(draw)
        if turned != light:
            break
        page.wait_for_timeout(50)
    dark = open_page(page.url, dark=True).locator("#grid canvas").nth(1).evaluate(draw)
    assert turned == dark != light


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize(
    ("name", "text", "title"),
    [
        ("ForSequenceClassification", "a good film " * 9, "What the model says"),
        ("ForMaskedLM", "a [MASK] film", "What stands for [MASK]"),
        ("Model", TEXT, "The sentence vector"),
    ],
)
def test_nobody_is_shut_out(open_page, tmp_path, name, text, title, width, dark):
    explorer_page(model_of(name), TOKENIZER, text, tmp_path / "x.html")
    page = open_page((tmp_path / "x.html").as_uri(), width=width, dark=dark)
    assert page.inner_text("#answer-title") == title
    assert violations(page) == []
    page.locator(FROM).nth(2).click()
    page.click("#off")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "no scrolling sideways"
