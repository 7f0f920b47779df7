"""The Extras tab's own panels as HTML: the pictures somebody brought, and each before and after."""

from collections.abc import Sequence

from modules.api.inputs import input_url
from modules.api.pictures import picture_url, thumbnail_url
from modules.library.pictures import PictureRow
from modules.server.views import Job
from modules.tasks import MOST_PICTURES, Extras
from modules.ui.markup import Html, element, icon
from modules.ui.result_panel import parameters
from modules.words import Words

Brought = tuple[str, str]
"""The name of a picture in the inputs, and what its file is called."""

FORMATS = "image/png,image/jpeg,image/webp,image/avif,image/gif,image/bmp,image/tiff"

# Files are put by our own route, so that the bytes come as they are; the page learns the names of what was kept.
SOURCE = """
element.addEventListener('click', (event) => {
  const control = event.target.closest('[data-act]');
  if (control && element.contains(control)) trigger('act', {...control.dataset});
});
const send = async (files) => {
  const box = element.querySelector('.drop');
  if (!files.length || !box) return;
  const put = [], refused = [];
  for (const [at, file] of files.entries()) {
    box.dataset.busy = `${at + 1}/${files.length}`;
    try {
      const answer = await fetch('/easel/inputs', {method: 'POST', body: file});
      const told = await answer.json();
      if (answer.ok) put.push([told.name, file.name]);
      else refused.push(`${file.name}: ${told.message}`);
    } catch (error) {
      refused.push(`${file.name}: ${error.message}`);
    }
  }
  delete box.dataset.busy;
  trigger('put', {put, refused});
};
element.addEventListener('change', (event) => {
  if (event.target.type === 'file') send([...event.target.files]);
});
element.addEventListener('dragover', (event) => {
  event.preventDefault();
  element.querySelector('.drop')?.classList.add('over');
});
element.addEventListener('dragleave', () => element.querySelector('.drop')?.classList.remove('over'));
element.addEventListener('drop', (event) => {
  event.preventDefault();
  element.querySelector('.drop')?.classList.remove('over');
  send([...event.dataTransfer.files]);
});
document.addEventListener('paste', (event) => {
  const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith('image/'));
  if (files.length && element.offsetParent !== null) {
    event.preventDefault();
    send(files);
  }
});
"""

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


def source(pictures: Sequence[Brought], words: Words) -> Html:
    """Return the place where pictures are dropped, pasted or chosen, and those that were."""
    chooser = element(
        "label",
        icon("picture"),
        element("span", words.say("extras.drop")),
        element("small", words.say("extras.drop_hint", most=MOST_PICTURES)),
        element("input", type="file", multiple=True, accept=FORMATS, cls="sr-only"),
        cls="drop" + ("" if pictures else " empty"),
    )
    if not pictures:
        return element("div", chooser, cls="source")
    clear = element("button", words.say("extras.clear"), type="button", cls="tool wide", data_act="clear")
    head = element("div", element("span", words.say("ui.images", images=len(pictures))), clear, cls="head")
    marks = [_mark(name, title, words) for name, title in pictures]
    return element("div", chooser, head, element("ul", *marks), cls="source")


def _mark(name: str, title: str, words: Words) -> Html:
    label = words.say("extras.remove", name=title)
    remove = element(
        "button",
        icon("close"),
        type="button",
        cls="tool",
        data_act="remove",
        data_name=name,
        title=label,
        aria_label=label,
    )
    return element("li", element("img", src=input_url(name, "160"), alt=title, loading="lazy"), remove, title=title)


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
    place, copy = divmod(row.index, task.each)
    if copy or place >= len(task.pictures):
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
