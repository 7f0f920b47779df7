"""What is loaded and what is on its way, over HTTP."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from modules.server.server import Server
from modules.ui.app import build_app
from tests.local_web import LORA, Served, Web, web
from tests.serving import until
from tests.ui.conftest import server  # noqa: F401 - a fixture


@pytest.fixture
def client(server: Server) -> TestClient:  # noqa: F811
    return TestClient(build_app(server), base_url="http://127.0.0.1:7860")


@pytest.fixture
def site() -> Iterator[Web]:
    with web() as found:
        yield found


def test_memory_is_told_and_an_unknown_model_is_not_loaded(client: TestClient) -> None:
    (worker,) = client.get("/easel/memory").json()
    assert worker["worker"] == "worker 1" and worker["models"] == [] and worker["problem"] is None
    assert client.post("/easel/memory/load", json={"name": "starter"}).status_code == 202
    assert client.post("/easel/memory/unload", json={}).status_code == 202
    answer = client.post("/easel/memory/load", json={"name": "../../x"})
    assert answer.status_code == 404 and "There is no checkpoint named ../../x" in answer.json()["message"]
    assert client.post("/easel/memory/load", json={"path": "/etc"}).status_code == 422


def test_what_this_network_holds_is_not_fetched(client: TestClient, site: Web) -> None:
    id = client.post("/easel/downloads", json={"address": site.put("/a.safetensors", Served(LORA))}).json()["id"]
    until(lambda: client.get("/easel/downloads").json()[0]["state"] == "failed", 20)
    (told,) = client.get("/easel/downloads").json()
    assert (told["id"], told["problem"]) == (id, "download_private") and site.asked == []
    assert client.post(f"/easel/downloads/{id}/remove", json={}).json() == []
    assert client.post(f"/easel/downloads/{id}/remove", json={}).status_code == 404


def test_what_cannot_be_is_refused_and_a_page_from_elsewhere_adds_nothing(client: TestClient) -> None:
    for wanted in (
        {"address": "file:///etc/passwd"},
        {"address": "https://e.com/x", "kind": "../../extensions"},
        {"address": "https://e.com/x", "folder": "/etc"},
        {"address": ""},
    ):
        assert client.post("/easel/downloads", json=wanted).status_code == 422
    answer = client.post(
        "/easel/downloads", json={"address": "https://e.com/x"}, headers={"origin": "http://evil.example"}
    )
    assert answer.status_code == 403 and client.get("/easel/downloads").json() == []
