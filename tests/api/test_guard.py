"""Who may speak to the server."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from modules.api.guard import Guard, answers_to


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "easel.localhost"])
def test_loopback_names_are_always_answered(name: str) -> None:
    assert answers_to(name, "127.0.0.1") and answers_to(name, "0.0.0.0")


@pytest.mark.parametrize("name", ["192.168.1.5", "desktop", "desktop.local", "fe80::1", "10.0.0.2"])
def test_names_of_the_local_network_are_answered_only_when_bound_wider(name: str) -> None:
    assert answers_to(name, "0.0.0.0") and not answers_to(name, "127.0.0.1") and not answers_to(name, "localhost")


@pytest.mark.parametrize("name", ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example"])
def test_names_that_anybody_can_register_never_are(name: str) -> None:
    assert not answers_to(name, "0.0.0.0") and not answers_to(name, "127.0.0.1")


def client() -> TestClient:
    def hello(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    app = Starlette(routes=[Route("/", hello, methods=["GET", "POST"])])
    return TestClient(Guard(app, "127.0.0.1"), base_url="http://127.0.0.1:7860")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # a program
        ({"origin": "http://127.0.0.1:7860"}, 200),
        ({"origin": "http://127.0.0.1:7861"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example", "origin": "http://evil.example"}, 403),  # DNS rebinding
        ({"host": "[::1", "origin": "http://[::1"}, 403),
    ],
)
def test_only_pages_of_this_server_and_programs_may_change_anything(headers: dict[str, str], status: int) -> None:
    assert client().post("/", headers=headers).status_code == status


def test_every_answer_is_protected() -> None:
    headers = client().get("/").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "SAMEORIGIN"
