"""What the buttons inside the watched panels do."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from modules.errors import BadRequest
from modules.server.server import Server
from modules.ui.watch import OWNER, Choice
from modules.words import Words

Asked = Mapping[str, str]


def perform(server: Server, choice: Choice, asked: Asked) -> Choice:
    """Do what a button asks (`act`, with the `job`, `picture` or `place` it is about); return what to watch then.

    Raises `BadRequest` for an act there is none of; an unknown job or picture changes nothing.
    """
    acts: dict[str, Callable[[], object]] = {
        "interrupt": lambda: server.jobs.interrupt(asked.get("job", "")),
        "cancel": lambda: server.jobs.cancel(asked.get("job", "")),
        "retry": lambda: server.jobs.retry(asked.get("job", "")),
        "up": lambda: server.jobs.move(asked.get("job", ""), max(1, _number(asked.get("place")) - 1)),
        "down": lambda: server.jobs.move(asked.get("job", ""), _number(asked.get("place")) + 1),
        "pause": lambda: server.jobs.pause(True),
        "resume": lambda: server.jobs.pause(False),
        "clear": lambda: server.jobs.clear(),
        "end_forever": lambda: server.forever.end(OWNER),
    }
    act = asked.get("act", "")
    if act == "pick":
        return replace(choice, picture=_number(asked.get("picture")), held=choice.held and asked.get("picture") != "0")
    if act == "show":
        return Choice(asked.get("job", ""), held=True)
    if act not in acts:
        raise BadRequest("bad_value", field="act", value=act[:60])
    acts[act]()
    return Choice(asked.get("job", "")) if act == "retry" else choice


def kept(server: Server, picture: str, words: Words) -> str:
    """Save a picture by hand, or all of its job where the settings say so; return the sentence that says where.

    Raises `BadRequest` when it is gone, `SaveError` when it cannot be written.
    """
    row = server.library.get(_number(picture))
    if row is None:
        raise BadRequest("kept_gone", value=picture[:60])
    job = server.library.of_jobs([row.job])[row.job] if row.job and not server.options.now.save_selected_only else ()
    paths = server.keeping.keep(job or [row])
    return words.say("result.kept", number=len(paths), file=paths[0])


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else 0
