"""What a picture was on its way is kept beside it, where the settings want that, and only there."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from modules.engine.engine import Engine
from modules.images import infotext, metadata
from modules.images.files import PictureFiles
from modules.result import Picture
from tests.engine.test_engine import ask
from tests.fake_models import checkpoints, engine_on, make_sd1
from tests.fakes import RecordingReport

EVERY = ("save_images_before_highres_fix", "save_images_before_color_correction", "save_mask", "save_mask_composite")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("beside")
    make_sd1(checkpoints(folder) / "one", seed=1)
    return engine_on(folder)


def make(engine: Engine, switched: bool, **values: Any) -> Picture:
    saving = engine.settings.model_copy(update=dict.fromkeys(EVERY, switched))
    engine.settings, before = saving, engine.settings
    try:
        ((picture, _),) = engine.generate(ask(width=64, height=64, **values), RecordingReport(), lambda made: made)
    finally:
        engine.settings = before
    return picture


def test_a_second_pass_keeps_the_first(engine: Engine) -> None:
    hires = {"scale": 2.0, "steps": 2, "upscaler": "Latent"}
    picture = make(engine, True, hires=hires)
    first = make(engine, False)
    assert picture.beside.keys() == {"-before-highres-fix"}
    assert picture.beside["-before-highres-fix"].tobytes() == first.image.tobytes()
    plain = make(engine, False, hires=hires)
    assert plain.beside == {} and plain.image.tobytes() == picture.image.tobytes()


def test_a_masked_picture_keeps_its_mask_and_what_was_painted(engine: Engine) -> None:
    mask = Image.new("L", (64, 64))
    ImageDraw.Draw(mask).rectangle((0, 0, 31, 63), fill=255)
    names = [engine.inputs.keep(each) for each in (Image.new("RGB", (64, 64), "red"), mask)]
    init = {"image": names[0], "color_correction": True, "denoising_strength": 1.0}
    picture = make(engine, True, init=init, mask={"image": names[1], "blur": 0})
    assert picture.beside.keys() == {"-mask", "-mask-composite", "-before-color-correction"}
    assert picture.beside["-mask"].getpixel((5, 5)) == (255, 255, 255)
    assert picture.beside["-mask"].getpixel((60, 5)) == (0, 0, 0)
    alone = picture.beside["-mask-composite"]
    assert alone.getpixel((5, 5))[3] == 255 and alone.getpixel((60, 5))[3] == 0  # type: ignore[index]
    uncorrected = np.asarray(picture.beside["-before-color-correction"])
    assert (uncorrected[:, 40:] == np.asarray(picture.image)[:, 40:]).all()  # what is kept is kept
    assert (uncorrected[:, :24] != np.asarray(picture.image)[:, :24]).any()


def test_they_lie_beside_the_picture_and_are_none_of_their_own(tmp_path: Path, engine: Engine) -> None:
    picture = make(engine, True, hires={"scale": 2.0, "steps": 1})
    path = PictureFiles(tmp_path).save(picture)
    beside = path.with_name(f"{path.stem}-before-highres-fix.png")
    text, recipe, size = metadata.read(beside) or ("", None, (0, 0))
    assert text.startswith("a red circle") and recipe is None and size == (64, 64)


def test_the_picture_that_is_painted_over_is_kept_once_by_the_hash_of_its_pixels(engine: Engine) -> None:
    image = Image.new("RGB", (64, 64), "red")
    init = {"image": engine.inputs.keep(image), "denoising_strength": 0.5}
    before, engine.settings = engine.settings, engine.settings.model_copy(update={"save_init_img": True})
    try:
        made = [engine.generate(ask(init=init), RecordingReport(), lambda picture: picture) for _ in range(2)]
        pictures = [picture for each in made for picture, _ in each]
    finally:
        engine.settings = before
    digits = hashlib.md5(image.tobytes(), usedforsecurity=False).hexdigest()
    (path,) = (engine.settings.outputs / "init-images").iterdir()
    assert path.name == f"{digits}.png" and Image.open(path).tobytes() == image.tobytes()
    assert {picture.recipe.init_hash for picture in pictures} == {digits}
    assert infotext.read(infotext.write(pictures[0].recipe))["Init image hash"] == digits
    assert [*PictureFiles(engine.settings.outputs).folders()] == [], "it is none of those that were made"
    ((plain, _),) = engine.generate(ask(init=init), RecordingReport(), lambda made: made)
    assert plain.recipe.init_hash == "" and "Init image hash" not in infotext.write(plain.recipe)
