"""Small things the panels share, as HTML: icon buttons, spans of time, what became of a job."""

from collections.abc import Sequence

from modules.prompts.oddities import Oddity
from modules.server.views import Job
from modules.tasks import Convert, Detect, Extras, Interrogate, Merge
from modules.ui.markup import Html, element, icon, joined
from modules.words import Words

ODDITIES = 4  # of a prompt that are spelt out
BORDERS = 8


def span_of(seconds: float | None, words: Words) -> str:
    """Return a time span as people say it: "8 s", "2 min 5 s", "1 h 3 min"; empty when unknown."""
    if seconds is None:
        return ""
    whole = max(1, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return words.say("ui.span_hours", hours=hours, minutes=minutes)
    if minutes:
        return words.say("ui.span_minutes", minutes=minutes, seconds=rest)
    return words.say("ui.span_seconds", seconds=rest)


def button(act: str, drawing: str, label: str, **data: object) -> Html:
    """Return an icon button with an accessible name; `data` travels with its event."""
    values = {f"data_{name}": value for name, value in data.items()}
    return element(
        "button", icon(drawing), type="button", cls="tool", data_act=act, title=label, aria_label=label, **values
    )


def outcome(job: Job, words: Words) -> list[str]:
    """What became of a job, and how many pictures it left where that is not the one it was asked for."""
    made = sum(each.index >= 0 for each in job.pictures)
    counted = made > 1 or (made > 0 and job.status != "done")
    return [words.say(f"ui.ended_{job.status}"), *([words.say("ui.images", images=made)] if counted else [])]


def short(job: Job, words: Words) -> str:
    """Return the beginning of a job's prompt on one line, or what else it makes of what."""
    if isinstance(job.task, Extras):
        first = job.task.name_of(0) or words.say("ui.picture")
        return words.say("extras.task", name=first, upscaler=job.task.upscaler)
    if isinstance(job.task, Merge | Convert):
        return words.say(f"ui.task_{job.task.kind}", name=job.task.name)
    if isinstance(job.task, Interrogate):
        return words.say("ui.task_interrogate")
    if isinstance(job.task, Detect):
        return words.say("ui.task_detect", name=job.task.preprocessor)
    return " ".join(job.request.prompt.split())[:120] or words.say("ui.no_prompt")


def counter(tokens: int, limit: int, words: Words, borders: Sequence[str] = ()) -> Html:
    """Return "12/75", said in full to screen readers, with the last words of each chunk that is full."""
    said = words.say("ui.tokens", tokens=tokens, limit=limit)
    ends = "; ".join(f"… {each}" for each in borders[:BORDERS] if each)
    if ends:
        said += ". " + words.say("prompt.borders", ends=ends)
    return element("span", f"{tokens}/{limit}", title=said)


def odd(found: Sequence[Oddity], words: Words) -> Html:
    """Return what is odd about a prompt as a list; nothing when nothing is."""
    said = [words.say(f"prompt.{each.key}", place=each.place, **each.values) for each in found[:ODDITIES]]
    if len(found) > ODDITIES:
        said.append(words.say("prompt.more", count=len(found) - ODDITIES))
    return element("ul", *(element("li", each) for each in said), role="status") if said else Html("")


def plain(text: str) -> Html:
    """Return `text` as HTML that shows it as it is: a toast would take it for HTML."""
    return joined(text)
