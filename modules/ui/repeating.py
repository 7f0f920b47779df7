"""The line that says that a form generates forever, with the button that ends it."""

from modules.server.forever import Round
from modules.ui.markup import Html, element
from modules.ui.page_words import explain
from modules.ui.pieces import button
from modules.words import Words


def line(now: Round | None, words: Words) -> Html:
    """Return what goes on, and why it waits where it does; nothing where nobody generates forever."""
    if now is None:
        return Html("")
    said = words.say("keys.forever_on", tab=words.say(f"ui.tab_{now.tab}"), rounds=now.ended)
    waits = None
    if now.problem is not None:
        waits = element("p", words.say("keys.forever_waits", reason=explain(now.problem, words)), cls="note")
    return element(
        "div",
        element("p", said, role="status"),
        button("end_forever", "stop", words.say("keys.forever_end")),
        waits,
        cls="forever",
    )
