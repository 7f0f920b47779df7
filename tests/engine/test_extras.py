"""What is done to finished pictures: their size, their look, what is written in them, and what a stop leaves."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps
from PIL.PngImagePlugin import PngInfo

from modules.engine import extras
from modules.engine.captions import Captions
from modules.engine.extras import Postprocessor
from modules.engine.report import Wanted
from modules.engine.upscaling import Upscaling
from modules.errors import BadRequest, Cancelled
from modules.events import Note
from modules.images import metadata
from modules.images.enlarging import pieces_of
from modules.images.files import PictureFiles
from modules.images.inputs import Inputs
from modules.model_manager.caption_files import CaptionFiles
from modules.model_manager.catalog import Catalog
from modules.model_manager.extras_task import settled_extras
from modules.plugins import folder_modules, make_plugins
from modules.result import Picture
from modules.server.worker import _save_extra
from modules.settings import Settings
from modules.tasks import make_extras
from modules.ui.page_words import noted
from modules.upscalers.networks.faces import Box
from modules.words import load_words
from tests.fake_captioners import parrot
from tests.fake_upscalers import compact, difference, put_upscaler, scene
from tests.fakes import RecordingReport
from tests.images.test_infotext import changed

GIVEN = (
    "a red circle, by someone\nNegative prompt: blue\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 12, Size: 90x61"
)


class Room:
    """A postprocessor on a folder of its own, and the pictures it made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(data_dir=folder)
        self.inputs = Inputs(self.settings.inputs)
        self.catalog = Catalog(self.settings)
        plugins = make_plugins("engine", folder_modules("modules.upscalers"), None)
        self.upscaling = Upscaling(plugins, self.catalog, torch.device("cpu"), 48, 16, lambda: False)
        captions = Captions(CaptionFiles(self.settings, {"Parrot": parrot()}), torch.device("cpu"), lambda: False)
        self.worker = Postprocessor(self.catalog, self.inputs, self.upscaling, captions)
        self.saved: list[str] = []
        self.made: list[Picture] = []
        self.report = RecordingReport()

    def do(self, pictures: Sequence[str], done: Sequence[int] = (), **values: Any) -> list[Picture]:
        task = make_extras({"pictures": pictures, "upscaler": "Lanczos", "scale": 2, **values})
        settled = settled_extras(task, self.catalog, list(self.upscaling.offered))
        if settled.split:
            pieces = tuple(pieces_of(self.inputs.size(name), settled) for name in pictures)
            settled = settled.model_copy(update={"pieces": pieces})
        for picture, name in self.worker.process(settled, self.report, self._save, "job", done):
            assert name == self.saved[-1]
            self.made.append(picture)
        return self.made

    def _save(self, picture: Picture, name: str) -> str:
        self.saved.append(name)
        return name


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_a_picture_becomes_larger_and_looks_the_same(room: Room) -> None:
    put_upscaler(room.folder, state=compact(strength=0.05))
    (made,) = room.do([room.inputs.keep(scene())], upscaler="tiny", scale=3)
    assert made.image.size == (270, 183)
    assert np.abs(np.asarray(made.image.resize((90, 61)), int) - np.asarray(scene(), int)).mean() < 12
    steps = [event for event in room.report.events if event.kind == "step"]
    assert [event.step for event in steps] == list(range(1, steps[-1].steps + 1))


def test_transparency_stays(room: Room) -> None:
    put_upscaler(room.folder)
    (made,) = room.do([room.inputs.keep(scene(mode="RGBA"))], upscaler="tiny")
    wanted = scene(mode="RGBA").getchannel("A").resize((180, 122), Image.Resampling.LANCZOS)
    assert difference(made.image.getchannel("A"), wanted) == 0


def test_a_picture_is_cut_from_the_middle_of_what_covers_it(room: Room) -> None:
    (made,) = room.do([room.inputs.keep(scene())], width=122, height=122)
    whole = scene().resize((180, 122), Image.Resampling.LANCZOS)
    assert made.image.size == (122, 122)
    assert difference(made.image, whole.crop((29, 0, 151, 122))) == 0


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_second_upscaler_shows_as_far_as_it_is_asked_to(room: Room, share: float) -> None:
    (made,) = room.do([room.inputs.keep(scene())], second="Nearest", second_visibility=share)
    ways = Image.Resampling.LANCZOS, Image.Resampling.NEAREST
    one, other = (scene().resize((180, 122), way) for way in ways)
    assert difference(made.image, Image.blend(one, other, share)) <= 1
    assert made.recipe.postprocessing["Postprocess upscaler 2"] == "Nearest"


def test_flipped_copies_follow_their_picture(room: Room) -> None:
    names = [room.inputs.keep(scene()), room.inputs.keep(scene(40, 40))]
    made = room.do(names, upscaler="None", flips=["horizontal", "both"], names=["one", "two"])
    assert room.saved == ["one", "one-horizontal", "one-both", "two", "two-horizontal", "two-both"]
    assert [each.recipe.index for each in made] == list(range(6))
    assert difference(made[1].image, ImageOps.mirror(scene())) == 0
    assert difference(made[2].image, scene().rotate(180)) == 0
    assert made[1].recipe.postprocessing["Flip"] == "horizontal" and "Flip" not in made[0].recipe.postprocessing


def test_the_text_of_another_tool_stays_to_the_letter(room: Room) -> None:
    chunks = PngInfo()
    chunks.add_text("parameters", GIVEN)
    data = io.BytesIO()
    scene().save(data, "PNG", pnginfo=chunks)
    (made,) = room.do([room.inputs.put(data.getvalue())])
    path = PictureFiles(room.folder / "outputs").save(made, "extras", "круг / red")
    assert path.name == "00001-круг _ red.png" and path.parent.parent.name == "extras-images"
    with Image.open(path) as image:
        done = "Postprocess upscale by: 2, Postprocess upscaler: Lanczos"
        assert image.info["parameters"] == GIVEN
        assert image.info["postprocessing"] == image.info["extras"] == done
    recipe = made.recipe
    assert (recipe.prompt, recipe.negative_prompt, recipe.seed) == ("a red circle, by someone", "blue", 12)
    assert metadata.read(path) == (GIVEN, recipe, (180, 122))


def test_a_picture_of_easel_keeps_its_recipe(room: Room) -> None:
    before = changed(prompt="a cat", seed=2**63, job="earlier", index=4)
    path = PictureFiles(room.folder / "outputs").save(Picture(scene(), before))
    (made,) = room.do([room.inputs.put(path.read_bytes())])
    kept = made.recipe.model_copy(update={"given": "", "postprocessing": {}, "job": "earlier", "index": 4})
    assert kept == before and made.recipe.job == "job"
    read = metadata.read(path)
    assert read is not None and made.recipe.given == read[0]


def test_what_exists_already_is_not_made_again(room: Room) -> None:
    names = [room.inputs.keep(scene(40 + place, 40)) for place in range(3)]
    made = room.do(names, done=[0, 1, 4], flips=["both"])
    assert [each.recipe.index for each in made] == [2, 3, 5]


def test_a_stop_leaves_the_pictures_before_it(room: Room) -> None:
    put_upscaler(room.folder)
    names = [room.inputs.keep(scene(100 + place, 80)) for place in range(3)]
    room.do(names[:1], upscaler="tiny")
    calls = len(room.report.events)  # so often it is asked, or a little more
    room.made.clear()
    room.report = RecordingReport(*_going(calls + 3), "stop")
    with pytest.raises(Cancelled):
        room.do(names, upscaler="tiny")
    assert [each.recipe.index for each in room.made] == [0]


def _going(times: int) -> list[Wanted]:
    return ["go"] * times


def test_a_skip_goes_on_with_the_next_picture(room: Room) -> None:
    names = [room.inputs.keep(scene(40 + place, 40)) for place in range(2)]
    room.report = RecordingReport("skip")
    assert [each.recipe.index for each in room.do(names)] == [1]
    assert Note(key="skipped", values={"first": 1, "last": 1}) in room.report.events


def test_a_picture_that_is_gone_is_an_error(room: Room) -> None:
    with pytest.raises(BadRequest) as refused:
        room.do(["0" * 64])
    assert refused.value.key == "picture_gone"


def test_one_bad_picture_of_many_is_named_and_the_others_are_made(room: Room) -> None:
    names = [room.inputs.keep(scene()), "0" * 64, room.inputs.keep(scene(40, 40)), room.inputs.keep(scene(20, 20000))]
    room.inputs.file(names[2]).write_bytes(b"no picture any more")
    made = room.do(names, names=["a/one", "b/two", "b/three", "c/tall"], scale=8)
    assert [each.recipe.index for each in made] == [0] and room.saved == ["a/one"]
    told = [each for each in room.report.events if isinstance(each, Note)]
    assert [(each.key, each.values["name"], each.values["error"]) for each in told] == [
        ("left_out", "b/two", "picture_gone"),
        ("left_out", "b/three", "picture_unknown"),
        ("left_out", "c/tall", "extras_size"),
    ]
    said = noted(told[2].key, told[2].values, load_words())
    assert said.startswith("c/tall was left out. A picture would have 160×160000 pixels")


def test_a_picture_is_cut_around_what_stands_out(room: Room) -> None:
    image = Image.new("RGB", (120, 60), "#88a")
    ImageDraw.Draw(image).ellipse((80, 10, 116, 46), fill="#d22")
    name = room.inputs.keep(image)
    middle, focus = (room.do([name], width=120, height=120, focus=each)[-1] for each in (False, True))
    red = [np.asarray(each.image, int)[..., 0].max(0) > 180 for each in (middle, focus)]
    assert not red[0][:90].any() and red[1][30:].any() and not red[1][-2:].any(), "all of it is there"
    assert focus.recipe.postprocessing["Auto focal point crop"] == "True"


def test_each_picture_is_cut_to_a_size_near_to_its_shape(room: Room) -> None:
    names = [room.inputs.keep(scene(*size)) for size in ((100, 100), (150, 100), (100, 900))]
    made = room.do(names, upscaler="None", auto_crop={"least": 128, "most": 256, "most_area": 128 * 192})
    assert [each.image.size for each in made] == [(128, 128), (192, 128), (100, 900)]
    assert made[0].recipe.postprocessing == {"Auto-sized crop": "128x128"}
    assert [each.key for each in room.report.events if isinstance(each, Note)] == ["crop_unfit"]


def bands(*colours: str) -> Image.Image:
    """A picture of bands of forty by forty pixels, one below the other."""
    image = Image.new("RGB", (40, 40 * len(colours)))
    for place, colour in enumerate(colours):
        image.paste(colour, (0, 40 * place, 40, 40 * place + 40))
    return image


@pytest.mark.parametrize("upright", [True, False])
def test_what_is_far_longer_than_the_size_is_split_into_pieces_that_overlap(room: Room, upright: bool) -> None:
    long = bands("#d22", "#fff", "#22d", "#fff", "#2a2")
    lying = long.transpose(Image.Transpose.ROTATE_90)
    names = [room.inputs.keep(each) for each in (long if upright else lying, scene(40, 40))]
    made = room.do(names, upscaler="None", width=40, height=40, split={"split_overlap": 0.2}, names=["long", "one"])
    assert room.saved == [*(f"long-{number}" for number in range(1, 7)), "one"]
    assert [each.recipe.index for each in made] == list(range(7))
    assert {each.image.size for each in made} == {(40, 40)}
    for place, picture in enumerate(made[:6]):
        upwards = picture.image if upright else picture.image.transpose(Image.Transpose.ROTATE_270)
        assert difference(upwards, long.crop((0, 32 * place, 40, 32 * place + 40))) == 0
    assert made[1].recipe.postprocessing == {"Split oversized images": "2/6"}
    assert made[6].recipe.postprocessing == {"Postprocess upscaler": "None"}


def test_pieces_are_of_the_picture_made_larger_and_each_is_flipped(room: Room) -> None:
    name = room.inputs.keep(bands("#d22", "#fff", "#22d"))
    made = room.do([name], width=80, height=80, split={"split_overlap": 0}, flips=["vertical"], done=[0, 1, 3])
    assert [each.recipe.index for each in made] == [2, 4, 5] and room.saved == ["2", "3", "3-vertical"]
    assert made[1].image.getpixel((40, 60)) == made[2].image.getpixel((40, 20)) == (34, 34, 221)


def test_a_picture_that_is_not_so_long_is_cut_as_ever(room: Room) -> None:
    (made,) = room.do([room.inputs.keep(scene())], width=61, height=61, split={"split_at": 0.5})
    assert made.image.size == (61, 61) and "Split oversized images" not in made.recipe.postprocessing
    with pytest.raises(BadRequest) as refused:
        room.do([room.inputs.keep(bands(*["#fff"] * 30))], width=40, height=8, split={"split_overlap": 0.9})
    assert refused.value.key == "split_pieces"
    with pytest.raises(BadRequest) as refused:
        room.do([room.inputs.keep(scene())], split={})
    assert refused.value.key == "split_size"


def test_a_photograph_that_lies_on_its_side_is_split_as_it_is_seen(room: Room) -> None:
    lying = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # it is to be turned by a quarter
    bands("#d22", "#fff", "#22d").transpose(Image.Transpose.ROTATE_90).save(lying, "PNG", exif=exif)
    name = room.inputs.put(lying.getvalue())
    assert room.inputs.size(name) == room.inputs.open(name).size == (40, 120)
    made = room.do([name], upscaler="None", width=40, height=40, split={"split_overlap": 0})
    assert [each.image.getpixel((20, 20)) for each in made] == [(221, 34, 34), (255, 255, 255), (34, 34, 221)]


def test_a_caption_is_in_the_file_and_beside_it(room: Room) -> None:
    (made,) = room.do([room.inputs.keep(scene())], caption="Parrot")
    assert made.recipe.postprocessing["Caption"] == "a picture of 180 by 122"
    path = _save_extra(PictureFiles(room.folder / "outputs"), made, "one")
    assert path.with_suffix(".txt").read_text() == "a picture of 180 by 122"
    with Image.open(path) as image:
        assert image.info["postprocessing"].endswith("Caption: a picture of 180 by 122")


def restoring(room: Room, monkeypatch: pytest.MonkeyPatch, faces: list[Box]) -> list[tuple[str, float]]:
    """Put face restorers that invert what they see where their files belong; return what they are asked."""
    put_upscaler(room.folder, "GFPGANv1.4.pth", kind="GFPGAN")
    put_upscaler(room.folder, "codeformer-v0.1.0.pth", kind="Codeformer")
    asked: list[tuple[str, float]] = []

    def restorer(file: Any, report: Any) -> Any:
        def restore(face: Any, weight: float) -> Any:
            asked.append((file.name, weight))
            return 255 - face

        return restore

    monkeypatch.setattr(room.upscaling, "restorer", restorer)
    monkeypatch.setattr(extras, "find_faces", lambda image: faces)
    return asked


def test_faces_are_restored_by_both_in_turn(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = restoring(room, monkeypatch, [Box(20, 10, 40)])
    (made,) = room.do([room.inputs.keep(scene())], upscaler="None", gfpgan=1, codeformer=0.5, codeformer_weight=0.25)
    assert asked == [("GFPGANv1.4", 0.0), ("codeformer-v0.1.0", 0.25)]
    assert made.recipe.postprocessing == {
        "GFPGAN visibility": "1",
        "CodeFormer visibility": "0.5",
        "CodeFormer weight": "0.25",
    }
    assert abs(int(np.asarray(made.image)[30, 40].astype(int).sum()) - 3 * 127) < 12  # half of it is there and back
    assert difference(made.image.crop((62, 0, 90, 61)), scene().crop((62, 0, 90, 61))) == 0


def test_faces_come_before_or_after_the_size(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    restoring(room, monkeypatch, [Box(20, 10, 40)])
    name = room.inputs.keep(scene())
    for first in (False, True):
        room.do([name], gfpgan=1, faces_first=first)
    after, before = room.made
    assert next(iter(before.recipe.postprocessing)) == "GFPGAN visibility" == list(after.recipe.postprocessing)[-1]
    inside = np.asarray(scene())[30, 40].astype(int)
    assert np.abs(np.asarray(before.image)[60, 80] - (255 - inside)).max() < 10
    assert np.abs(np.asarray(after.image)[60, 80] - inside).max() < 10  # the face in the larger picture ends before


def test_a_picture_without_a_face_says_so_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = restoring(room, monkeypatch, [])
    (made,) = room.do([room.inputs.keep(scene())], gfpgan=1, codeformer=1)
    assert asked == [] and made.image.size == (180, 122)
    assert [each for each in room.report.events if each.kind == "note"] == [Note(key="no_faces", values={"image": 1})]
