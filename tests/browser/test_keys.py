"""What hands on the keyboard do, in a real browser; generating forever, and what happens when pictures are done."""

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from modules.settings import Settings
from modules.ui.page_settings import page_settings
from tests.browser.conftest import DESK, PATIENCE, PHONE, Studio, front, serving
from tests.fake_checkpoints import write_single
from tests.fake_networks import write_embedding, write_lora
from tests.floors import ROOT

pytestmark = pytest.mark.browser
MANY = 3000
ANIMALS = """
from modules.hooks import hookimpl
from modules.prompts.completion import Completion

@hookimpl
def completions():
    return [Completion("animals", "__", "__", lambda: ["birds/finch", "cat"])]
"""
# What a browser is asked for is noted; nobody looks at the page when a test says so.
NOTED = """
window.asked = {notes: [], locks: 0, released: 0};
window.Notification = class extends EventTarget {
  static permission = 'default';
  static requestPermission() { return Promise.resolve(Notification.permission = window.answer ?? 'granted'); }
  constructor(title, {body}) { super(); asked.notes.push([title, body]); }
  close() {}
};
Object.defineProperty(navigator, 'wakeLock', {value: {request: async () => {
  asked.locks += 1;
  return {released: false, release() { asked.released += 1; this.released = true; }};
}}});
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    models = folder / "models"
    write_single(models / "Stable-diffusion" / "plain.safetensors", "sd1")
    write_lora(models / "Lora" / "wash.safetensors")
    write_lora(models / "Lora" / "soft wash.safetensors")
    write_lora(models / "Lora" / "large-wash.safetensors", "sdxl")
    write_embedding(models / "embeddings" / "grainy.safetensors")
    extension = folder / "extensions" / "animals"
    extension.mkdir(parents=True)
    (extension / "extension.toml").write_text('name = "animals"')
    (extension / "ui.py").write_text(ANIMALS)
    return folder


@pytest.fixture(scope="module")
def address(data: Path) -> Iterator[str]:
    with serving(["-m", "tests.ui.drawing", "0", str(data), "0.05"], data) as found:
        yield found


@pytest.fixture(scope="module")
def opened(browser: Browser, address: str) -> Iterator[Studio]:
    """One page for all tests of this file: it costs the most."""
    context = browser.new_context(**DESK)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.add_init_script(NOTED)
    studio = Studio(context.new_page(), address).open()
    yield studio
    context.close()
    assert studio.faults == []


@pytest.fixture
def studio(opened: Studio) -> Studio:
    """The page, with nothing open and nothing in the prompts."""
    # A page that was loaded anew waits for the last values of the form.
    opened.page.wait_for_function("window.easel.restored.has('txt2img')", timeout=PATIENCE)
    opened.page.evaluate("document.querySelectorAll('dialog[open]').forEach((each) => each.close())")
    opened.fill(prompt="", negative_prompt="", steps=4, seed="-1")
    return opened


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    expect.set_options(timeout=30_000)
    yield
    expect.set_options(timeout=5_000)


# The keys of a prompt, as functions: | is the cursor, two of them are what is selected.

WEIGHED = (
    # without a selection: the block around the cursor, or else the word
    ("up", "a c|at", "a (|cat|:1.1)"),
    ("down", "a c|at", "a (|cat|:0.9)"),
    ("up", "a big c|at, b", "a big (|cat|:1.1), b"),
    ("up", "(a big c|at)", "(|a big cat|:1.2)"),
    ("up", "(a big c|at:1.3)", "(|a big cat|:1.4)"),
    ("up", "(a:1.2) b| (c)", "(a:1.2) (|b|:1.1) (c)"),  # no block is crossed
    ("up", "고|양이, 개", "(|고양이|:1.1), 개"),
    ("up", "a.b,c/d!e?f%g^h*i;j:k{l}m=n`o~p|", "a.b,c/d!e?f%g^h*i;j:k{l}m=n`o~(|p|:1.1)"),
    ("up", "a\tb\r\nc|d", "a\tb\r\n(|cd|:1.1)"),
    ("up", "a, | b", None),
    # an existing weight
    ("up", "(cat|:1.2)", "(|cat|:1.3)"),
    ("down", "(cat|:1.2)", "(|cat|:1.1)"),
    ("up", "(cat:1|.2)", "(|cat|:1.3)"),
    ("up", "(cat : 1.2|)", "(|cat|:1.3)"),
    ("up", "|(cat:1.2)|", "(|cat|:1.3)"),
    ("up", "((cat|:1.2))", "((|cat|:1.3))"),
    ("down", "(cat|:0.1)", "(|cat|:0.0)"),
    ("down", "(cat|:0.0)", "(|cat|:-0.1)"),
    # tags by 0.05
    ("up", "<lora:x|:0.5>", "<lora:x|:0.55>"),
    ("down", "<lora:x|:0.5>", "<lora:x|:0.45>"),
    ("up", "<lora:x|:0.95> a", "<lora:x|:1.0> a"),
    ("up", "<lora:x|>", "<lora:x|:1.05>"),
    ("up", "<lora:x (v2)|:0.5:0.8:8>", "<lora:x (v2)|:0.55:0.85:8>"),
    ("up", "<lora:x|:te=0.5:unet=1:dyn=8>", "<lora:x|:te=0.55:unet=1.05:dyn=8>"),
    ("down", "|<hypernet:h:1>|, a", "<|hypernet:h:0.95>, a"),
    # brackets without a number
    ("up", "(c|at)", "(|cat|:1.2)"),
    ("up", "((c|at))", "(|cat|:1.3)"),
    ("down", "(((c|at)))", "(|cat|:1.2)"),
    ("down", "[c|at]", "(|cat|:0.8)"),
    ("up", "[[c|at]]", "(|cat|:0.9)"),
    ("down", "[[[c|at]]]", "(|cat|:0.7)"),
    ("up", "((c|at), a)", "((|cat|:1.2), a)"),
    ("up", r"\(c|at\)", r"\((|cat|:1.1)\)"),
    ("up", "[c|at:dog:5]", "[(|cat|:1.1):dog:5]"),  # words that change are no weight
    # what is selected
    ("up", "|a cat| b", "(|a cat|:1.1) b"),
    ("up", "|a cat |b", "(|a cat|:1.1) b"),
    ("up", "|a, (b:1.2)|, c", "(|a, (b:1.2)|:1.1), c"),
    ("up", "(|cat|:1.2)", "(|cat|:1.3)"),
    # a weight of 1 takes the brackets away
    ("down", "(c|at:1.1)", "|cat|"),
    ("up", "(c|at:0.9) b", "|cat| b"),
    ("up", "[c|at]", "|cat|"),
    # twelve digits, and a whole number with one of them
    ("up", "(c|at:1.05)", "(|cat|:1.15)"),
    ("up", "(c|at:0.2)", "(|cat|:0.3)"),
    ("up", "(c|at:1.9)", "(|cat|:2.0)"),
    ("up", "(c|at:0.7000000000001)", "(|cat|:0.8)"),
    ("up", "(c|at:1.1.1)", "(|cat:1.1.1|:1.2)"),  # that is no number
)
MOVED = (
    ("right", "a|, b, c", "b, a|, c"),
    ("left", "a, b|, c", "b|, a, c"),
    ("left", "a|, b", None),
    ("right", "a, b|, ", None),
    ("right", "a,\n  b|ig,\n  c", "a,\n  c,\n  b|ig"),  # lines stay lines
    ("right", "|a, b|, c, d", "c, |a, b|, d"),
    ("left", "a, |b, c|, d", "|b, c|, a, d"),
    ("right", "(a, b:1.2)|, c", "c, (a, b:1.2)|"),  # brackets are not torn apart
    ("left", "x, (a, b|:1.2), c", "x, (b|, a:1.2), c"),  # within them is a list of its own
    ("right", "(cat|:1.2), d", "d, (cat|:1.2)"),
    ("right", "<lora:a,b|:1>, c", "c, <lora:a,b|:1>"),
    ("right", "o|ne", None),
)


@pytest.fixture(scope="module")
def bare(browser: Browser) -> Iterator[Page]:
    """A page with nothing on it but the scripts whose functions are tried."""
    page = browser.new_page()
    page.evaluate("(settings) => { window.easel = {say: {}, settings}; }", page_settings(Settings()))
    for name in ("prompt.js", "complete.js"):
        page.add_script_tag(path=ROOT / "modules" / "ui" / name)
    yield page
    page.close()


def marked(text: str) -> tuple[str, int, int]:
    first, *rest = [at for at, sign in enumerate(text) if sign == "|"]
    return text.replace("|", ""), first, rest[0] - 1 if rest else first


def done(page: Page, function: str, text: str, on: bool) -> str | None:
    plain, start, end = marked(text)
    given = [plain, start, end, on]
    change = page.evaluate(f"([text, start, end, on]) => easel.{function}(text, start, end, on)", given)
    if change is None:
        return None
    after: str = plain[: change["from"]] + change["put"] + plain[change["to"] :]
    for at in sorted({change["start"], change["end"]}, reverse=True):
        after = f"{after[:at]}|{after[at:]}"
    return after


def test_weights_change_as_in_a1111(bare: Page) -> None:
    wrong = [
        (text, found, expected)
        for way, text, expected in WEIGHED
        if (found := done(bare, "weighed", text, way == "up")) != expected
    ]
    assert wrong == []


def test_parts_of_a_list_move_as_a_whole(bare: Page) -> None:
    wrong = [
        (text, found, expected)
        for way, text, expected in MOVED
        if (found := done(bare, "moved", text, way == "right")) != expected
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("before", "offered"),
    [
        ("a <lora:wa", ["<lora:wash:1>", "<lora:x-wash:1>"]),  # first what begins so
        ("a <lo", ["<lora:ink:1>", "<lora:wash:1>", "<lora:x-wash:1>"]),
        ("a <wash", ["<lora:wash:1>", "<hypernet:wash:1>", "<lora:x-wash:1>"]),
        ("a <hypernet:", ["<hypernet:wash:1>"]),
        ("<lyco:INK", ["<lora:ink:1>"]),
        ("<lora:wash:0.5", []),
        ("<lora:wash:1> ", []),
        ("grai", ["grainy", "very_grainy"]),
        ("a, (rainy", ["grainy", "very_grainy"]),
        ("g", []),
        ("a cat, long ha", ["long hair"]),
        ("a cat, hair", [r"hair \(style\)", "long hair"]),
        ("__", ["__birds/finch__", "__cat__"]),
        ("a __fin", ["__birds/finch__"]),
        ("__cat__", []),
        ("__cat__ __bi", ["__birds/finch__"]),
    ],
)
def test_names_that_fit_what_is_typed(bare: Page, before: str, offered: list[str]) -> None:
    assert offer(bare, before) == offered


def offer(page: Page, before: str) -> list[str]:
    known = {
        "names": {"lora": ["ink", "wash", "x-wash"], "hypernet": ["wash"], "word": ["grainy", "very_grainy"]},
        "tags": ["long hair", "hair (style)"],
        "marks": [{"name": "animals", "before": "__", "after": "__", "names": ["birds/finch", "cat"]}],
    }
    script = """([before, {names, marks, tags}]) => {
      const listed = (all) => all.map((name) => [name, name, name.toLowerCase()]);
      const known = {names: Object.fromEntries(Object.entries(names).map(([kind, all]) => [kind, listed(all)])),
        marks: marks.map((mark) => ({...mark, names: listed(mark.names)})), tags: listed(tags)};
      return easel.completed(before, known).map(({put}) => put);
    }"""
    return list(page.evaluate(script, [before, known]))


# The page.


def test_keys_of_a_prompt_are_undone_saved_and_counted(studio: Studio) -> None:
    page, box = studio.page, studio.box("prompt")
    counter = page.locator(".prompt-box .counter").first
    box.click()
    page.keyboard.type("a red cat, on a mat")
    page.keyboard.press("Control+ArrowUp")
    expect(box).to_have_value("a red cat, on a (mat:1.1)")
    page.keyboard.press("Control+ArrowUp")
    expect(box).to_have_value("a red cat, on a (mat:1.2)")
    page.keyboard.press("Alt+ArrowLeft")
    expect(box).to_have_value("on a (mat:1.2), a red cat")
    for before in ("a red cat, on a (mat:1.2)", "a red cat, on a (mat:1.1)", "a red cat, on a mat"):
        page.keyboard.press("Control+z")
        expect(box).to_have_value(before)
    page.keyboard.press("Control+ArrowDown")
    expect(box).to_have_value("a red cat, on a (mat:0.9)")
    expect(counter).to_contain_text("/75")
    page.keyboard.press("End")
    page.keyboard.type(" and <lora:nothing:1>")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Control+ArrowDown")
    expect(box).to_have_value("a red cat, on a (mat:0.9) and <lora:nothing:0.95>")
    expect(page.locator(".prompt-box .odd").first).to_contain_text("nothing")  # what is told of the prompt follows
    page.wait_for_timeout(1500)
    page.reload()
    expect(studio.panel("queue").get_by_role("heading").first).to_be_visible(timeout=PATIENCE)
    expect(box).to_have_value("a red cat, on a (mat:0.9) and <lora:nothing:0.95>")


def names(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Names that fit")


def test_names_are_offered_and_taken_by_keyboard(studio: Studio, address: str) -> None:
    page, box = studio.page, studio.box("prompt")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "completions" in request.url else None)
    box.click()
    page.keyboard.type("a <lora:wa")
    options = names(page).get_by_role("option")
    expect(options).to_have_count(2)  # not the one for SDXL
    expect(options.first).to_contain_text("wash")
    assert box.get_attribute("aria-activedescendant") == options.first.get_attribute("id")
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(box).to_have_value("a <lora:soft wash:1>")
    expect(names(page)).to_have_count(0)
    page.keyboard.type(", grai")
    expect(options).to_have_count(1)
    page.keyboard.press("Enter")  # of a plain word nothing is chosen yet: this is a new line
    expect(names(page)).to_have_count(0)
    page.keyboard.type("grai")
    page.keyboard.press("Tab")
    expect(box).to_have_value("a <lora:soft wash:1>, grai\ngrainy")
    page.keyboard.type(" __fi")
    page.keyboard.press("Tab")
    expect(box).to_have_value("a <lora:soft wash:1>, grai\ngrainy __birds/finch__")
    page.keyboard.press("Control+z")
    expect(box).to_have_value("a <lora:soft wash:1>, grai\ngrainy __fi")
    assert len(asked) <= 2, "the keys asked the server"


def test_escape_closes_the_names_and_nothing_else(studio: Studio) -> None:
    page, box = studio.page, studio.box("prompt")
    box.click()
    page.keyboard.type("<lora:")
    expect(names(page)).to_be_visible()
    page.keyboard.press("Escape")
    expect(names(page)).to_have_count(0)
    expect(box).to_be_focused()
    page.keyboard.type("w")
    expect(names(page)).to_be_visible()
    names(page).get_by_role("option", name="soft wash").click()
    expect(box).to_have_value("<lora:soft wash:1>")
    expect(box).to_be_focused()


def test_letters_that_are_put_together_are_left_alone(studio: Studio) -> None:
    page, box = studio.page, studio.box("prompt")
    box.click()
    page.keyboard.type("<lora:")
    page.keyboard.press("Escape")
    keys = page.context.new_cdp_session(page)
    for text in ("w", "wa"):
        keys.send("Input.imeSetComposition", {"text": text, "selectionStart": len(text), "selectionEnd": len(text)})
    page.wait_for_timeout(300)
    assert names(page).count() == 0
    assert box.input_value() == "<lora:wa"
    keys.send("Input.insertText", {"text": "wa"})
    expect(names(page).get_by_role("option").first).to_contain_text("wash")
    page.keyboard.press("Escape")


def test_thousands_of_names_are_looked_through_between_two_keys(bare: Page) -> None:
    script = """(many) => {
      const all = Array.from({length: many}, (_, at) => [`name ${at}`, `name ${at}`, `name ${at}`]);
      return easel.completed('<lora:99', {names: {lora: all}}).length;
    }"""
    assert bare.evaluate(script, MANY) == 30  # as many as the list shows of them


def test_a_picture_is_pasted_where_there_is_a_place_for_one(studio: Studio, data: Path) -> None:
    page = studio.page
    drawing = io.BytesIO()
    Image.new("RGB", (48, 32), "red").save(drawing, "PNG")
    script = """(text) => {
      const data = new DataTransfer();
      const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
      data.items.add(new File([bytes], 'red.png', {type: 'image/png'}));
      document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));
    }"""
    for tab, place in (
        ("Picture to picture", "#img2img_init_image_well"),
        ("PNG Info", "#pnginfo .well"),
        ("Extras", "#extras"),
    ):
        front(page, tab)
        expect(page.locator(place).first).to_be_visible()
        page.wait_for_timeout(1000)  # until what the tab had is there
        page.evaluate(script, base64.b64encode(drawing.getvalue()).decode())
        expect(page.locator(f"{place} img").first).to_be_visible()
    front(page, "Text to picture")


def test_the_extensions_are_listed_by_name(studio: Studio) -> None:
    front(studio.page, "Extensions")
    listed = studio.page.locator("#extensions").get_by_role("heading", name="animals", exact=True)
    expect(listed).to_be_visible()
    front(studio.page, "Text to picture")


def menu(page: Page) -> Locator:
    return page.get_by_role("menu")


def made(studio: Studio, prompt: str) -> list[dict[str, Any]]:
    return [job for job in studio.jobs() if job["request"]["prompt"] == prompt]


def test_generating_forever_goes_on_over_a_reload_until_it_is_interrupted(studio: Studio) -> None:
    page = studio.page
    studio.fill(prompt="forever")
    page.locator("#txt2img_generate").click(button="right")
    expect(menu(page).get_by_role("menuitem")).to_have_text(["Generate forever"])
    page.keyboard.press("Enter")
    line = page.locator(".forever")
    expect(line).to_contain_text("Generating forever: Text to picture.")
    page.reload()
    expect(line).to_contain_text("Generating forever")
    for _ in range(PATIENCE // 100):
        jobs = made(studio, "forever")
        assert sum(job["status"] in ("queued", "running") for job in jobs) <= 1
        if len(jobs) > 3:
            break
        page.wait_for_timeout(100)
    assert len({job["request"]["seed"] for job in jobs}) == len(jobs) > 3
    studio.fill(steps=150, prompt="forever, another")  # the next one is of the form as it is by then
    expect(studio.panel("progress")).to_contain_text("/150", timeout=PATIENCE)
    studio.until("forever, another", "running")
    page.locator("#txt2img_generate").focus()
    page.keyboard.press("Escape")
    expect(line).to_have_count(0)
    studio.until("forever, another", "stopped")
    count = len(made(studio, "forever, another"))
    page.wait_for_timeout(1500)
    assert len(made(studio, "forever, another")) == count


def test_the_menu_is_reached_by_keyboard_and_ends_it_after_the_job(studio: Studio) -> None:
    page = studio.page
    studio.fill(prompt="by keys", steps=150)
    more = page.get_by_role("button", name="More ways to generate")
    more.focus()
    page.keyboard.press("Enter")
    expect(menu(page).get_by_role("menuitem", name="Generate forever")).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu(page)).to_have_count(0)
    expect(more).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator(".forever")).to_be_visible()
    more.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")  # closes the menu, and interrupts nothing
    page.wait_for_timeout(1000)
    expect(page.locator(".forever")).to_be_visible()
    page.keyboard.press("Enter")
    expect(menu(page).get_by_role("menuitem")).to_have_text(["Stop generating forever"])
    page.keyboard.press("Enter")
    expect(page.locator(".forever")).to_have_count(0)
    count = len(made(studio, "by keys"))
    studio.until("by keys", "done")
    page.wait_for_timeout(1000)
    assert len(made(studio, "by keys")) == count


def test_done_is_heard_seen_and_told_as_it_was_wished(studio: Studio) -> None:
    page = studio.page
    page.locator("#open_keys").click()
    dialog = page.get_by_role("dialog", name="Shortcuts, sound and notifications")
    page.evaluate("window.answer = 'denied'")
    notify = dialog.get_by_label("Show a notification when this page is not in front")
    notify.click()
    expect(dialog.get_by_role("alert")).to_contain_text("does not allow notifications")
    expect(notify).not_to_be_checked()
    page.evaluate("Notification.permission = 'default'; window.answer = 'granted'")
    notify.check()
    expect(dialog.get_by_role("alert")).to_be_hidden()
    expect(dialog.get_by_label("Keep the screen on while pictures are made")).to_be_checked()
    dialog.get_by_label("Play a sound").check()
    assert page.evaluate("easel.rung") == 1  # at once, to hear it
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.evaluate("document.hasFocus = () => false")
    studio.generate(prompt="a red circle, told", steps=150)
    expect(page).to_have_title(re.compile(r"^\[\d+%.*\] Easel$"), timeout=PATIENCE)
    studio.until("a red circle, told", "done")
    page.wait_for_function("asked.notes.length", timeout=PATIENCE)
    assert page.evaluate("asked.notes") == [["Easel", "Pictures are done: 1.\na red circle, told"]]
    assert page.evaluate("easel.rung") == 2
    assert page.evaluate("asked.locks") > 0
    page.wait_for_function("asked.released === asked.locks", timeout=PATIENCE)
    expect(page).to_have_title("Easel")
    studio.generate(prompt="stopped by hand", steps=100)
    expect(studio.panel("progress")).to_contain_text("/100", timeout=PATIENCE)
    page.click("#txt2img_interrupt")
    studio.until("stopped by hand", "stopped")
    page.wait_for_timeout(5000)
    assert len(page.evaluate("asked.notes")) == 1, "who stops a job knows that it is over"
    page.reload()
    page.locator("#open_keys").click()
    expect(dialog.get_by_label("Play a sound")).to_be_checked()  # kept in the browser
    dialog.get_by_label("Play a sound").uncheck()
    page.keyboard.press("Escape")


def test_a_question_mark_shows_the_shortcuts_but_not_in_a_prompt(studio: Studio) -> None:
    page, box = studio.page, studio.box("prompt")
    dialog = page.locator("#easel-keys")
    box.click()
    page.keyboard.type("why?")
    expect(box).to_have_value("why?")
    expect(dialog).to_be_hidden()
    page.locator("#txt2img_generate").focus()
    page.keyboard.press("?")
    expect(dialog).to_be_visible()
    for row in ("Ctrl ↑ ↓", "Alt ← →", "Ctrl Enter", "Alt Enter", "Esc"):
        expect(dialog.locator("dt").filter(has_text=row).first).to_be_visible()
    page.keyboard.press("?")
    expect(dialog).to_be_hidden()


def test_the_full_size_view_turns_saves_tiles_and_opens_a_tab(studio: Studio) -> None:
    page = studio.page
    for place in (1, 2):
        studio.generate(prompt=f"looked at {place}", steps=4, width=64, height=128)
        studio.until(f"looked at {place}", "done")
    expect(studio.panel("parameters")).to_contain_text("looked at 2", timeout=PATIENCE)
    studio.panel("stage").get_by_role("button").click()
    zoom = page.locator("#easel-zoom")
    image = zoom.locator("img")
    newest = str(image.get_attribute("src"))
    page.mouse.move(700, 450)
    page.mouse.wheel(0, 100)
    expect(image).not_to_have_attribute("src", newest)
    page.wait_for_timeout(400)
    page.mouse.wheel(0, -100)
    expect(image).to_have_attribute("src", newest)
    with page.expect_download() as saved:
        page.keyboard.press("s")
    assert saved.value.suggested_filename.endswith(".png")
    page.keyboard.press("t")
    tiles = zoom.locator(".tiles")
    expect(tiles).to_be_visible()
    assert newest in tiles.evaluate("(each) => getComputedStyle(each).backgroundImage")
    zoom.get_by_role("button", name="Show it beside itself").click()
    expect(image).to_be_visible()
    page.keyboard.press("Escape")
    expect(zoom).to_be_hidden()
    with page.context.expect_page() as tab:
        studio.panel("stage").get_by_role("button").click(button="middle")
    assert newest in tab.value.url
    tab.value.close()


def test_a_pasted_size_sets_both_sides(studio: Studio) -> None:
    page = studio.page
    for text, at, sides in (("512x768", "width", ("512", "768")), ("640 × 448 px", "height", ("640", "448"))):
        page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
        studio.box(at).click()
        page.keyboard.press("Control+v")
        for side, value in zip(("width", "height"), sides, strict=True):
            expect(studio.box(side)).to_have_value(value)
    studio.fill(width=64, height=64)
    page.evaluate("navigator.clipboard.writeText('128')")
    studio.box("width").fill("")
    page.keyboard.press("Control+v")
    expect(studio.box("width")).to_have_value("128")
    expect(studio.box("height")).to_have_value("64")


def wide(studio: Studio) -> float:
    box = studio.page.locator("#txt2img > .settings").bounding_box()
    assert box is not None
    return box["width"]


def test_the_line_beside_the_settings_is_dragged_kept_and_put_back(studio: Studio) -> None:
    page = studio.page
    line = page.get_by_role("separator", name="Width of the settings").first
    usual, box = wide(studio), line.bounding_box()
    assert usual == 340 and box is not None
    page.mouse.move(box["x"] + 6, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 66, box["y"] + 100, steps=3)
    page.mouse.up()
    assert wide(studio) == usual + 60
    line.focus()
    page.keyboard.press("ArrowLeft")
    assert wide(studio) == usual + 44
    assert line.get_attribute("aria-valuenow") == str(usual + 44)
    page.reload()
    expect(studio.panel("queue").get_by_role("heading").first).to_be_visible(timeout=PATIENCE)
    assert wide(studio) == usual + 44
    line.dblclick()
    assert wide(studio) == usual
    assert page.evaluate("localStorage.getItem('easel-settings-width')") is None


def test_a_finger_that_stays_opens_the_menu_and_names_are_taken_by_touch(browser: Browser, address: str) -> None:
    context = browser.new_context(**{**PHONE, "locale": "ko-KR"})
    studio = Studio(context.new_page(), address).open()
    page, box = studio.page, studio.box("prompt")
    box.tap()
    box.fill("")
    page.keyboard.type("<lora:so")
    option = page.get_by_role("option", name="soft wash")
    option.tap()
    expect(box).to_have_value("<lora:soft wash:1>")
    place = page.locator("#txt2img_generate").bounding_box()
    assert place is not None
    touch = page.context.new_cdp_session(page)
    point = {"x": place["x"] + 20, "y": place["y"] + 20}
    before = len(studio.jobs())
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    expect(menu(page).get_by_role("menuitem")).to_have_text(["계속 생성하기"])
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_timeout(500)
    expect(menu(page)).to_be_visible()
    assert len(studio.jobs()) == before, "the finger that stayed pressed nothing"
    shown = menu(page).bounding_box()
    assert shown is not None and shown["x"] >= 0 and shown["x"] + shown["width"] <= 390 and shown["y"] >= 0
    page.locator("h1").tap()
    expect(menu(page)).to_have_count(0)
    page.locator("#open_keys").tap()
    dialog = page.locator("#easel-keys")
    expect(dialog).to_contain_text("단축키")
    assert dialog.evaluate("(each) => each.scrollWidth <= each.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    context.close()
    assert studio.faults == []
