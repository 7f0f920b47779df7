"""PNG Info and filling a form: what is shown, what is filled in and kept, what is said of the rest."""

import io
from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image
from PIL.PngImagePlugin import PngInfo as Chunks
from starlette.datastructures import Headers

from modules.images.compare import compare
from modules.images.infotext import write
from modules.request import Hires, Variation
from modules.result import Picture, Recipe, UsedHires
from modules.server.again import Change
from modules.server.recall import recall_text
from modules.server.server import Server
from modules.ui.maker import Maker
from modules.ui.pnginfo_panel import verdict
from modules.ui.recalling import of_row, picture_of
from modules.ui.tab import Page
from modules.ui.tabs.controlnet import ControlNet
from modules.ui.tabs.img2img import Img2img
from modules.ui.tabs.pnginfo import PngInfo
from modules.ui.tabs.txt2img import Txt2img
from modules.ui.watch import OWNER
from modules.words import load_words
from tests.ui.conftest import put_picture

TEXT = (
    "a red circle, <script>alert(1)</script>\nNegative prompt: blur\nSteps: 7, Sampler: Euler a, CFG scale: 5, "
    "Seed: 12, Size: 128x64, Model hash: 0123456789, Model: other, Hypertile VAE: True, RNG: CPU, Version: v1.10.1"
)


class Visitor:
    """As much of a request as the page looks at."""

    headers = Headers({"accept-language": "en"})


VISITOR: Any = Visitor()


def brought(server: Server, text: str = TEXT) -> str:
    """Bring a picture with that text, and return the name it is kept under."""
    data, chunks = io.BytesIO(), Chunks()
    if text:
        chunks.add_text("parameters", text)
    Image.new("RGB", (64, 64), "red").save(data, "PNG", pnginfo=chunks)
    return server.inputs.put(data.getvalue())


def named(maker: Any, updates: Mapping[Component, Any]) -> dict[str, Any]:
    fields = {part: name for name, part in maker.form.components.items()}
    return {fields[part]: value for part, value in updates.items()}


def test_a_text_in_the_prompt_fills_the_form_and_the_rest_is_said(page: Page, toasts: list[str]) -> None:
    with page.blocks:
        maker = Maker(page, "txt2img")
    filled = named(maker, maker.recalling.read(TEXT, VISITOR))
    assert filled["prompt"] == "a red circle, <script>alert(1)</script>" and filled["negative_prompt"] == "blur"
    assert (filled["seed"], filled["steps"], filled["width"], filled["height"]) == ("12", 7, 128, 64)
    assert (filled["sampler"], filled["model"]) == ("Euler a", "starter")
    kept = page.server.forms.load(OWNER, "txt2img")
    assert {name: kept[name] for name in filled} == filled
    assert len(toasts) == 1 and "Hypertile VAE" in toasts[0] and "<script>" not in toasts[0]


def test_an_empty_prompt_reads_the_last_picture(page: Page, toasts: list[str]) -> None:
    with page.blocks:
        maker = Maker(page, "txt2img")
    assert maker.recalling.read("", VISITOR) == {} and "no picture yet" in toasts.pop()
    put_picture(page.server, seed=5)
    put_picture(page.server, seed=77, prompt="a blue boat")
    filled = named(maker, maker.recalling.read(" ", VISITOR))
    assert (filled["prompt"], filled["seed"], filled["schedule"]) == ("a blue boat", "77", "Karras")
    assert toasts == ["The form is filled with what the picture was made with."]


def test_words_alone_in_the_prompt_change_nothing(page: Page, toasts: list[str]) -> None:
    with page.blocks:
        maker = Maker(page, "txt2img")
    assert maker.recalling.read("a cat, a dog", VISITOR) == {}
    assert "no parameters" in toasts[0]


def test_a_picture_dropped_on_the_prompt_fills_the_form(page: Page, toasts: list[str]) -> None:
    with page.blocks:
        maker = Maker(page, "txt2img")
    filled = named(maker, maker.recalling.drop(f"{brought(page.server)}:1", VISITOR))
    assert filled["seed"] == "12" and filled["model"] == "starter"
    row = put_picture(page.server, seed=4)
    assert named(maker, maker.recalling.drop(f"{row.id}:2", VISITOR))["seed"] == "4"
    toasts.clear()
    assert maker.recalling.drop(f"{brought(page.server, '')}:3", VISITOR) == {}
    assert maker.recalling.drop("refused:This is <no> picture", VISITOR) == {}
    assert ["Nothing was found" in toasts[0], toasts[1]] == [True, "This is &lt;no&gt; picture"]
    for nonsense in ("", "../../etc/passwd:1", f"{'f' * 64}:1", "99:1"):
        assert maker.recalling.drop(nonsense, VISITOR) == {}


def test_what_belongs_to_another_tab_is_said(page: Page, toasts: list[str]) -> None:
    with page.blocks:
        maker = Maker(page, "txt2img")
        other = Img2img(page, "img2img")
        units = ControlNet(page, "controlnet")
    text = f'{TEXT}, Denoising strength: 0.4, Mask blur: 4, ControlNet 0: "Module: canny, Model: None, Weight: 0.5"'
    recalled = recall_text(text, page.server)
    words = page.words.heard(None)
    maker.recalling.fill(recalled, words)
    assert "strength 0.4" in toasts[0] and "tab Inpaint" in toasts[0] and "that tab takes over" in toasts[0]
    assert named(other, other.recalling.fill(recalled, words))["init/denoising_strength"] == 0.4
    filled = named(units, units.recalling.fill(recalled, words))
    assert (filled["unit_0/enabled"], filled["unit_0/preprocessor"], filled["unit_0/weight"]) == (True, "canny", 0.5)


def test_the_checkpoint_is_kept_for_every_tab(page: Page, toasts: list[str]) -> None:
    with page.blocks:
        Maker(page, "txt2img")
        other = Img2img(page, "img2img")
    other.recalling.fill(
        recall_text(TEXT.replace("0123456789", "-").replace("other", "dreams"), page.server), page.words.heard(None)
    )
    assert page.server.forms.load(OWNER, "txt2img") == {"model": "dreams", "clip_skip": 1}
    assert page.server.forms.load(OWNER, "img2img")["steps"] == 7


def test_a_picture_somebody_brought_is_sent_with_all_it_says(page: Page) -> None:
    with page.blocks:
        maker = Img2img(page, "img2img")
    name = brought(page.server)
    filled = named(maker, maker.arrive(f"{name}:1"))
    assert (filled["init/image"], filled["seed"], filled["model"], filled["width"]) == (name, "12", "starter", 64)
    filled = named(maker, maker.arrive(f"{brought(page.server, '')}:1"))
    assert filled.keys() == {"prompt", "negative_prompt", "init/image", "width", "height"}


def test_a_picture_of_our_own_is_sent_with_its_checkpoint_its_noise_and_its_second_pass(page: Page) -> None:
    with page.blocks:
        maker = Txt2img(page, "txt2img")
    recipe = Recipe(
        prompt="a star",
        model="dreams",
        sampler="Euler",
        schedule="Karras",
        steps=4,
        cfg_scale=7,
        width=64,
        height=64,
        seed=3,
        noise_source="NV",
        seed_delta=31337,
        variation=Variation.model_validate({"seed": 9, "strength": 0.5}),
        hires=UsedHires(asked=Hires.model_validate({"scale": 1.5}), width=96, height=96),
    )
    path = page.server.files.save(Picture(Image.new("RGB", (96, 96)), recipe))
    row = page.server.library.add(path, recipe, write(recipe), "local")
    assert (row.width, row.height) == (96, 96)
    filled = named(maker, maker.arrive(f"{row.id}:1"))
    assert (filled["model"], filled["width"], filled["noise_source"], filled["seed_delta"]) == (
        "dreams",
        64,
        "NV",
        31337,
    )
    assert (filled["variation/seed"], filled["variation/strength"]) == ("9", 0.5)
    assert filled["hires_on"] and filled["hires/scale"] == 1.5


def test_a_picture_that_was_made_larger_is_sent_with_what_it_was_before(page: Page) -> None:
    with page.blocks:
        maker = Img2img(page, "img2img")
    recipe = Recipe(given=TEXT, postprocessing={"Postprocess upscale by": "4"}, width=1, height=1)
    path = page.server.files.save(Picture(Image.new("RGB", (256, 128)), recipe), "extras")
    row = page.server.library.add(path, recipe, TEXT, "local", (256, 128))
    filled = named(maker, maker.arrive(f"{row.id}:1"))
    assert (filled["prompt"][:12], filled["seed"], filled["steps"]) == ("a red circle", "12", 7)
    assert (filled["width"], filled["height"]) == (88, 64), "near the checkpoint's own area"


def test_everything_a_picture_says_is_shown_as_text(page: Page) -> None:
    with page.blocks:
        tab = PngInfo(page)
    about, offer, *_ = tab.show(brought(page.server), VISITOR)
    assert "&lt;script&gt;" in about and "<script>" not in about
    for text in ("AUTOMATIC1111", "128 × 64", "There is no setting here for: Hypertile VAE.", 'data-send="inpaint"'):
        assert text in about
    assert 'data-send="pnginfo"' not in about and 'data-act="again"' in offer
    about, offer, *_ = tab.show(brought(page.server, ""), VISITOR)
    assert "Nothing was found" in about and offer == ""
    about, offer, *_ = tab.show("nonsense", VISITOR)
    assert (about, offer) == ("", "")


def test_megabytes_of_text_do_not_make_a_page_slow(page: Page) -> None:
    with page.blocks:
        tab = PngInfo(page)
    about, _, *_ = tab.show(brought(page.server, "a: " * 500_000 + "\nSteps: 1, Seed: 2, Model: x"), VISITOR)
    assert "1500028 characters" in about and len(about) < 100_000


def test_a_picture_of_the_gallery_arrives_as_its_file(page: Page) -> None:
    with page.blocks:
        tab = PngInfo(page)
    row = put_picture(page.server, seed=9)
    name = tab.arrive(f"{row.id}:1")
    assert page.server.inputs.file(name).read_bytes() == row.path.read_bytes()
    found = picture_of(f"{name}:1", page.server)
    assert found is not None and of_row(found, page.server).recipe == row.recipe
    tab.keep(image=name)
    assert tab.load() == name


def test_a_picture_that_cannot_be_made_again_says_why(page: Page, toasts: list[str]) -> None:
    with page.blocks:
        tab = PngInfo(page)
    for text, reason in (
        (TEXT.replace("0123456789", "9999999999"), "The checkpoint other is not here."),
        (TEXT + ", Denoising strength: 0.5", "made of other pictures"),
        ("a cat\nSteps: 1, Sampler: Euler, Model: starter", "steps and a seed"),
    ):
        name = brought(page.server, text)
        assert reason in tab.show(name, VISITOR)[1]
        tab.make(name, VISITOR)
        assert reason in toasts.pop()
    assert page.server.jobs.recent(5) == []


def test_a_copy_is_queued_and_watched_until_it_is_over(page: Page) -> None:
    with page.blocks:
        tab = PngInfo(page)
    row = put_picture(page.server, seed=9)
    name = tab.arrive(f"{row.id}:1")
    job, seen, _, shown = tab.make(name, VISITOR)
    asked = page.server.jobs.get(job)
    assert asked is not None and (asked.request.seed, asked.request.prompt) == (9, "a red circle")
    assert "making queued" in shown
    assert tab.look(job, seen, name, VISITOR) == [gr.skip()] * 4
    assert tab.show(name, VISITOR)[2] == job and tab.show(brought(page.server), VISITOR)[2] == ""
    page.server.jobs.cancel(job)
    assert "making stopped" in tab.look(job, seen, name, VISITOR)[3]


def test_a_verdict_says_how_alike_two_pictures_are_and_what_has_changed() -> None:
    red, nearly, blue = (Image.new("RGB", (64, 64), each) for each in ("#c80000", "#c90000", "#0000c8"))
    words, changed = load_words("en"), [Change("torch", "2.9 <b>", "2.10")]
    for other, said in ((red, "Equal, bit for bit"), (nearly, "Close: "), (blue, "Different (PSNR below 30 dB)")):
        found = compare(red, other)
        assert found is not None
        shown = verdict("a" * 64, "/easel/pictures/1", (found, "d" * 64), changed, words)
        assert said in shown and ("PSNR" in shown) == (other is not red) == ("d" * 64 in shown)
        assert "Version of torch: 2.9 &lt;b&gt; then, 2.10 now" in shown
    shown = verdict("a" * 64, "/easel/pictures/1", None, [], words)
    assert "another size" in shown and "All that was recorded is as it was" in shown
