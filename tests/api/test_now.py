"""What is made at this moment, in few words."""

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from modules.api import now
from modules.events import Step
from modules.server.server import Server
from tests.ui.conftest import put_job, put_picture, server

__all__ = ["server"]


@pytest.fixture
def client(server: Server) -> TestClient:
    app = FastAPI()
    app.include_router(now.router(server))
    return TestClient(app)


def test_what_is_made_and_what_became_of_the_last_ones(client: TestClient, server: Server) -> None:
    assert client.get("/easel/now").json() == {"live": [], "ended": []}
    first, second = put_job(server, "a  red\ncircle"), put_job(server, "a star")
    taken = server._claims.take("w", "worker 1")
    assert taken is not None and taken.id == first
    server.jobs.tell(first, Step(image=0, batch=1, images=1, step=5, steps=20))
    live = client.get("/easel/now").json()["live"]
    assert [(job["id"], job["status"]) for job in live] == [(first, "running"), (second, "queued")]
    assert live[0]["fraction"] == 0.25
    put_picture(server, job=first)
    server._claims.finish("w", taken, 1)
    told = client.get("/easel/now").json()
    assert [job["id"] for job in told["live"]] == [second]
    (ended,) = told["ended"]
    assert (ended["id"], ended["status"], ended["pictures"], ended["words"]) == (first, "done", 1, "a red circle")
    assert 0 <= ended["seconds"] < 60
