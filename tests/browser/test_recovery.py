"""A page whose server goes away and comes back: it recovers by itself, and nothing that was typed is lost."""

import socket
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import DESK, PATIENCE, Studio, serving

pytestmark = pytest.mark.browser


def test_a_page_survives_its_server(browser: Browser, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = ["-m", "tests.ui.drawing", str(port), str(tmp_path), "0.2"]
    page = browser.new_context(**DESK).new_page()
    with serving(command, tmp_path) as address:
        studio = Studio(page, address).open()
        studio.generate(prompt="begun before", steps=150)
        expect(studio.panel("progress")).to_contain_text("/150", timeout=PATIENCE)
        studio.page.wait_for_timeout(1000)
    studio.page.wait_for_timeout(3000)  # it has noticed by now
    studio.fill(prompt="typed while the server was away")
    with serving(command, tmp_path):
        expect(studio.panel("progress")).to_contain_text("/150", timeout=PATIENCE)
        expect(studio.box("prompt")).to_have_value("typed while the server was away", timeout=PATIENCE)
        expect(studio.box("steps")).to_have_value("150")
        studio.until("begun before", "running")
    page.context.close()
