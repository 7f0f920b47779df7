"""The queue and the workers as HTML: what runs, what waits, whose it is and how long it takes."""

from collections.abc import Sequence

from modules.server.messages import WorkerState
from modules.server.views import Job
from modules.ui.markup import Html, element, joined
from modules.ui.pieces import button, outcome, short, span_of
from modules.words import Words


def queue(live: Sequence[Job], ended: Sequence[Job], paused: bool, watched: str, words: Words) -> Html:
    """Return the queue: what runs, what waits in order with whose it is and how long it takes, what ended last."""
    waiting = [job for job in live if job.status != "running"]
    head = element(
        "div",
        element("h2", words.say("ui.queue")),
        element("span", str(len(live)), cls="count") if live else None,
        element("span", cls="space"),
        button("resume", "play", words.say("ui.resume")) if paused else button("pause", "pause", words.say("ui.pause")),
        button("clear", "trash", words.say("ui.clear")) if waiting else None,
        cls="head",
    )
    rows = [_row(job, place, len(waiting), watched, words) for job, place in _placed(live)]
    body = element("ol", *rows) if rows else element("p", words.say("ui.queue_empty"), cls="none")
    note = element("p", words.say("ui.queue_paused"), cls="note") if paused else None
    before = None
    if ended:
        before = joined(
            element("h3", words.say("ui.recent")), element("ol", *[_ended(job, watched, words) for job in ended])
        )
    return element("section", head, note, body, before, cls="queue", aria_label=words.say("ui.queue"))


def _placed(live: Sequence[Job]) -> list[tuple[Job, int]]:
    place = 0
    placed = []
    for job in live:
        place += job.status != "running"
        placed.append((job, place))
    return placed


def _row(job: Job, place: int, waiting: int, watched: str, words: Words) -> Html:
    running = job.status == "running"
    left = span_of(job.progress.seconds_left, words)
    facts = [words.say("ui.running") if running else words.say("ui.place", place=place)]
    facts += [words.say("ui.images", images=job.progress.images)] if job.progress.images > 1 else []
    facts += [words.say("ui.time_left", span=left)] if left else []
    facts += [job.origin] if job.origin else []
    tools: list[Html | None]
    if running:
        tools = [button("interrupt", "stop", words.say("ui.interrupt"), job=job.id)]
    else:
        tools = [
            button("up", "up", words.say("ui.move_up"), job=job.id, place=place) if place > 1 else None,
            button("down", "down", words.say("ui.move_down"), job=job.id, place=place) if place < waiting else None,
            button("cancel", "close", words.say("ui.cancel"), job=job.id),
        ]
    bar = element("div", element("div", style=f"width:{round(job.progress.fraction * 100)}%"), cls="mini")
    return element(
        "li",
        _title(job, facts, words),
        element("div", *tools, cls="row-tools"),
        bar if running else None,
        cls=("running" if running else "waiting") + (" watched" if job.id == watched else ""),
        data_job=job.id,
    )


def _ended(job: Job, watched: str, words: Words) -> Html:
    facts = outcome(job, words)
    facts += [job.origin] if job.origin else []
    again = (
        button("retry", "retry", words.say("ui.retry"), job=job.id) if job.status in ("failed", "set_aside") else None
    )
    return element(
        "li",
        _title(job, facts, words),
        element("div", again, cls="row-tools") if again else None,
        cls=f"ended {job.status}" + (" watched" if job.id == watched else ""),
        data_job=job.id,
    )


def _title(job: Job, facts: Sequence[str], words: Words) -> Html:
    name = element("span", short(job, words), cls="prompt")
    return element(
        "button",
        name,
        element("span", " · ".join(facts), cls="facts"),
        type="button",
        cls="what",
        data_act="show",
        data_job=job.id,
        title=job.request.prompt[:300] or None,
    )


def health(workers: Sequence[WorkerState], words: Words) -> Html:
    """Return the state of every worker: starting, loading, ready, at work, lost."""
    chips = [
        element(
            "span",
            element("i", cls="dot"),
            words.say(f"ui.worker_{each.stage}", model=each.model, device=each.device),
            cls=f"worker {each.stage}",
            title=each.detail or None,
        )
        for each in workers
    ]
    return element("div", *chips, cls="health", role="status")
