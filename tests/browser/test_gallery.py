"""The Gallery tab in a real browser: searching, scrolling, stars, the trash, comparing, on a phone, in Korean."""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, expect

from modules.images.files import PictureFiles
from modules.images.infotext import write
from modules.library.database import Database
from modules.library.gallery import Gallery as Shelf
from modules.library.pictures import Library
from modules.result import Picture, Recipe
from tests.browser.conftest import DESK, PATIENCE, PHONE, Studio, front, serving

pytestmark = pytest.mark.browser
COLOURS = ("red", "blue", "green", "orange", "purple")
PICTURES = 150
NASTY = "<img src=x onerror=alert(1)> ${7*7}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of tiny pictures; one of them lost its file."""
    data = tmp_path_factory.mktemp("gallery-tab")
    files = PictureFiles(data / "outputs")
    database = Database(f"sqlite:///{data / '.easel' / 'easel.db'}")
    library = Library(database, data / "outputs")
    made = []
    for number in range(PICTURES):
        colour = COLOURS[number % len(COLOURS)]
        recipe = Recipe(
            prompt=NASTY if number == PICTURES - 1 else f"a {colour} square, number {number}",
            model="starter" if number % 2 else "dreams",
            model_hash="0123456789",
            family="sd1",
            sampler="Euler",
            schedule="Karras",
            steps=4,
            width=16,
            height=16,
            cfg_scale=7,
            seed=number,
            device="cpu",
            dtype="fp32",
        )
        path = files.save(Picture(Image.new("RGB", (16, 16), colour), recipe))
        made.append((path, recipe))
    with database.write() as session:
        rows = [library.put(session, path, recipe, write(recipe), "local") for path, recipe in made]
    Shelf(database, library).rate([rows[3].id], 5)
    rows[-2].path.unlink()
    database.close()
    return data


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with serving(["-m", "tests.ui.drawing", "0", str(folder), "0.1"], folder) as found:
        yield found


class Gallery(Studio):
    """The page with the Gallery tab in front."""

    def open(self) -> "Gallery":
        super().open()
        front(self.page, "Gallery")
        expect(self.cells.first).to_be_visible(timeout=PATIENCE)
        return self

    @property
    def cells(self) -> Locator:
        return self.page.locator("#gallery .cell")

    @property
    def hits(self) -> Locator:
        return self.page.locator("#gallery .hits")

    @property
    def details(self) -> Locator:
        return self.page.locator("dialog.gallery-details")

    def search(self, words: str) -> None:
        self.page.locator("#gallery [name=words]").fill(words)

    def cell(self, name: str) -> Locator:
        return self.page.locator("#gallery").get_by_role("button", name=name, exact=True)

    def pick(self, *names: str) -> None:
        for name in names:
            self.cell(name).click(modifiers=["Control"])

    def tool(self, name: str) -> Locator:
        return self.page.locator("#gallery .bulk").get_by_role("button", name=name, exact=True)

    def told(self) -> Locator:
        return self.page.locator("#gallery .notice")


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Gallery]]:
    opened: list[Gallery] = []

    def visit(**context: Any) -> Gallery:
        gallery = Gallery(browser.new_context(**(DESK | context)).new_page(), address)
        opened.append(gallery)
        return gallery.open()

    yield visit
    for gallery in opened:
        gallery.page.context.close()
    assert [fault for gallery in opened for fault in gallery.faults] == []


Visit = Callable[..., Gallery]


def test_everything_is_there_newest_first_and_comes_as_one_scrolls(visit: Visit) -> None:
    gallery = visit()
    expect(gallery.hits).to_have_text(f"Pictures: {PICTURES}")
    expect(gallery.cells.first.locator(".open")).to_have_attribute("title", NASTY)
    expect(gallery.cells.nth(1)).to_contain_text("The file is gone")
    expect(gallery.cells.nth(2).locator("img")).to_have_js_property("naturalWidth", 16)
    first = gallery.cells.count()
    assert first < PICTURES
    for _ in range(3):
        gallery.page.locator("#gallery .end").scroll_into_view_if_needed()
        gallery.page.wait_for_timeout(300)
    expect(gallery.cells).to_have_count(PICTURES)
    ids = gallery.cells.evaluate_all("cells => cells.map((cell) => Number(cell.dataset.id))")
    assert ids == sorted(ids, reverse=True) and len(set(ids)) == PICTURES


def test_searches_narrow_it_down_and_a_late_answer_undoes_none(visit: Visit) -> None:
    gallery = visit()
    page = gallery.page
    gallery.search("red squ")
    expect(gallery.hits).to_have_text("Pictures: 30")
    page.locator("#gallery [name=model]").select_option("starter")
    expect(gallery.hits).to_have_text("Pictures: 15")
    # The answer to the next search is kept back until the one after it has been answered.
    page.evaluate(
        """() => {
            const real = window.fetch;
            window.fetch = async (...asked) => {
                const answer = await real(...asked);
                if (String(asked[0]).includes('words=green')) await new Promise((go) => { window.go = go; });
                return answer;
            };
        }"""
    )
    gallery.search("green")
    page.wait_for_function("window.go !== undefined")
    gallery.search("number 141")
    expect(gallery.cells).to_have_count(1)
    page.evaluate("window.go()")
    page.wait_for_timeout(500)
    expect(gallery.cells).to_have_count(1)
    page.locator("#gallery [data-do=reset]").click()
    expect(gallery.hits).to_have_text(f"Pictures: {PICTURES}")
    gallery.search("no such thing")
    expect(page.locator("#gallery .grid")).to_contain_text("No picture matches")


def test_a_picture_is_looked_at_rated_and_tagged_by_keyboard(visit: Visit) -> None:
    gallery = visit()
    page = gallery.page
    gallery.search("number 14")
    expect(gallery.cells).to_have_count(10)  # 14 and 140 to 148; 149 says something else
    gallery.cell("a red square, number 145").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(gallery.details.locator("pre")).to_contain_text("a purple square, number 144")
    page.keyboard.press("4")
    expect(gallery.details.locator(".stars [aria-pressed=true]")).to_have_count(4)
    gallery.details.get_by_label("New tag").fill("Wall")
    page.keyboard.press("Enter")
    expect(gallery.details.locator(".tagging li")).to_have_text("wall")
    gallery.details.get_by_label("Next picture").click()
    expect(gallery.details.locator("pre")).to_contain_text("number 143")
    page.keyboard.press("ArrowLeft")
    expect(gallery.details.locator("pre")).to_contain_text("number 144")
    page.keyboard.press("Escape")
    expect(gallery.details).to_be_hidden()
    gallery.search("")
    page.locator("#gallery [name=rating]").select_option("4")
    expect(gallery.cells).to_have_count(2)
    page.locator("#gallery select[name=tag]").select_option("wall")
    expect(gallery.cells).to_have_count(1)
    expect(gallery.cells.locator(".rated")).to_have_text("★★★★")


def test_into_the_trash_back_again_and_away_for_good(visit: Visit, folder: Path) -> None:
    gallery = visit()
    page = gallery.page
    gallery.search("number 1")
    expect(gallery.hits).to_have_text("Pictures: 60")
    gallery.pick("a red square, number 110", "a blue square, number 111")
    gallery.tool("Move to trash").click()
    expect(gallery.told()).to_contain_text("Moved to the trash: 2.")
    expect(gallery.hits).to_have_text("Pictures: 58")
    expect(gallery.cell("a red square, number 110")).to_have_count(0)
    gallery.told().get_by_role("button", name="Undo").click()
    expect(gallery.hits).to_have_text("Pictures: 60")
    titles = gallery.cells.locator(".open").evaluate_all("all => all.map((each) => each.title)")
    assert titles[titles.index("a red square, number 110") - 1] == "a blue square, number 111"
    gallery.pick("a green square, number 112")
    gallery.tool("Move to trash").click()
    expect(gallery.told()).to_contain_text("Moved to the trash: 1.")
    assert len(list((folder / "outputs" / ".trash").rglob("*-112.png"))) == 1
    page.locator("#gallery .bin").click()
    expect(gallery.cells).to_have_count(1)
    expect(gallery.cells.locator("img")).to_have_js_property("naturalWidth", 16)
    page.locator("#gallery [data-do=empty]").click()
    confirm = page.locator("#gallery .confirm")
    confirm.get_by_role("button", name="Cancel").click()
    expect(gallery.cells).to_have_count(1)
    page.locator("#gallery [data-do=empty]").click()
    confirm.get_by_role("button", name="Delete for good").click()
    expect(page.locator("#gallery .grid")).to_contain_text("No picture matches")  # the words are still there
    assert list((folder / "outputs").rglob("*-112.png")) == []


def test_a_picture_without_its_file_is_dropped_and_a_new_one_appears(visit: Visit) -> None:
    gallery = visit()
    page = gallery.page
    lost = gallery.page.locator("#gallery .cell.gone")
    lost.locator(".open").click()
    expect(gallery.details).to_contain_text("The file is gone")
    gallery.details.get_by_role("button", name="Drop from the list").click()
    expect(lost).to_have_count(0)
    page.keyboard.press("Escape")
    page.request.post(f"{gallery.address}easel/jobs", data={"prompt": "a yellow circle", "steps": 1})
    expect(gallery.cells.first.locator(".open")).to_have_attribute("title", "a yellow circle", timeout=PATIENCE)


def test_two_are_compared_and_several_downloaded(visit: Visit, tmp_path: Path) -> None:
    gallery = visit()
    page = gallery.page
    gallery.search("number 12")
    expect(gallery.hits).to_have_text("Pictures: 11")
    gallery.pick("a red square, number 120")
    expect(gallery.tool("Compare")).to_be_disabled()
    gallery.pick("a green square, number 122")
    gallery.tool("Compare").click()
    both = page.locator("dialog.gallery-compare")
    expect(both.locator("tr.differs th").first).to_contain_text("Prompt")
    assert both.locator("tr.differs").count() == 2  # the prompt and the seed
    both.get_by_label("Larger").click()
    scales = both.locator("figure img").evaluate_all("images => images.map((each) => getComputedStyle(each).transform)")
    assert scales[0] == scales[1] != "none"
    both.get_by_role("button", name="Slider").click()
    both.get_by_role("slider").fill("25")
    clip = both.locator("figure").nth(1).evaluate("each => getComputedStyle(each).clipPath")
    assert clip.replace(" ", "").endswith("25%)")
    both.get_by_label("Close").click()
    with page.expect_download() as coming:
        gallery.tool("Download").click()
    coming.value.save_as(tmp_path / "some.zip")
    names = zipfile.ZipFile(tmp_path / "some.zip").namelist()
    assert [name.rpartition("-")[2] for name in names] == ["122.png", "120.png"]


def test_on_a_phone_in_korean_nothing_is_too_wide_or_too_small(browser: Browser, address: str) -> None:
    gallery = Gallery(browser.new_context(**(PHONE | {"locale": "ko-KR"})).new_page(), address)
    page = gallery.page
    page.goto(address)
    front(page, "갤러리")
    expect(gallery.cells.first).to_be_visible(timeout=PATIENCE)
    expect(gallery.hits).to_contain_text("그림")
    page.locator("#gallery [data-do=more]").tap()
    expect(page.locator("#gallery [name=model]")).to_contain_text("모든 체크포인트")
    assert (
        page.locator("#gallery .grid").evaluate("each => getComputedStyle(each).gridTemplateColumns").count("px") == 3
    )
    page.locator("#gallery [data-do=select]").tap()
    gallery.cells.nth(3).tap()
    expect(page.locator("#gallery .chosen")).to_have_text("1장 선택")
    small = """() => [...document.querySelectorAll('#gallery :is(button, input, select, a, .pick):not(.pick *)')]
        .map((each) => [each.outerHTML.slice(0, 90), each.getBoundingClientRect()])
        .filter(([, box]) => box.width > 2 && box.height > 2 && (box.height < 40 || box.width < 40))
        .map(([name, box]) => `${name} ${box.width}x${box.height}`)"""
    assert page.evaluate(small) == []
    page.locator("#gallery .bulk [data-do=none]").tap()
    gallery.cells.nth(3).locator(".open").tap()
    expect(gallery.details.get_by_role("button", name="휴지통으로 옮기기")).to_be_visible()
    assert page.evaluate(small) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.context.close()
    assert gallery.faults == []
