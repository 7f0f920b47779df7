"""Pictures put over HTTP: kept as they came, shown small, refused with a sentence."""

import io
from pathlib import Path

import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from modules.api import inputs, native
from modules.errors import EaselError
from modules.server.server import Server
from tests.fake_upscalers import scene
from tests.ui.conftest import server

__all__ = ["server"]


@pytest.fixture
def client(server: Server) -> TestClient:
    app = FastAPI()
    app.add_exception_handler(EaselError, native.refusal)
    app.include_router(inputs.router(server))
    return TestClient(app)


def png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def test_what_is_put_is_kept_to_the_byte_and_shown_small(client: TestClient, server: Server) -> None:
    data = png(scene(2000, 500))
    name = client.post("/easel/inputs", content=data).json()["name"]
    assert server.inputs.file(name).read_bytes() == data
    for side, size in (("160", (160, 40)), ("768", (768, 192)), ("1600", (1600, 400))):
        answer = client.get(f"/easel/inputs/{side}/{name}.webp")
        assert answer.headers["content-type"] == "image/webp"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert Image.open(io.BytesIO(answer.content)).size == size


def test_a_turned_photo_is_shown_upright(client: TestClient) -> None:
    data, exif = io.BytesIO(), Image.Exif()
    exif[274] = 6
    scene(90, 60).save(data, "JPEG", exif=exif)
    name = client.post("/easel/inputs", content=data.getvalue()).json()["name"]
    assert Image.open(io.BytesIO(client.get(f"/easel/inputs/160/{name}.webp").content)).size == (60, 90)


@pytest.mark.parametrize(
    "content", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b""]
)
def test_what_is_no_picture_is_refused_in_the_visitor_s_language(
    client: TestClient, tmp_path: Path, content: bytes
) -> None:
    answer = client.post("/easel/inputs", content=content, headers={"accept-language": "ko"})
    told = answer.json()
    assert answer.status_code == 422 and told["error"].startswith("picture_")
    assert any("가" <= letter <= "힣" for letter in told["message"])
    assert not list((tmp_path / ".easel" / "inputs").rglob("*"))


def test_too_much_is_refused_before_all_of_it_came(client: TestClient) -> None:
    answer = client.post("/easel/inputs", content=(b"\0" * 2**20 for _ in range(80)))
    assert answer.status_code == 422 and answer.json()["error"] == "picture_bytes"


@pytest.mark.parametrize("path", ["160/" + "0" * 64, "160/..%2f..%2feasel.db", "999/" + "0" * 64, "160/x"])
def test_what_was_not_put_is_not_there(client: TestClient, path: str) -> None:
    assert client.get(f"/easel/inputs/{path}.webp").status_code in (404, 422)
