"""Easel's own HTTP interface."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from modules.api import native
from modules.api.pictures import picture_url, thumbnail_url
from modules.errors import EaselError
from modules.events import Preview, Queued
from modules.server.server import Server
from tests.ui.conftest import put_job, put_picture, server

__all__ = ["server"]


@pytest.fixture
def client(server: Server) -> TestClient:
    app = FastAPI()
    app.add_exception_handler(EaselError, native.refusal)
    app.include_router(native.router(server, {"txt2img": {"prompt", "steps"}}))
    return TestClient(app)


def test_a_picture_is_sent_as_it_lies_on_disk(client: TestClient, server: Server) -> None:
    row = put_picture(server)
    answer = client.get(picture_url(row))
    assert answer.content == row.path.read_bytes()
    assert answer.headers["content-type"] == "image/png"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert answer.headers["content-disposition"].startswith("inline")
    kept = client.get(picture_url(row, download=True)).headers["content-disposition"]
    assert kept == f'attachment; filename="{row.path.name}"'


def test_a_thumbnail_is_a_small_webp_made_once(client: TestClient, server: Server) -> None:
    row = put_picture(server)
    answer = client.get(thumbnail_url(row))
    assert answer.headers["content-type"] == "image/webp"
    assert max(Image.open(io.BytesIO(answer.content)).size) <= 288
    (kept,) = (server.settings.state / "thumbnails").rglob("*.webp")
    made = kept.stat().st_mtime_ns
    client.get(thumbnail_url(row))
    assert kept.stat().st_mtime_ns == made


@pytest.mark.parametrize("id", ["99", "0", "-1", str(2**70), "x", "..%2F..%2Fetc%2Fpasswd"])
def test_only_ids_of_the_library_are_found(client: TestClient, id: str) -> None:
    for url in (f"/easel/pictures/{id}", f"/easel/thumbnails/{id}.webp"):
        assert client.get(url).status_code in (404, 422)
    assert client.get(f"/easel/previews/{id}").status_code == 404


def test_a_picture_whose_file_is_gone_is_not_found(client: TestClient, server: Server) -> None:
    row = put_picture(server)
    Path(row.path).unlink()
    assert client.get(picture_url(row)).status_code == 404
    assert client.get(thumbnail_url(row)).status_code == 404


def test_a_preview_is_the_newest(client: TestClient, server: Server) -> None:
    job = put_job(server)
    server.jobs.tell(job, Preview(image=0, webp="UklGRg=="))
    assert client.get(f"/easel/previews/{job}").content == b"RIFF"


def test_jobs_are_added_shown_and_cancelled(client: TestClient) -> None:
    added = client.post("/easel/jobs", json={"prompt": "a star", "steps": 5})
    assert added.status_code == 201
    job = client.get(f"/easel/jobs/{added.json()['id']}").json()
    assert (job["status"], job["request"]["prompt"], job["origin"]) == ("queued", "a star", "API")
    assert [each["id"] for each in client.get("/easel/queue").json()["jobs"]] == [job["id"]]
    assert client.post(f"/easel/jobs/{job['id']}/cancel").json()["status"] == "stopped"
    assert client.get("/easel/queue").json()["jobs"] == []


@pytest.mark.parametrize(
    ("values", "status", "said"),
    [
        ({"width": 17}, 422, "divides by 8"),
        ({"steps": 0}, 422, "from 1 to 150"),
        ({"model": "none"}, 404, "no checkpoint named none"),
        ({"sampler": "none"}, 422, "no sampler named none"),
        ({"colour": "red"}, 422, "no field named colour"),
    ],
)
def test_a_refusal_says_what_is_allowed(client: TestClient, values: dict[str, Any], status: int, said: str) -> None:
    answer = client.post("/easel/jobs", json=values)
    assert answer.status_code == status and said in answer.json()["message"]
    assert client.get("/easel/jobs").json() == []


def test_the_queue_is_ordered_paused_and_cleared(client: TestClient, server: Server) -> None:
    first, second = put_job(server, "first"), put_job(server, "second")
    client.post(f"/easel/jobs/{second}/move", json={"place": 1})
    assert [each["id"] for each in client.get("/easel/queue").json()["jobs"]] == [second, first]
    assert client.post("/easel/queue/pause").json()["paused"] is True
    assert client.post("/easel/queue/resume").json()["paused"] is False
    assert client.post("/easel/queue/clear").json()["jobs"] == []
    assert client.post("/easel/queue/burn").status_code == 404
    assert client.post(f"/easel/jobs/{first}/burn").status_code == 404
    assert client.post("/easel/jobs/none/cancel").status_code == 404


def test_events_are_replayed_from_a_number_with_ids(server: Server) -> None:
    before = server.feed.last_seq
    job = put_job(server)

    async def first() -> str:
        lines = native._lines(server, before, None)
        told = await anext(lines)
        await lines.aclose()  # type: ignore[attr-defined]
        return told

    id, event, data, *_ = asyncio.run(first()).split("\n")
    assert int(id.removeprefix("id: ")) > before
    assert event == "event: queued"
    assert json.loads(data.removeprefix("data: ")) == {"job": job, **Queued().model_dump()}


def test_a_closing_page_saves_what_it_knows_and_nothing_else(client: TestClient, server: Server) -> None:
    server.forms.save("local", "txt2img", {"steps": 20, "prompt": "old"})
    answer = client.post("/easel/forms/txt2img", json={"prompt": "new", "owner": "else"})
    assert answer.status_code == 204
    assert server.forms.load("local", "txt2img") == {"steps": 20, "prompt": "new"}
    assert client.post("/easel/forms/other", json={"prompt": "x"}).status_code == 404
    assert client.post("/easel/forms/txt2img", json={"prompt": "x" * 300_000}).status_code == 413
    assert client.post("/easel/forms/txt2img", json={"prompt": 5}).status_code == 422
