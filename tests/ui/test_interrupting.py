"""Interrupt on the page: at once, or after the pictures in the making."""

import pytest

from modules.ui.maker import Maker
from modules.ui.tab import Page
from modules.ui.tabs.txt2img import Txt2img
from modules.ui.watch import Choice, Seen, packed
from tests.ui.conftest import put_job
from tests.ui.test_pnginfo import VISITOR


@pytest.fixture
def maker(page: Page) -> Maker:
    with page.blocks:
        return Txt2img(page, "txt2img")


@pytest.mark.parametrize("gently", [True, False])
def test_interrupt_stops_at_once_or_when_it_is_pressed_again(maker: Maker, toasts: list[str], gently: bool) -> None:
    server = maker.server
    server.options.apply({"interrupt_after_current": gently})
    id = put_job(server, batch_count=2)
    server._claims.take("w", "worker 1")
    maker.stop_job(packed(Choice(id)), packed(Seen(job=id)), VISITOR)
    assert server._claims.wish("w", id) == ("last" if gently else "stop")
    assert [each.partition(".")[0] for each in toasts] == ["The pictures in the making are finished first"] * gently
    maker.stop_job(packed(Choice(id)), packed(Seen(job=id)), VISITOR)
    assert server._claims.wish("w", id) == "stop" and len(toasts) == gently
