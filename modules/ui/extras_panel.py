"""The Extras tab's own panel as HTML: each picture before and after."""

from modules.api.inputs import input_url
from modules.api.pictures import picture_url, thumbnail_url
from modules.library.pictures import PictureRow
from modules.server.views import Job
from modules.tasks import Extras
from modules.ui.markup import Html, element, icon
from modules.ui.result_panel import parameters
from modules.words import Words

# The slider moves the edge between the two pictures.
RESULT = """
element.addEventListener('click', (event) => {
  const control = event.target.closest('[data-act]');
  if (control && element.contains(control)) trigger('act', {...control.dataset});
});
element.addEventListener('input', (event) => {
  event.target.closest('.compare')?.style.setProperty('--at', `${event.target.value}%`);
});
"""


def result(job: Job | None, chosen: int, words: Words) -> Html:
    """Return the pictures of a job: one large, before and after, all of them small, and what is written in it."""
    rows = sorted(job.pictures, key=lambda row: row.index) if job is not None else []
    task = job.task if job is not None else None
    if not rows or not isinstance(task, Extras):
        return element("div", icon("picture"), element("p", words.say("extras.empty")), cls="extras-result empty")
    shown = next((row for row in rows if row.index == chosen), rows[-1])
    marks = [_thumb(row, row is shown) for row in rows]
    strip = element("div", *marks, cls="strip", role="group", aria_label=words.say("ui.pictures"))
    return element(
        "div",
        _compare(shown, task, words),
        strip if len(rows) > 1 else None,
        parameters(shown, words),
        cls="extras-result",
    )


def _compare(row: PictureRow, task: Extras, words: Words) -> Html:
    url = picture_url(row)
    size = f"{row.width} × {row.height}"
    frame = f"aspect-ratio:{row.width}/{row.height};--ratio:{row.width / row.height:.4f};--at:50%"
    after = element("img", cls="after", src=url, alt=words.say("extras.after"))
    label = words.say("ui.open_full")
    full = element(
        "button", icon("expand"), type="button", cls="tool full", data_zoom=url, title=label, aria_label=label
    )
    place = next((at for at in range(len(task.pictures)) if row.index == task.places(at)[0]), -1)
    if place < 0 or task.pieces_of(place) > 1:
        return element("div", after, full, element("span", size, cls="chip right"), cls="compare", style=frame)
    before = element("img", cls="before", src=input_url(task.pictures[place]), alt=words.say("extras.before"))
    slider = element("input", type="range", min=0, max=100, value=50, step=0.1, aria_label=words.say("extras.compare"))
    chips = [
        element("span", words.say("extras.before"), cls="chip left"),
        element("span", f"{words.say('extras.after')} · {size}", cls="chip right"),
    ]
    return element("div", after, before, slider, *chips, full, cls="compare", style=frame)


def _thumb(row: PictureRow, pressed: bool) -> Html:
    return element(
        "button",
        element("img", src=thumbnail_url(row), alt="", loading="lazy", width=72, height=72),
        type="button",
        cls="thumb",
        data_act="pick",
        data_place=row.index,
        aria_pressed="true" if pressed else "false",
        aria_label=row.path.name,
        title=row.path.name,
    )
