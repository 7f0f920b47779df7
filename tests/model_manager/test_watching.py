"""New files appear by themselves, and are examined and hashed in the background."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.library.database import Database
from modules.model_manager.catalog import Catalog
from modules.model_manager.watching import Watcher
from modules.settings import Settings
from tests.fake_networks import write_lora
from tests.serving import until


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_lora(tmp_path / "models" / "Lora" / "first.safetensors")
    return tmp_path


@pytest.fixture
def catalog(root: Path) -> Iterator[Catalog]:
    settings = Settings(data_dir=root)
    database = Database(settings.database_url)
    catalog = Catalog(settings, {}, database)
    catalog.watch()
    yield catalog
    catalog.stop()
    database.close()


def names(catalog: Catalog) -> list[str]:
    return [file.name for file in catalog.search("lora").files]


def test_files_come_change_and_go(root: Path, catalog: Catalog) -> None:
    assert names(catalog) == ["first"]
    before = catalog.changed
    path = write_lora(root / "models" / "Lora" / "new folder" / "second.safetensors", "sdxl")
    until(lambda: names(catalog) == ["first", "second"])
    until(lambda: catalog.search("lora", "second").files[0].family == "sdxl")
    assert catalog.changed > before
    write_lora(path, "sd2")
    until(lambda: catalog.search("lora", "second").files[0].family == "sd2")
    path.unlink()
    until(lambda: names(catalog) == ["first"])
    write_lora(root / "models" / "LyCORIS" / "third.safetensors")
    until(lambda: names(catalog) == ["first", "third"])


def test_hashes_are_worked_out_and_kept(root: Path, catalog: Catalog) -> None:
    digest = hashlib.sha256((root / "models" / "Lora" / "first.safetensors").read_bytes()).hexdigest()
    until(lambda: catalog.search("lora").files[0].sha256 == digest)
    assert catalog.search("lora", digest).total == 1
    assert Catalog(Settings(data_dir=root), {}).find(digest[:10], "lora").name == "first"


def test_what_another_process_worked_out_is_taken_over(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=root)
    database = Database(settings.database_url)
    page, worker = (Catalog(settings, {}, database) for _ in range(2))
    page.files("lora")
    hashed = worker.hashed(worker.find("first", "lora"))
    monkeypatch.setattr("modules.model_manager.chores.sha256_of", lambda *_: pytest.fail("hashed again"))
    assert page.hashed(page.find("first", "lora")) == hashed
    database.close()


def test_nothing_is_hashed_where_that_is_switched_off(root: Path) -> None:
    catalog = Catalog(Settings(data_dir=root, hashing=False), {})
    catalog.watch()
    until(lambda: catalog.search("lora").files[0].family == "sd1")
    catalog.stop()
    assert catalog.search("lora").files[0].hash == ""
    assert catalog.hashed(catalog.find("first", "lora")).hash


def test_an_end_does_not_wait_for_a_long_hash(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()

    def endless(path: Path, going: object) -> str:
        begun.set()
        while callable(going) and going():
            pass
        return ""

    monkeypatch.setattr("modules.model_manager.chores.sha256_of", endless)
    catalog = Catalog(Settings(data_dir=root), {})
    catalog.watch()
    assert begun.wait(60)
    catalog.stop()
    catalog.watch()  # and again
    catalog.stop()


def test_what_cannot_be_hashed_is_not_tried_for_ever(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Path] = []

    def unreadable(path: Path, going: object) -> str:
        tries.append(path)
        raise OSError

    monkeypatch.setattr("modules.model_manager.chores.sha256_of", unreadable)
    write_lora(root / "models" / "Lora" / "second.safetensors")
    catalog = Catalog(Settings(data_dir=root), {})
    catalog.watch()
    until(lambda: len(tries) == 2)
    catalog.stop()
    assert len(tries) == 2


def test_without_any_folder_the_watcher_waits_and_ends(tmp_path: Path) -> None:
    watcher = Watcher(lambda: [str(tmp_path / "absent")], lambda: False, lambda: False)
    watcher.start()
    watcher.stop()
    assert watcher.ending
