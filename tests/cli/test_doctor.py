"""`doctor`: what is here, and what looks wrong."""

import sqlite3
from pathlib import Path

import pytest

from modules.commands import doctor
from modules.library.database import Database
from tests.cli.conftest import Command
from tests.fake_networks import write_lora


def test_healthy_house(run: Command, tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path / '.easel' / 'easel.db'}").close()
    ran = run("doctor")
    assert ran.out.splitlines()[-1] == "Nothing looks wrong."
    assert ran.code == 0
    for part in ("torch ", "Pictures are made on", "of memory are free", "Schema ", "tiny", "GB free"):
        assert part in ran.out


def test_doctor_changes_nothing(run: Command, tmp_path: Path) -> None:
    ran = run("doctor")
    assert ran.code == 0 and "does not exist yet" in ran.out
    assert list(tmp_path.iterdir()) == []


def test_damaged_database(run: Command, tmp_path: Path) -> None:
    (tmp_path / ".easel").mkdir()
    (tmp_path / ".easel" / "easel.db").write_bytes(b"no database at all, only some text" * 100)
    ran = run("doctor")
    assert ran.code == 1 and "The database" in ran.out


def test_jobs_set_aside_are_named(run: Command, tmp_path: Path) -> None:
    file = tmp_path / ".easel" / "easel.db"
    Database(f"sqlite:///{file}").close()
    with sqlite3.connect(file) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(jobs)") if row[3] and not row[5]]
        values = ["set_aside" if name == "status" else 1 for name in columns]
        marks = ", ".join("?" for _ in columns)
        connection.execute(f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({marks})", values)
    ran = run("doctor")
    assert ran.code == 1 and "Jobs: set_aside 1" in ran.out and "1 jobs were set aside" in ran.out


def test_broken_extension_is_named_with_its_reason(run: Command, tmp_path: Path) -> None:
    (tmp_path / "extensions").mkdir()
    (tmp_path / "extensions" / "broken.py").write_text("import nothing_of_that_name")
    ran = run("doctor")
    assert ran.code == 1 and "nothing_of_that_name" in ran.out


def test_strange_model_is_named(run: Command, tmp_path: Path) -> None:
    strange = tmp_path / "more" / "strange"
    strange.mkdir(parents=True)
    (strange / "model_index.json").write_text("{}")
    ran = run("doctor", "--ckpt-dir", str(tmp_path / "more"))
    assert ran.code == 1 and "strange cannot be used" in ran.out


def test_device_that_is_not_there(run: Command) -> None:
    ran = run("doctor", "--device-id", "97")
    assert ran.code == 1 and "There is no device cuda:97" in ran.out


def test_missing_package_and_full_disk(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed_here", lambda name: None if name == "rich" else "9999.0")
    monkeypatch.setattr(doctor, "LITTLE_DISK", 1e30)
    ran = run("doctor")
    assert ran.code == 1 and "rich>=14 is needed" in ran.out and "are free on the disk" in ran.out


def test_files_of_other_kinds_are_counted(run: Command, tmp_path: Path) -> None:
    write_lora(tmp_path / "more" / "good.safetensors")
    (tmp_path / "more" / "page.safetensors").write_text("<html>")
    ran = run("doctor", "--lora-dir", str(tmp_path / "more"))
    assert "Lora: 2 files, 1 of them cannot be used" in ran.out
