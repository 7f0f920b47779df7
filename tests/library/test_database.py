"""The database: made, upgraded, and refused with a sentence when it cannot be used."""

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, func, select, text

from modules.errors import SaveError, SetupError
from modules.library.database import MIGRATIONS, Database
from modules.library.gallery import Gallery
from modules.library.pictures import Library
from modules.library.records import Base, FormRecord, StateRecord
from modules.library.search import Search
from tests.images.test_infotext import changed


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'state' / 'easel.db'}"


def test_migrations_make_the_tables_of_the_records(tmp_path: Path) -> None:
    Database(url(tmp_path)).close()
    with create_engine(url(tmp_path)).connect() as connection:
        # SQLite's full-text search is no table of the records: it is made of what they hold.
        options = {"compare_type": True, "include_name": lambda name, *_: not str(name).startswith("pictures_words")}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []


def test_opened_again_everything_is_there(tmp_path: Path) -> None:
    for value in ("1", "2"):
        database = Database(url(tmp_path))
        with database.write() as session:
            session.merge(StateRecord(name=value, body="x"))
        database.close()
    database = Database(url(tmp_path))
    with database.read() as session:
        assert session.scalars(select(StateRecord.name).order_by(StateRecord.name)).all() == ["1", "2"]
        assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert session.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL: a commit survives a power cut
        assert session.execute(text("PRAGMA foreign_keys")).scalar() == 1
    database.close()


def test_a_failed_write_changes_nothing(tmp_path: Path) -> None:
    database = Database(url(tmp_path))
    with pytest.raises(RuntimeError), database.write() as session:
        session.add(StateRecord(name="a", body="b"))
        session.flush()
        raise RuntimeError
    with database.read() as session:
        assert session.get(StateRecord, "a") is None
    database.close()


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    databases = [Database(url(tmp_path)) for _ in range(2)]  # two of them, as in two processes
    with databases[0].write() as session:
        session.add(FormRecord(owner="a", tab="count", body="0"))

    def count(database: Database) -> None:
        for _ in range(25):
            with database.write() as session:
                record = session.get_one(FormRecord, ("a", "count"))
                record.body = str(int(record.body) + 1)

    threads = [threading.Thread(target=count, args=(databases[place % 2],)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with databases[1].read() as session:
        assert session.get_one(FormRecord, ("a", "count")).body == "100"
    for database in databases:
        database.close()


@pytest.mark.parametrize("content", [b"this is no database at all" * 100])
def test_a_damaged_database_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "easel.db").write_bytes(content)
    with pytest.raises(SetupError) as caught:
        Database(url(tmp_path))
    assert caught.value.key == "database_damaged"
    assert str(tmp_path) in str(caught.value)


def test_a_database_with_torn_pages_is_said(tmp_path: Path) -> None:
    database = Database(url(tmp_path))
    with database.write() as session:
        for place in range(500):
            session.add(StateRecord(name=f"{place:064d}", body="x" * 300))
    database.close()
    file = tmp_path / "state" / "easel.db"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : -4096] = b"\xff" * (len(data) - 4096 - len(data) // 2)
    file.write_bytes(data)
    with pytest.raises(SetupError) as caught:
        Database(url(tmp_path))
    assert caught.value.key == "database_damaged"


def test_a_database_of_a_newer_easel_is_said_and_left_alone(tmp_path: Path) -> None:
    Database(url(tmp_path)).close()
    with create_engine(url(tmp_path)).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SetupError) as caught:
        Database(url(tmp_path))
    assert caught.value.key == "database_newer"
    with create_engine(url(tmp_path)).connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"


@pytest.mark.parametrize("wrong", ["nonsense", "nosuch://x", "sqlite:////proc/nowhere/easel.db"])
def test_an_impossible_address_is_said(wrong: str) -> None:
    with pytest.raises(SetupError) as caught:
        Database(wrong)
    assert caught.value.key == "database_unusable"
    assert wrong.removeprefix("sqlite:///") in str(caught.value)


def test_a_write_the_disk_refuses_is_said(tmp_path: Path) -> None:
    database = Database(url(tmp_path))
    with database.read() as session:
        pages = session.execute(text("PRAGMA page_count")).scalar()
    with pytest.raises(SaveError) as caught, database.write() as session:
        session.execute(text(f"PRAGMA max_page_count={pages}"))
        session.add(StateRecord(name="a", body="x" * 100_000))
    assert caught.value.key == "database_write" and "full" in str(caught.value)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(StateRecord)) == 0
    database.close()


def test_pictures_of_an_older_database_are_found_by_their_recipes(tmp_path: Path) -> None:
    Database(url(tmp_path)).close()
    engine = create_engine(url(tmp_path))
    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        configuration.attributes["connection"] = connection
        command.downgrade(configuration, "0002")
    recipe = changed(prompt="An old lighthouse", model="sea/dreams.safetensors", sampler="Euler", seed=2**64 - 1)
    with engine.begin() as connection:
        for id, told in enumerate((recipe.model_dump_json(), "not JSON at all", "[]"), 1):
            connection.execute(
                text(
                    "INSERT INTO pictures (id, place, path, recipe, infotext, created, width, height, owner)"
                    " VALUES (:id, 0, :path, :recipe, '', 1.0, 64, 64, 'anna')"
                ),
                {"id": id, "path": f"txt2img-images/2026-01-01/{id:05}-9.png", "recipe": told},
            )
    engine.dispose()
    database = Database(url(tmp_path))
    library = Library(database, tmp_path / "outputs")
    gallery = Gallery(database, library)
    for search in (
        {"words": "lighthouse"},
        {"words": str(2**64 - 1)},
        {"model": "sea/dreams.safetensors"},
        {"sampler": "Euler", "words": "00001"},
    ):
        (row,) = gallery.page(Search.model_validate(search))
        assert (row.id, row.rating, row.trashed, row.recipe) == (1, 0, None, recipe)
    library.add(tmp_path / "outputs" / "new.png", changed(prompt="a new lighthouse", job="j"), "", "anna")
    assert [row.id for row in gallery.page(Search(words="lighthouse"))] == [4, 1]
    database.close()
