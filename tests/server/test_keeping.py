"""Pictures saved by hand: copies, and a line for each in a table with A1111's columns."""

import csv
from pathlib import Path
from typing import Any

import pytest

from modules.errors import BadRequest
from modules.server.keeping import COLUMNS, archive_name
from modules.server.server import Server
from tests.serving import fake_server
from tests.ui.conftest import put_picture


def served(folder: Path, **values: Any) -> Server:
    return fake_server(folder, **values)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_copy_and_a_line(tmp_path: Path) -> None:
    server = served(tmp_path)
    row = put_picture(server, 7, '고양이, "cat"\nand a dog')
    (path,) = server.keeping.keep([row])
    assert path.parent == tmp_path / "outputs" / "saved" and path.name == "00001-7-고양이, _cat__and a dog.png"
    assert path.read_bytes() == row.path.read_bytes()
    (other,) = server.keeping.keep([row])
    assert other.name.startswith("00002-7-")
    lines = table(tmp_path / "outputs" / "saved" / "log.csv")
    assert tuple(lines[0]) == COLUMNS
    assert [line["filename"] for line in lines] == [path.name, other.name]
    assert lines[0] == {
        "prompt": '고양이, "cat"\nand a dog',
        "seed": "7",
        "width": "64",
        "height": "64",
        "sampler": "Euler",
        "cfgs": "7",
        "steps": "4",
        "filename": path.name,
        "negative_prompt": "",
        "sd_model_name": "starter",
        "sd_model_hash": "0123456789",
    }
    server.stop()


def test_an_older_table_gets_the_columns_it_lacks(tmp_path: Path) -> None:
    server = served(tmp_path, outdir_save="kept", use_save_to_dirs_for_ui=True, directories_filename_pattern="[seed]")
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / "log.csv").write_text('prompt,mine,seed\n"old, one",x,1\n', encoding="utf-8")
    server.keeping.keep([put_picture(server, 7, "new")])
    lines = table(folder / "log.csv")
    assert [(each["prompt"], each["mine"], each["seed"], each["filename"]) for each in lines] == [
        ("old, one", "x", "1", ""),
        ("new", "", "7", "7/00001-7.png"),
    ]
    server.stop()


def test_without_a_table_and_without_the_file(tmp_path: Path) -> None:
    server = served(tmp_path, save_write_log_csv=False)
    row = put_picture(server)
    (path,) = server.keeping.keep([row])
    assert path.is_file() and not (path.parent / "log.csv").exists()
    row.path.unlink()
    with pytest.raises(BadRequest, match="not where it was saved"):
        server.keeping.keep([row])
    server.stop()


def test_an_archive_is_called_by_its_pictures(tmp_path: Path) -> None:
    server = served(tmp_path)
    rows = [put_picture(server, seed, job="j", index=seed) for seed in (3, 4)]
    stamp, _, rest = archive_name(rows, "").partition("_")
    assert len(stamp) == 14 and stamp.isdigit() and rest == "[starter]_3-4"
    assert archive_name(rows[:1], "").endswith("_[starter]_3")
    assert archive_name(rows, "[prompt_words] [seed_first]") == "a red circle 3"
    server.stop()
