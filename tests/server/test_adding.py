"""A download with the real catalog: it appears, its trigger words are written down, and it is not fetched twice."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from modules.library.database import Database
from modules.model_manager.catalog import Catalog
from modules.server.adding import make_downloads
from modules.server.downloads import Downloads
from modules.settings import Settings
from tests.local_web import LORA, Served, Web, web
from tests.serving import until


@pytest.fixture
def site() -> Iterator[Web]:
    with web() as found:
        yield found


def ended(downloads: Downloads, id: str) -> tuple[str, str, str]:
    def found() -> tuple[str, str, str]:
        return next((each.state, each.problem, each.model) for each in downloads.all() if each.id == id)

    until(lambda: found()[0] in ("done", "failed"), 20)
    return found()


def test_a_new_model_is_in_the_catalog_at_once(tmp_path: Path, site: Web) -> None:
    settings = Settings(data_dir=tmp_path, private_downloads=True)
    database = Database(settings.database_url)
    catalog = Catalog(settings, database=database)
    assert catalog.files("lora") == []
    downloads = make_downloads(settings, catalog, database)
    address = site.put("/ink.safetensors", Served(LORA))
    assert ended(downloads, downloads.add(address)) == ("done", "", "ink")
    (file,) = catalog.files("lora")
    assert (file.name, file.path) == ("ink", tmp_path / "models" / "Lora" / "ink.safetensors")
    catalog.hashed(file)
    again = downloads.add(site.put("/other.safetensors", Served(LORA)), sha256=Served(LORA).sha256)
    assert ended(downloads, again)[1] == "download_have"
    assert [each.name for each in catalog.files("lora")] == ["ink"]
    assert not list((tmp_path / "models" / ".downloads").iterdir())
    downloads.close()
    database.close()


def test_without_leave_nothing_of_this_network_is_fetched(tmp_path: Path, site: Web) -> None:
    settings = Settings(data_dir=tmp_path)
    database = Database(settings.database_url)
    downloads = make_downloads(settings, Catalog(settings, database=database), database)
    assert ended(downloads, downloads.add(site.put("/ink.safetensors", Served(LORA))))[1] == "download_private"
    assert site.asked == []
    downloads.close()
    database.close()


def test_keys_come_from_the_settings_and_are_not_shown(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, civitai_token=SecretStr("c-key"), huggingface_token=SecretStr("h-key"))
    assert "c-key" not in repr(settings) and "h-key" not in json.dumps(settings.model_dump(mode="json"))
