"""The page as it is served: built once, unique ids, our own routes before Gradio's, nothing from other hosts."""

import re
from collections import Counter

import pytest
from starlette.testclient import TestClient

from modules.server.server import Server
from modules.ui.app import build_app


@pytest.fixture
def client(server: Server) -> TestClient:
    return TestClient(build_app(server), base_url="http://127.0.0.1:7860")


def test_the_page_answers_and_names_no_foreign_host(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200 and "Easel" in page.text
    config = client.get("/config").json()
    assert config["footer_links"] == [] and not config["analytics_enabled"] and config["run_history"] is False
    assert config["stylesheets"] == []
    theme = client.get("/theme.css").text
    assert set(re.findall(r"https?://([^/\s)\"']+)", theme)) <= {"www.w3.org"}  # a namespace, not an address


def test_every_id_is_there_once_and_every_field_of_a_request_has_one(client: TestClient) -> None:
    ids = Counter(each["props"].get("elem_id") for each in client.get("/config").json()["components"])
    ids.pop(None, None)
    assert [name for name, times in ids.items() if times > 1] == []
    fields = "prompt negative_prompt model vae clip_skip sampler schedule steps width height cfg_scale seed"
    fields += " batch_count batch_size"
    assert {f"txt2img_{field}" for field in fields.split()} <= ids.keys()


def test_no_handler_of_the_page_is_a_public_interface(client: TestClient) -> None:
    made = client.get("/config").json()["dependencies"]
    assert [each["api_name"] for each in made if each["api_visibility"] == "public"] == []


def test_a_foreign_name_or_origin_is_refused(client: TestClient) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 403
    answer = client.post("/easel/jobs", json={"prompt": "x"}, headers={"origin": "http://evil.example"})
    assert answer.status_code == 403
    answer = client.get("/", headers={"origin": "http://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
