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
from modules.images import metadata
from modules.images.files import PictureFiles
from modules.images.lock import LOCK
from modules.result import Picture
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
