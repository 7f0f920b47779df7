"""Settings that the scripts of a page go by, in a real browser: keys of a prompt, what a card writes, no counters."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, serving
from tests.browser.test_networks import Visit, card, open_tab
from tests.fake_checkpoints import write_single
from tests.fake_networks import write_lora

pytestmark = pytest.mark.browser
OWN = {
    "keyedit_precision_attention": 0.05,
    "keyedit_precision_extra": 0.2,
    "keyedit_delimiters": "-",
    "keyedit_move": False,
    "extra_networks_add_text_separator": ", ",
    "extra_networks_default_multiplier": 0.7,
    "lora_preferred_name": "Alias from file",
    "disable_token_counters": True,
    "notification_volume": 30,
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("own")
    write_single(folder / "models" / "Stable-diffusion" / "plain.safetensors", "sd1")
    write_lora(folder / "models" / "Lora" / "wash.safetensors", metadata={"ss_output_name": "aquarelle"})
    settings: Path = folder / ".easel" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps(OWN), encoding="utf-8")
    with serving(["-m", "tests.ui.drawing", "0", str(folder), "0.02"], folder) as found:
        yield found


def test_the_page_goes_by_its_settings(visit: Visit) -> None:
    studio = visit()
    page, prompt = studio.page, studio.box("prompt")
    expect(page.locator("#txt2img .counter span")).to_have_count(0)
    prompt.fill("a, b-cat")
    prompt.press("End")
    prompt.press("Control+ArrowUp")
    expect(prompt).to_have_value("a, b-(cat:1.05)")
    prompt.fill("a, b")
    prompt.press("End")
    prompt.press("Control+ArrowUp")
    expect(prompt).to_have_value("a, (b:1.05)")
    assert page.evaluate("window.easel.weighed('<lora:x:1>', 3, 3, true).put") == "<lora:x:1.2>"
    prompt.fill("a, b")
    open_tab(studio)
    take = card(studio, "wash").locator(".take")
    take.click()
    expect(prompt).to_have_value("a, b, <lora:aquarelle:0.7>", timeout=PATIENCE)
    expect(take).to_have_attribute("aria-pressed", "true")
    take.click()
    expect(prompt).to_have_value("a, b")
    assert page.evaluate("window.easel.alerts.wishes.volume") == 30
    kept = page.evaluate(
        """() => {
          const area = document.querySelector('#txt2img_prompt textarea');
          area.focus();
          area.setSelectionRange(0, 0);
          const kind = {key: 'ArrowRight', altKey: true, bubbles: true, cancelable: true};
          const event = new KeyboardEvent('keydown', kind);
          area.dispatchEvent(event);
          return !event.defaultPrevented && area.value;
        }"""
    )
    assert kept == "a, b", "the browser gets the key"
