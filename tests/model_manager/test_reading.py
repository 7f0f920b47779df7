"""Files are read ahead while there is room, and only as long as they are wanted."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from modules.model_manager import reading
from modules.model_manager.reading import Reader


def test_files_and_the_weights_in_folders_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "model" / "unet").mkdir(parents=True)
    (tmp_path / "model" / "unet" / "a.safetensors").write_bytes(b"x" * 1000)
    (tmp_path / "model" / "readme.md").write_bytes(b"x" * 10)
    (tmp_path / "b.safetensors").write_bytes(b"x" * 300)
    reader = Reader(lambda: 10_000)
    assert reader.read([tmp_path / "model", tmp_path / "b.safetensors"]) == 1300


def test_without_room_nothing_is_read(tmp_path: Path) -> None:
    (tmp_path / "b.safetensors").write_bytes(b"x" * 300)
    assert Reader(lambda: 299).read([tmp_path / "b.safetensors"]) == 0


def test_a_file_that_is_gone_is_no_reason_to_fail(tmp_path: Path) -> None:
    assert Reader(lambda: 10_000).read([tmp_path / "gone.safetensors"]) == 0


def test_it_ends_when_something_else_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIECE", 1)
    large = tmp_path / "large.safetensors"
    large.write_bytes(b"x" * 3_000_000)
    reader = Reader(lambda: 10**9)
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(reader.read([large])))
    thread.start()
    while thread.is_alive():
        reader.stop()
    assert done[0] < 3_000_000
