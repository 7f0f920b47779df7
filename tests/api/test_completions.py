"""The names a prompt may hold: those that fit the checkpoint, and what extensions offer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from modules.api import completions
from modules.api.completions import Known
from modules.server.server import Server
from tests.fake_checkpoints import write_single
from tests.fake_networks import write_embedding, write_lora
from tests.ui.drawing import drawing_server

OFFER = """
from modules.hooks import hookimpl
from modules.prompts.completion import Completion

@hookimpl
def completions():
    return [Completion("animals", "__", "__", lambda: ["bird", "cat/tabby"])]
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    models = tmp_path / "models"
    write_single(models / "Stable-diffusion" / "plain.safetensors", "sd1")
    write_lora(models / "Lora" / "style" / "wash.safetensors")
    write_lora(models / "Lora" / "large.safetensors", "sdxl")
    (models / "Lora" / "page.safetensors").write_text("<!DOCTYPE html>")
    write_embedding(models / "embeddings" / "grainy.safetensors")
    extension = tmp_path / "extensions" / "animals"
    extension.mkdir(parents=True)
    (extension / "extension.toml").write_text('name = "animals"')
    (extension / "ui.py").write_text(OFFER)
    made = drawing_server(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def client(server: Server) -> TestClient:
    app = FastAPI()
    app.include_router(completions.router(server))
    return TestClient(app)


def names(client: TestClient, model: str = "") -> dict[str, Any]:
    return dict(client.get("/easel/completions", params={"model": model}).json()["names"])


def test_names_are_told_by_kind_and_by_what_fits_the_checkpoint(client: TestClient) -> None:
    assert names(client) == {"lora": ["large", "wash"], "hypernet": [], "word": ["grainy"]}
    assert names(client, "plain.safetensors")["lora"] == ["wash"]
    assert names(client, "nothing")["lora"] == ["large", "wash"]


def test_extensions_offer_names_between_marks(client: TestClient) -> None:
    marks = client.get("/easel/completions").json()["marks"]
    assert marks == [{"name": "animals", "before": "__", "after": "__", "names": ["bird", "cat/tabby"]}]


def test_tags_come_from_lists_beside_the_models(client: TestClient, tmp_path: Path) -> None:
    assert client.get("/easel/completions").json()["tags"] == []
    (tmp_path / "tags").mkdir()
    (tmp_path / "tags" / "danbooru.csv").write_text("1girl,0,600\nlong_hair,0,900\n")
    assert client.get("/easel/completions").json()["tags"] == ["long hair", "1girl"]


def test_nothing_is_sent_again_until_something_changes(client: TestClient, tmp_path: Path, server: Server) -> None:
    first = client.get("/easel/completions")
    again = {"if-none-match": first.headers["etag"]}
    assert client.get("/easel/completions", headers=again).status_code == 304
    write_lora(tmp_path / "models" / "Lora" / "new.safetensors")
    server.catalog.refresh()
    told = client.get("/easel/completions", headers=again)
    assert told.status_code == 200 and "new" in told.json()["names"]["lora"]


def test_names_are_gathered_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known(server)
    first = known.of("sd1")
    known.of("sd1")
    changed = server.catalog.changed
    monkeypatch.setattr(type(server.catalog), "search", lambda *_, **__: pytest.fail("looked again"))
    assert known.of("sd1") is known.of("sd1")
    assert server.catalog.changed == changed and known.of("sd1") == first


def test_a_name_that_a_tag_would_take_apart_is_written_as_its_hash(client: TestClient, tmp_path: Path) -> None:
    path = write_lora(tmp_path / "models" / "Lora" / "a=b.safetensors")
    assert path.is_file()
    found = [each for each in names(client)["lora"] if "a=b" in each]
    assert found == [] or (isinstance(found[0], list) and found[0][0] == "a=b"), "without a hash it is left out"
