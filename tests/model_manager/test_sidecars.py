"""What lies beside a model file, read and written as A1111 and its companions do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from modules.errors import BadRequest, SaveError
from modules.model_manager.catalog import Catalog
from modules.model_manager.model_file import Details, ModelFile
from modules.settings import Settings
from tests.fake_networks import picture, write_lora

TAGS = json.dumps({"10_cat": {"cat": 12, " sitting": 3}, "5_dog": {"dog": 7, "sitting": 6, "odd": "x"}})
METADATA = {"ss_tag_frequency": TAGS, "modelspec.description": "As the file says", "ss_sd_model_name": "base.ckpt"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_lora(tmp_path / "models" / "Lora" / "a.v1.safetensors", metadata=METADATA)
    return tmp_path / "models" / "Lora"


@pytest.fixture
def catalog(folder: Path) -> Catalog:
    return Catalog(Settings(data_dir=folder.parents[1]), {})


def the_file(catalog: Catalog) -> ModelFile:
    return catalog.find("a.v1", "lora")


def read(catalog: Catalog) -> Details:
    return catalog.details(the_file(catalog))


def test_metadata_of_the_file(catalog: Catalog) -> None:
    details = read(catalog)
    assert details.metadata == METADATA
    assert details.description == "As the file says"
    assert details.tags == [("cat", 12), ("sitting", 9), ("dog", 7)]
    assert (details.notes, details.trigger_words, details.preferred_weight, details.preview) == ("", "", 0.0, None)


def test_what_a_person_wrote_in_a1111(folder: Path, catalog: Catalog) -> None:
    written = {
        "description": "Mine",
        "notes": "Works best with ink",
        "activation text": "inkstyle, lines",
        "negative text": "colour",
        "preferred weight": 0.7,
        "sd version": "SD1",
    }
    (folder / "a.v1.json").write_text(json.dumps(written))
    (folder / "a.v1.txt").write_text("From a text file")
    details = read(catalog)
    assert (details.description, details.notes) == ("Mine", "Works best with ink")
    assert (details.trigger_words, details.negative_text) == ("inkstyle, lines", "colour")
    assert (details.preferred_weight, details.sd_version) == (0.7, "SD1")


def test_a_text_file_describes(folder: Path, catalog: Catalog) -> None:
    (folder / "a.v1.description.txt").write_text("The second choice", "utf-8-sig")
    assert read(catalog).description == "The second choice"
    (folder / "a.v1.txt").write_text("The first")
    assert read(catalog).description == "The first"


def test_what_civitai_helper_wrote(folder: Path, catalog: Catalog) -> None:
    about = {
        "trainedWords": ["inkstyle", "lines ", 3],
        "baseModel": "SD 1.5",
        "description": "<p>One &amp; <b>only</b></p><script>alert(1)</script>two<br/>three",
        "model": {"name": "Ink"},
    }
    (folder / "a.v1.civitai.info").write_text(json.dumps(about))
    details = read(catalog)
    assert (details.trigger_words, details.sd_version) == ("inkstyle, lines", "SD 1.5")
    assert details.description == "One & only\nalert(1)two\nthree"


@pytest.mark.parametrize("name", ["a.v1.png", "a.v1.preview.png", "a.v1.jpg", "a.v1.preview.webp", "a.v1.jpeg"])
def test_previews(folder: Path, catalog: Catalog, name: str) -> None:
    assert not the_file(catalog).preview
    picture(folder / name, 0)
    assert the_file(catalog).preview
    assert read(catalog).preview == folder / name


def test_a_picture_of_another_model_is_no_preview(folder: Path, catalog: Catalog) -> None:
    picture(folder / "a.png", 0)
    assert not the_file(catalog).preview and read(catalog).preview is None


CHANGES: dict[str, Any] = {
    "description": "New",
    "notes": "Two\nlines,\t한국어 👩‍🎨",
    "trigger_words": "inkstyle",
    "negative_text": "",
    "preferred_weight": 0.85,
    "sd_version": "SDXL",
}


def test_what_is_written_down_is_there_and_what_was_there_stays(folder: Path, catalog: Catalog) -> None:
    (folder / "a.v1.json").write_text(json.dumps({"another program's": [1, 2], "notes": "old"}))
    before = catalog.changed
    catalog.save_details(the_file(catalog), CHANGES)
    details = read(catalog)
    assert {name: getattr(details, name) for name in CHANGES} == {**CHANGES, "negative_text": ""}
    written = json.loads((folder / "a.v1.json").read_text("utf-8"))
    assert written["another program's"] == [1, 2]
    assert written["activation text"] == "inkstyle" and written["preferred weight"] == 0.85
    assert catalog.changed > before
    assert sorted(each.name for each in folder.iterdir()) == ["a.v1.json", "a.v1.safetensors"]


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "x"},
        {"preferred_weight": 1e9},
        {"preferred_weight": float("nan")},
        {"preferred_weight": "1"},
        {"notes": "x" * 100_000},
        {"notes": 5},
        {"notes": "half a pair \ud800\n"},
        {"notes": "a\0b"},
    ],
)
def test_what_cannot_be_written_down_changes_nothing(folder: Path, catalog: Catalog, changes: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        catalog.save_details(the_file(catalog), {"description": "x", **changes})
    assert not (folder / "a.v1.json").exists()


@pytest.mark.parametrize("content", ["[1, 2]", "not JSON", '{"a": '])
def test_another_programs_file_is_not_overwritten(folder: Path, catalog: Catalog, content: str) -> None:
    (folder / "a.v1.json").write_text(content)
    with pytest.raises(SaveError):
        catalog.save_details(the_file(catalog), {"notes": "x"})
    assert (folder / "a.v1.json").read_text() == content


def test_notes_are_not_written_through_a_link_out(folder: Path, catalog: Catalog) -> None:
    target = folder.parents[1] / "elsewhere.json"
    target.write_text("{}")
    (folder / "a.v1.json").symlink_to(target)
    with pytest.raises(SaveError):
        catalog.save_details(the_file(catalog), {"notes": "x"})
    assert target.read_text() == "{}"


def test_a_preview_keeps_what_is_written_in_the_picture(folder: Path, catalog: Catalog) -> None:
    about = PngImagePlugin.PngInfo()
    about.add_text("parameters", "ink, lines\nSteps: 20")
    made = folder.parents[1] / "made.png"
    Image.new("RGB", (32, 48), "red").save(made, pnginfo=about)
    catalog.set_preview(the_file(catalog), made)
    assert the_file(catalog).preview
    with Image.open(folder / "a.v1.png") as image:
        assert image.size == (32, 48) and image.info["parameters"].startswith("ink, lines")


def test_a_preview_may_come_from_another_kind_of_picture(folder: Path, catalog: Catalog) -> None:
    made = picture(folder.parents[1] / "made.webp", 0, (32, 48))
    picture(folder / "a.v1.png", 50)
    catalog.set_preview(the_file(catalog), made)
    with Image.open(folder / "a.v1.png") as image:
        assert (image.format, image.size) == ("PNG", (32, 48))


def test_what_is_no_picture_does_not_replace_the_preview(folder: Path, catalog: Catalog) -> None:
    old = picture(folder / "a.v1.png", 0).read_bytes()
    for content in (b"no picture", b"\x89PNG\r\n\x1a\n"):
        made = folder.parents[1] / "made.png"
        made.write_bytes(content)
        with pytest.raises(BadRequest):
            catalog.set_preview(the_file(catalog), made)
    assert (folder / "a.v1.png").read_bytes() == old
    assert sorted(each.name for each in folder.iterdir()) == ["a.v1.png", "a.v1.safetensors"]


def test_a_folder_that_cannot_be_written_is_said(
    folder: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    file = the_file(catalog)
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(SaveError):
        catalog.save_details(file, {"notes": "x"})
    monkeypatch.undo()
    assert sorted(each.name for each in folder.iterdir()) == ["a.v1.safetensors"]
