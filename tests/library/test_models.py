"""What is known of model files: kept and replaced; and a database that fails stops nobody."""

from pathlib import Path

from sqlalchemy import text

from modules.library.database import Database, join
from modules.library.models import ModelIndex, StoredModel

ONE = StoredModel("lora", "/models/Lora/ink.safetensors", "10:20", "1:sd1", "sd1", 512, "ab" * 32, "cd" * 6, "Ink")
ODD = StoredModel("lora", "/models/Lora/먹 '\"%_.safetensors", "", problem="web_page", problem_values='{"file": "x"}')


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    index = ModelIndex(Database(f"sqlite:///{tmp_path / 'easel.db'}"))
    checkpoint = ONE._replace(kind="checkpoint", defaults='{"native_size": 512}')
    index.keep([ONE, ODD, checkpoint])
    assert index.all("lora") == {ONE.path: ONE, ODD.path: ODD}
    assert index.all("checkpoint") == {ONE.path: checkpoint}
    assert index.get("lora", ODD.path) == ODD
    assert index.get("vae", ODD.path) is None


def test_a_row_replaces_the_one_of_its_path(tmp_path: Path) -> None:
    index = ModelIndex(Database(f"sqlite:///{tmp_path / 'easel.db'}"))
    index.keep([ONE])
    index.keep([ONE._replace(mark="11:21", sha256="")])
    assert index.all("lora")[ONE.path].sha256 == ""


def test_thousands_at_once(tmp_path: Path) -> None:
    index = ModelIndex(Database(f"sqlite:///{tmp_path / 'easel.db'}"))
    rows = [ONE._replace(path=f"/{number}") for number in range(2500)]
    index.keep(rows)
    index.keep(rows)
    assert index.all("lora") == {row.path: row for row in rows}


def test_a_database_without_the_table_knows_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'easel.db'}")
    with database.write() as session:
        session.execute(text("DROP TABLE models"))
    index = ModelIndex(database)
    index.keep([ONE])
    assert index.all("lora") == {} and index.get("lora", ONE.path) is None


def test_joining_takes_the_database_as_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'easel.db'}"
    assert join(url) is None and not (tmp_path / "easel.db").exists()
    ModelIndex(Database(url)).keep([ONE])
    joined = join(url)
    assert joined is not None and ModelIndex(joined).all("lora") == {ONE.path: ONE}
    (tmp_path / "broken.db").write_bytes(b"this is no database" * 100)
    broken = join(f"sqlite:///{tmp_path / 'broken.db'}")
    assert broken is not None and ModelIndex(broken).all("lora") == {}
    for wrong in ("nonsense", "nosuch://x", "sqlite://"):
        assert join(wrong) is None
