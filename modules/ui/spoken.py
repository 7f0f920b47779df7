"""What the page's own scripts say, as opposed to its components and its server."""

from modules.words import Words

SAID = (
    "title",
    "names",
    "menu",
    "forever_begin",
    "forever_end",
    "shortcuts",
    "where_page",
    "where_prompt",
    "where_picture",
    "generate",
    "skip",
    "interrupt",
    "forever",
    "help",
    "weight",
    "move",
    "complete",
    "undo",
    "paste_size",
    "paste_picture",
    "turn",
    "save",
    "tile",
    "newtab",
    "split",
    "splitter",
    "done",
    "done_hint",
    "sound",
    "volume",
    "listen",
    "notify",
    "notify_denied",
    "notify_insecure",
    "awake",
    "awake_lacking",
    "ended",
    "failed",
)

KINDS = (("lora", "lora"), ("hypernet", "hypernetwork"), ("word", "embedding"))  # what a prompt calls them


def spoken(words: Words) -> dict[str, str]:
    """Return every text of the scripts by the name they know it by; "{count}" in `made` is theirs to fill in."""
    said = {name: words.say(f"keys.{name}") for name in SAID}
    said |= {f"kind_{tag}": words.say(f"networks.kind_{kind}") for tag, kind in KINDS}
    return said | {
        "close": words.say("ui.close"),
        "made": words.say("keys.made", count="{count}"),
        "hours": words.say("ui.span_hours", hours="{hours}", minutes="{minutes}"),
        "minutes": words.say("ui.span_minutes", minutes="{minutes}", seconds="{seconds}"),
        "seconds": words.say("ui.span_seconds", seconds="{seconds}"),
    }
