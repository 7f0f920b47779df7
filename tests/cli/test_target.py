"""Where the pictures of one `generate` go."""

from pathlib import Path

import pytest
from PIL import Image

from modules.commands.target import target
from modules.errors import BadRequest
from modules.result import Picture
from tests.fakes import ask, fake_recipe


def picture(index: int, seed: int) -> Picture:
    request = ask("a", seed=seed, batch_count=100)
    return Picture(Image.new("RGB", (8, 8)), fake_recipe(request, request.shots()[index]))


def test_file_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.PNG"
    path.write_text("old")
    assert target(str(path), tmp_path)(picture(0, 4)) == path
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]


def test_folder_with_a_dot_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "v1.5").mkdir()
    assert target(str(tmp_path / "v1.5"), tmp_path)(picture(11, 4)) == tmp_path / "v1.5" / "00012-15.png"
    assert target(str(tmp_path / "v2.0") + "/", tmp_path)(picture(0, 4)) == tmp_path / "v2.0" / "00001-4.png"


def test_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with pytest.raises(BadRequest, match="is a file"):
        target(str(tmp_path / "plain"), tmp_path)
