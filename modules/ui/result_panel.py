"""The picture's side of the page as HTML: progress, the large picture, thumbnails, parameters.

Pure functions of what is to be shown. Every control is a real button carrying `data-act`, which the page turns into
one Gradio event; every word comes from `locale/*/ui.json`.
"""

import base64
from collections.abc import Sequence

from modules.api.pictures import picture_url, thumbnail_url
from modules.images.infotext import postprocessing
from modules.library.pictures import PictureRow
from modules.server.views import Job, Problem
from modules.ui.markup import Html, element, icon
from modules.ui.page_words import noted, sentence
from modules.ui.pieces import button, outcome, short, span_of
from modules.words import Words

SENDS = ("txt2img", "img2img", "inpaint", "controlnet", "extras", "pnginfo")  # the tabs a picture may be sent to


def progress(job: Job | None, words: Words) -> Html:
    """Return the bar with step, picture and time left of `job`; what it has to note; why it failed."""
    if job is None:
        return element("div", cls="progress idle", data_title="")
    notes = [element("p", noted(key, values, words), cls="note") for key, values in job.notes]
    if job.status in ("failed", "set_aside"):
        return _failure(job, words)
    if job.status in ("running", "queued"):
        return _moving(job, notes, words)
    ended = element("p", " · ".join(outcome(job, words)), cls="sr-only", aria_live="polite")
    return element("div", ended, *notes, cls="progress" if notes else "progress idle", data_title="")


def made(job: Job | None, words: Words) -> Html:
    """Return how far a job is that makes no pictures of words, with buttons; when it is over, what became of it."""
    if job is None:
        return element("div", cls="making idle")
    head = element("p", element("strong", short(job, words)), cls="name")
    stop = skip = None
    if job.status == "running" and job.progress.images > 1:
        skip = button("skip", "right", words.say("ui.skip"), job=job.id)
    if job.status in ("queued", "running"):
        stop = button("cancel", "close", words.say("ui.cancel"), job=job.id)
    ended = None
    if job.status in ("done", "stopped"):
        ended = element("p", words.say(f"ui.ended_{job.status}"), cls="ended", role="status")
    return element(
        "div", element("div", head, skip, stop, cls="head"), ended, progress(job, words), cls=f"making {job.status}"
    )


def _moving(job: Job, notes: Sequence[Html], words: Words) -> Html:
    at = job.progress
    known = at.step > 0 and job.status == "running"
    percent = round(at.fraction * 100)
    left = span_of(at.seconds_left, words)
    facts = [
        element("strong", f"{percent}%" if known else words.say(f"ui.stage_{at.stage}")),
        element("span", words.say("ui.step_of", step=at.step, steps=at.steps)) if known else None,
        element("span", words.say("ui.picture_of", image=at.image + 1, images=at.images))
        if known and at.images > 1
        else None,
        element("span", words.say("ui.time_left", span=left), cls="left") if left else None,
    ]
    bar = element(
        "div",
        element("div", cls="fill" if known else "fill unknown", style=f"width:{percent if known else 100}%"),
        cls="bar",
        role="progressbar",
        aria_label=words.say("ui.progress"),
        aria_valuemin=0,
        aria_valuemax=100,
        aria_valuenow=percent if known else None,
    )
    spoken = element("p", words.say("ui.working_on", prompt=short(job, words)), cls="sr-only", aria_live="polite")
    title = f"[{' '.join(part for part in (f'{percent}%', left) if part)}]" if known else f"({left})" if left else ""
    return element(
        "div", bar, element("div", *facts, cls="facts"), *notes, spoken, cls=f"progress {job.status}", data_title=title
    )


def _failure(job: Job, words: Words) -> Html:
    problem = job.error or Problem("unknown")
    again = button("retry", "retry", words.say("ui.retry"), job=job.id)
    return element(
        "div",
        element("div", element("strong", words.say(f"ui.ended_{job.status}")), again, cls="head"),
        element("p", sentence(problem.key, problem.values, words), role="alert"),
        element("details", element("summary", words.say("ui.details")), element("pre", problem.detail))
        if problem.detail
        else None,
        cls="failure",
        data_title="",
    )


def stage(live: bytes | None, picture: PictureRow | None, words: Words) -> Html:
    """Return the large picture: the live preview (WebP), or a finished one, or a hint.

    A preview travels inside the page's own answer: by the time a browser asked for it, it might be gone.
    """
    if live is not None:
        source = f"data:image/webp;base64,{base64.b64encode(live).decode()}"
        shown = element("img", cls="live", src=source, alt=words.say("ui.preview"))
        following = element("button", shown, type="button", cls="open", disabled=True)
        return element("div", following, element("span", words.say("ui.live"), cls="chip"), cls="stage")
    if picture is None:
        return element("div", icon("picture"), element("p", words.say("ui.empty_stage")), cls="stage empty")
    url = picture_url(picture)
    label = words.say("ui.open_full")
    large = element("img", cls="finished", src=url, alt=picture.recipe.prompt or words.say("ui.picture"))
    opener = element("button", large, type="button", cls="open", data_zoom=url, aria_label=label, title=label)
    return element("div", opener, cls="stage")


def strip(
    job: Job | None, own: Sequence[PictureRow], older: Sequence[PictureRow], chosen: int, live: bool, words: Words
) -> Html:
    """Return the thumbnails: the pictures of the watched job with places for those to come, then the older ones."""
    marks: list[Html] = []
    if job is not None and job.status == "running":
        marks.append(
            element(
                "button",
                element("span", cls="pulse"),
                type="button",
                cls="thumb now",
                data_act="pick",
                data_picture=0,
                aria_pressed="true" if live else "false",
                aria_label=words.say("ui.follow"),
                title=words.say("ui.follow"),
            )
        )
    marks += [_thumb(row, row.id == chosen and not live, words) for row in own]
    if own and older:
        marks.append(element("span", cls="gap"))
    marks += [_thumb(row, row.id == chosen and not live, words) for row in older]
    if not marks:
        return Html("")
    return element("div", *marks, cls="strip", role="group", aria_label=words.say("ui.pictures"))


def _thumb(row: PictureRow, pressed: bool, words: Words) -> Html:
    label = words.say("ui.picture_with_seed", seed=row.recipe.seed)
    image = element("img", src=thumbnail_url(row), alt="", loading="lazy", width=72, height=72)
    return element(
        "button",
        image,
        type="button",
        cls="thumb",
        data_act="pick",
        data_picture=row.id,
        aria_pressed="true" if pressed else "false",
        aria_label=label,
        title=row.recipe.prompt[:200] or label,
    )


def parameters(picture: PictureRow | None, words: Words, job: Sequence[PictureRow] = ()) -> Html:
    """Return the full parameters text of the picture, with download and copy; `job` are all pictures of its job."""
    if picture is None:
        return Html("")
    text = "\n".join(each for each in (picture.infotext, postprocessing(picture.recipe)) if each)
    tools = element(
        "div",
        element("span", picture.path.name, cls="name"),
        element(
            "button",
            icon("copy"),
            type="button",
            cls="tool",
            data_copy="pre",
            title=words.say("ui.copy_parameters"),
            aria_label=words.say("ui.copy_parameters"),
        ),
        element(
            "button",
            icon("sparkles"),
            type="button",
            cls="tool larger",
            data_press="txt2img_larger",
            title=words.say("ui.larger"),
            aria_label=words.say("ui.larger"),
        ),
        element(
            "a",
            icon("download"),
            element("span", words.say("ui.download")),
            cls="tool wide",
            href=picture_url(picture, download=True),
            download=picture.path.name,
        ),
        button("keep", "keep", words.say("result.keep"), picture=picture.id),
        _archive(job, words) if len(job) > 1 else None,
        cls="tools",
    )
    return element("div", tools, sends(picture.id, words), element("pre", text), cls="parameters")


def _archive(rows: Sequence[PictureRow], words: Words) -> Html:
    """Return the button that brings all pictures of a job as one file."""
    label = words.say("result.archive")
    ids = element("input", type="hidden", name="ids", value=",".join(str(row.id) for row in rows))
    press = element("button", icon("archive"), type="submit", cls="tool", title=label, aria_label=label)
    return element("form", ids, press, method="post", action="/easel/gallery/download", cls="archive")


def sends(picture: int | str, words: Words, own: str = "") -> Html:
    """Return the buttons that send a picture to a tab other than its `own`.

    `picture` is the id of one on record, or the name of one that somebody brought.
    """
    buttons = [
        element(
            "button",
            words.say(f"ui.send_{tab}"),
            type="button",
            cls="tool",
            data_send=tab,
            data_picture=picture,
            data_label=words.say(f"ui.tab_{tab}"),
            title=f"{words.say('ui.send_to')}: {words.say(f'ui.send_{tab}')}",
        )
        for tab in SENDS
        if tab != own
    ]
    return element("div", *buttons, cls="sends", role="group", aria_label=words.say("ui.send_to"))
