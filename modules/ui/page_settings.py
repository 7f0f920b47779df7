"""What the scripts of a page go by: settings that are read when the page is built."""

from typing import Any

from modules.prompting import WHITESPACE
from modules.settings import Settings

ALWAYS = " []<>|"  # what ends a word whatever the settings say


def page_settings(settings: Settings) -> dict[str, Any]:
    """Return what `prompt.js`, `complete.js`, `networks.js` and `alerts.js` find as `window.easel.settings`."""
    white = [each.strip() for each in settings.keyedit_delimiters_whitespace.split(",")]
    stops = settings.keyedit_delimiters + "".join(WHITESPACE.get(each, "") for each in white) + ALWAYS
    return {
        "step": settings.keyedit_precision_attention,
        "tag_step": settings.keyedit_precision_extra,
        "stops": stops,
        "moves": settings.keyedit_move,
        "separator": settings.extra_networks_add_text_separator,
        "weight": f"{settings.extra_networks_default_multiplier:g}",
        "alerts": {
            "sound": settings.notification_audio,
            "volume": settings.notification_volume,
            "awake": settings.prevent_screen_sleep_during_generation,
        },
    }
