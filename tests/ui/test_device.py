"""Whose a job is, from what browsers say of themselves."""

import pytest

from modules.ui.device import device_of
from modules.words import load_words

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1"


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (CHROME, "Chrome on Linux"),
        (CHROME + " Edg/140.0", "Edge on Linux"),
        (IPHONE, "Safari on iPhone"),
        ("curl/8.5.0", ""),
        ("Mozilla/5.0 (Windows NT 10.0)", "Windows"),
    ],
)
def test_browser_and_system_are_named(agent: str, device: str) -> None:
    assert device_of(agent, load_words("en")) == device
