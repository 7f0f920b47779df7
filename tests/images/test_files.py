"""Names, numbers, and files that are complete or not there."""

import io
import os
import re
import threading
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from modules.errors import SaveError
from modules.images import infotext, metadata
from modules.images.files import PictureFiles
from modules.images.lock import LOCK
from modules.result import Picture
from modules.saving import Saving
from tests.images.test_infotext import RECIPE, changed


def picture(seed: int = 1234) -> Picture:
    return Picture(Image.new("RGB", (16, 16), "red"), changed(seed=seed))


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.name != LOCK)


def test_name_is_number_and_seed_in_the_folder_of_the_day(tmp_path: Path) -> None:
    path = PictureFiles(tmp_path / "outputs").save(picture())
    today = datetime.now().strftime("%Y-%m-%d")
    assert path == tmp_path / "outputs" / "txt2img-images" / today / "00001-1234.png"
    found = metadata.read(path)
    assert found is not None and found[1:] == (RECIPE.model_copy(update={"seed": 1234}), (16, 16))
    assert names(path.parent) == ["00001-1234.png"]


def test_number_follows_the_largest_in_the_folder(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path)
    folder = files.save(picture()).parent
    (folder / "00041-grid.jpg").touch()
    (folder / "notes.txt").touch()
    assert files.save(picture()).name == "00042-1234.png"
    (folder / "123456-1.png").touch()
    assert files.save(picture()).name == "123457-1234.png"


def test_many_at_once_get_different_numbers(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path)
    saved: list[Path] = []

    def work(seed: int) -> None:
        for _ in range(10):
            saved.append(files.save(picture(seed)))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = sorted(int(path.name[:5]) for path in saved)
    assert numbers == list(range(1, 61))


def test_nothing_stays_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    folder = PictureFiles(tmp_path).save(picture()).parent
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SaveError) as caught:
        PictureFiles(tmp_path).save(picture())
    assert caught.value.key == "save_full"
    assert str(folder) in str(caught.value) and re.search(r"\d+ bytes", str(caught.value))
    assert names(folder) == ["00001-1234.png"]


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*arguments: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(SaveError) as caught:
        PictureFiles(tmp_path).save(picture())
    assert caught.value.key == "save_denied"


def test_outputs_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "outputs").touch()
    with pytest.raises(SaveError) as caught:
        PictureFiles(tmp_path / "outputs").save(picture())
    assert caught.value.key == "save_failed"


def test_half_written_files_of_dead_processes_are_swept(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path)
    folder = files.save(picture()).parent
    dead = next(pid for pid in range(4_000_000, 4_100_000) if not Path(f"/proc/{pid}").exists())
    (folder / f".{dead}-0a1b2c3d.easel-tmp").touch()
    mine = folder / f".{os.getpid()}-0a1b2c3d.easel-tmp"
    mine.touch()
    assert files.sweep() == 1
    assert names(folder) == [mine.name, "00001-1234.png"]


def test_thumbnail_fits_the_square(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 32), "red").save(tmp_path / "a.png")
    with Image.open(io.BytesIO(PictureFiles(tmp_path).thumbnail(tmp_path / "a.png", 16))) as small:
        assert (small.format, small.size) == ("WEBP", (16, 8))


def test_names_and_folders_follow_their_patterns(tmp_path: Path) -> None:
    saving = Saving(
        samples_filename_pattern="[steps]-[prompt_words]",
        save_images_add_number=False,
        directories_filename_pattern="[model_name]/[seed]",
        directories_max_prompt_words=2,
    )
    files = PictureFiles(tmp_path, saving)
    paths = [files.save(picture()) for _ in range(3)]
    assert [each.relative_to(tmp_path / "txt2img-images").as_posix() for each in paths] == [
        "starter/1234/20-a red.png",
        "starter/1234/20-a red-1.png",
        "starter/1234/20-a red-2.png",
    ]


def test_names_without_folders_tell_more(tmp_path: Path) -> None:
    path = PictureFiles(tmp_path, Saving(save_to_dirs=False)).save(picture())
    assert path == tmp_path / "txt2img-images" / "00001-1234-a red circle.png"
    nameless = PictureFiles(tmp_path, Saving(samples_filename_pattern="[none]", save_images_add_number=False))
    assert nameless.save(picture()).name == "00001.png"


def test_each_kind_may_have_its_own_folder(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    files = PictureFiles(outputs, Saving(outdir_txt2img_samples="mine", outdir_extras_samples=str(tmp_path / "far")))
    paths = [files.save(picture()), files.save(picture(), "extras", "x"), files.save(picture(), "img2img")]
    assert [each.parent.parent for each in paths] == [tmp_path / "mine", tmp_path / "far", outputs / "img2img-images"]
    assert {each.parent.resolve() for each in paths} <= set(files.folders())
    everything = PictureFiles(outputs, Saving(outdir_samples="outputs/all", outdir_txt2img_samples="mine"))
    assert everything.save(picture(), "extras", "x").parent.parent == outputs / "all"


HOSTILE = [
    "../../../../x",
    "..",
    "a/b",
    "\\\\server\\share",
    "C:\\x",
    "a\0b",
    "CON",
    "nul.txt",
    "가" * 300,
    "dots . . .",
    "\u202e",
]


@pytest.mark.parametrize("prompt", HOSTILE)
def test_no_prompt_leads_out_of_the_folder(tmp_path: Path, prompt: str) -> None:
    saving = Saving(samples_filename_pattern="[prompt_spaces]", directories_filename_pattern="[prompt]")
    hostile = Picture(Image.new("RGB", (16, 16)), changed(prompt=prompt.replace("\0", "\1")))
    for numbers in (True, False):
        files = PictureFiles(tmp_path / "outputs", saving.model_copy(update={"save_images_add_number": numbers}))
        path = files.save(hostile, "txt2img")
        assert path.is_file() and path.resolve().is_relative_to((tmp_path / "outputs" / "txt2img-images").resolve())
        assert metadata.read(path) is not None
    assert files.save(hostile, "extras", prompt).is_file()


def test_many_without_numbers_overwrite_nothing(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path, Saving(samples_filename_pattern="same", save_images_add_number=False))
    saved: list[Path] = []
    threads = [threading.Thread(target=lambda: saved.extend(files.save(picture()) for _ in range(8))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(saved)) == 32 and all(each.is_file() for each in saved)


def test_text_lies_beside_the_picture(tmp_path: Path) -> None:
    path = PictureFiles(tmp_path, Saving(save_txt=True)).save(picture())
    found = metadata.read(path)
    assert found is not None and path.with_suffix(".txt").read_text(encoding="utf-8") == found[0] + "\n"


def test_a_large_png_gets_a_smaller_jpeg_that_is_no_picture_of_its_own(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path, Saving(target_side_length=64))
    assert not files.save(picture()).with_suffix(".jpg").exists()
    path = files.save(Picture(Image.new("RGB", (128, 32), "red"), RECIPE))
    found = metadata.read(path.with_suffix(".jpg"))
    assert found == (infotext.write(RECIPE), None, (64, 16))
    heavy = PictureFiles(tmp_path, Saving(img_downscale_threshold=0.0001))
    assert heavy.save(picture()).with_suffix(".jpg").is_file()
    never = PictureFiles(tmp_path, Saving(target_side_length=64, export_for_4chan=False))
    assert not never.save(Picture(Image.new("RGB", (128, 32)), RECIPE)).with_suffix(".jpg").exists()


def test_grids_are_numbered_by_themselves(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path, Saving(grid_save_to_dirs=False, grid_format="webp"))
    assert files.save_grid(picture()) == tmp_path / "txt2img-grids" / "grid-0001.webp"
    named = PictureFiles(tmp_path, Saving(grid_save_to_dirs=False, grid_extended_filename=True))
    assert named.save_grid(picture()).name == "grid-0002-1234-a red circle.png"
    assert tmp_path / "txt2img-grids" in files.folders()
    mine = PictureFiles(tmp_path / "outputs", Saving(outdir_grids="all"))
    assert mine.save_grid(picture()).parent.parent == tmp_path / "all"
