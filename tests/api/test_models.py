"""Model files over HTTP, on a folder that the test makes."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from modules.api import models, native
from modules.api.models import preview_url
from modules.errors import EaselError
from modules.server.server import Server
from tests.fake_networks import beside, picture, write_embedding, write_lora
from tests.ui.conftest import put_picture
from tests.ui.drawing import drawing_server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lora = tmp_path / "models" / "Lora"
    wash = write_lora(lora / "style" / "wash.safetensors")
    beside(wash, activation_text="wet", preferred_weight=0.8)
    picture(wash.with_suffix(".png"), 200, (900, 600))
    write_lora(lora / "large.safetensors", "sdxl")
    (lora / "page.safetensors").write_text("<!DOCTYPE html>")
    write_embedding(tmp_path / "models" / "embeddings" / "grainy.safetensors")
    return lora


@pytest.fixture
def server(tmp_path: Path, folder: Path) -> Iterator[Server]:
    made = drawing_server(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def client(server: Server) -> TestClient:
    app = FastAPI()
    app.add_exception_handler(EaselError, native.refusal)
    app.include_router(models.router(server))
    return TestClient(app)


def names(client: TestClient, **asked: object) -> list[str]:
    query = {name: str(value) for name, value in asked.items()}
    return [each["name"] for each in client.get("/easel/models", params=query).json()["files"]]


def test_files_are_found_by_kind_words_family_and_folder(client: TestClient) -> None:
    assert names(client, kind="lora") == ["large", "wash", "page"], "what is broken comes last"
    assert names(client, kind="lora", descending=True)[:2] == ["wash", "large"]
    assert names(client, kind="lora", words="was") == ["wash"]
    assert names(client, kind="lora", folder="style") == ["wash"]
    assert "wash" not in names(client, kind="lora", family="sdxl")
    assert names(client, kind="lora", limit=1, offset=1) == ["wash"]
    assert client.get("/easel/models?kind=lora&limit=1").json()["total"] == 3
    broken = client.get("/easel/models?kind=lora&words=page").json()["files"][0]
    assert broken["problem"]


@pytest.mark.parametrize("query", ["kind=nothing", "kind=../lora", "kind=lora&limit=9999", "kind=lora&sort=x"])
def test_anything_else_is_refused(client: TestClient, query: str) -> None:
    assert client.get(f"/easel/models?{query}").status_code in (404, 422)


def test_details_are_told_and_written_down_as_a1111_does(client: TestClient, folder: Path) -> None:
    url = "/easel/models/details?kind=lora&name=wash"
    told = client.get(url).json()
    assert (told["trigger_words"], told["preferred_weight"], told["family"]) == ("wet", 0.8, "sd1")
    changed = client.put(url, json={"notes": "soft", "preferred_weight": 0.5}).json()
    assert (changed["notes"], changed["trigger_words"], changed["preferred_weight"]) == ("soft", "wet", 0.5)
    written = json.loads((folder / "style" / "wash.json").read_text())
    assert (written["notes"], written["activation text"], written["preferred weight"]) == ("soft", "wet", 0.5)


@pytest.mark.parametrize(
    "changes",
    [
        {"preferred_weight": 3},
        {"preferred_weight": "NaN"},
        {"path": "/etc"},
        {"sd_version": "SD9"},
        {"notes": "x" * 20_001},
    ],
)
def test_what_cannot_be_written_down_is_refused(client: TestClient, folder: Path, changes: dict[str, object]) -> None:
    before = (folder / "style" / "wash.json").read_text()
    assert client.put("/easel/models/details?kind=lora&name=wash", json=changes).status_code == 422
    assert (folder / "style" / "wash.json").read_text() == before


def test_a_preview_is_small_made_once_and_has_another_address_when_it_changes(
    client: TestClient, server: Server, folder: Path
) -> None:
    def address() -> str:
        return str(client.get("/easel/models/details?kind=lora&name=wash").json()["preview"])

    first = address()
    answer = client.get(first)
    assert answer.headers["content-type"] == "image/webp" and "immutable" in answer.headers["cache-control"]
    assert Image.open(io.BytesIO(answer.content)).size == (512, 341)
    (kept,) = (server.settings.state / "thumbnails" / "models").iterdir()
    made = kept.stat().st_mtime_ns
    client.get(first)
    assert kept.stat().st_mtime_ns == made
    row = put_picture(server)
    assert client.put("/easel/models/preview?kind=lora&name=wash", json={"picture": row.id}).status_code == 200
    assert parse_qs(urlsplit(address()).query)["at"] != parse_qs(urlsplit(first).query)["at"]
    colour = Image.open(io.BytesIO(client.get(address()).content)).convert("RGB").getpixel((30, 30))
    assert isinstance(colour, tuple) and colour[0] > 180 and max(colour[1:]) < 30, "the red of the library's picture"


def test_only_pictures_of_the_library_become_previews(client: TestClient, folder: Path) -> None:
    before = (folder / "style" / "wash.png").read_bytes()
    for asked, status in (({"picture": 99}, 404), ({"picture": "/etc/passwd"}, 422), ({"picture": -1}, 422)):
        assert client.put("/easel/models/preview?kind=lora&name=wash", json=asked).status_code == status
    assert (folder / "style" / "wash.png").read_bytes() == before


@pytest.mark.parametrize("name", ["none", "../../../../etc/passwd", "style/../style/wash", "/etc/passwd", "\0"])
def test_only_names_of_the_catalog_are_found(client: TestClient, name: str) -> None:
    for route in ("details", "preview"):
        assert client.get(f"/easel/models/{route}", params={"kind": "lora", "name": name}).status_code == 404


def test_a_picture_that_is_none_is_not_shown(client: TestClient, server: Server, folder: Path) -> None:
    (folder / "large.png").write_text("<svg onload='alert(1)'/>")
    server.catalog.refresh()
    assert client.get("/easel/models/preview?kind=lora&name=large").status_code == 404
    assert client.get("/easel/models/preview?kind=embedding&name=grainy").status_code == 404


def test_a_preview_that_is_gone_has_no_address(server: Server, folder: Path) -> None:
    file = server.catalog.find("wash", "lora")
    assert preview_url(file, folder / "style" / "wash.png").startswith("/easel/models/preview?kind=lora&name=wash&at=")
    assert preview_url(file, folder / "none.png") == preview_url(file, None) == ""


def test_new_files_are_found_on_demand(client: TestClient, folder: Path) -> None:
    names(client, kind="lora")
    write_lora(folder / "new.safetensors")
    client.post("/easel/models/refresh")
    assert "new" in names(client, kind="lora")
