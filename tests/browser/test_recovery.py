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


HELD = """
    const fetched = window.fetch;
    window.held = new Promise((go) => { window.release = go; });
    window.fetch = async (where, how) => {
        const answer = await fetched(where, how);
        if (how?.method === 'POST') await window.held;
        return answer;
    };
"""


def test_what_is_typed_before_the_form_arrives_stays(browser: Browser, tmp_path: Path) -> None:
    with serving(["-m", "tests.ui.drawing", "0", str(tmp_path), "0.02"], tmp_path) as address:
        context = browser.new_context(**DESK)
        first = Studio(context.new_page(), address).open()
        first.generate(prompt="kept from last time", negative_prompt="kept as well", steps=7)
        first.until("kept from last time", "done")
        first.page.close()
        page = context.new_page()
        page.add_init_script(HELD)
        page.goto(address)
        studio = Studio(page, address)
        expect(studio.box("prompt")).to_have_value("", timeout=PATIENCE)
        studio.fill(prompt="typed at once", steps=3)
        page.evaluate("window.release()")
        expect(studio.box("negative_prompt")).to_have_value("kept as well", timeout=PATIENCE)
        page.wait_for_function("window.easel.restored.has('txt2img')", timeout=PATIENCE)
        expect(studio.box("prompt")).to_have_value("typed at once")
        expect(studio.box("steps")).to_have_value("3")
        page.click("#txt2img_generate")
        assert studio.until("typed at once", "done")["request"]["negative_prompt"] == "kept as well"
        context.close()
