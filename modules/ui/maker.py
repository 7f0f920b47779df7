"""What happens on a tab that makes pictures: its form is kept, its jobs are queued and watched.

Such a tab is a `Maker` with a name; one that has more than words adds its own components and says how they become a
request.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.errors import EaselError
from modules.library.pictures import PictureRow
from modules.model_manager.counter import TokenCounter
from modules.model_manager.model_file import ModelFile
from modules.model_manager.proofreader import Proofreader
from modules.prompts.chunks import SIZE
from modules.request import STEPS, Request, limits, make_request
from modules.ui import pieces, top
from modules.ui.acts import kept, perform
from modules.ui.device import device_of
from modules.ui.fields import Form, as_request
from modules.ui.follow import FOLLOWING, taken_over
from modules.ui.listeners import AS_TYPED, QUEUED, QUIET
from modules.ui.opened import when_opened
from modules.ui.page_words import explain
from modules.ui.recalling import Recalling, of_row, picture_of
from modules.ui.studio import Studio
from modules.ui.tab import Page
from modules.ui.units import TAB as CONTROLS
from modules.ui.units import controls_of
from modules.ui.watch import OWNER, Choice, Seen, packed, told
from modules.words import Words

PAINTED_OVER = ("init/", "mask/", "soft", "in_tiles", "tiles/", "unit_")  # the beginnings of fields
SETTLE = 0.4  # seconds a change is given to settle before it is saved or counted


class Maker:
    """The tab `name`; the first one on a page has the fields of the row on top, the others only read them."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.name = name
        self.shared = frozenset(page.top.fields if page.forms else ())
        self.words = page.words
        self.server = page.server
        self.studio = Studio(page, name, self.build, self.below)
        self.form = self.studio.form
        self.watch = self.studio.watch
        self.recalling = Recalling(page, self.form)
        self.counter = TokenCounter(page.server.catalog)
        self.proofreader = Proofreader(page.server.catalog, self.counter)

    def build(self, form: Form) -> None:
        """Build the components the tab has besides, and add those that are fields to `form`."""

    def below(self, form: Form) -> None:
        """Build the components the tab has at the end of its settings, and add those that are fields to `form`."""

    def _sliding(self, form: Form, field: str, label: str, part: Any, step: float) -> None:
        """A slider with a box, bounded and set as the field of the request's `part` is."""
        info = part.model_fields[field.rpartition("/")[2]]
        least, most, _ = limits(info.metadata)
        slider = gr.Slider(
            least or 0,
            most or 0,
            info.default,
            step=step,
            label=self.words(label),
            elem_id=f"{self.name}_{field.replace('/', '_')}",
            elem_classes="sliding",
            buttons=[],
            min_width=0,
        )
        form.add(field, slider)

    def besides(self) -> dict[str, Component]:
        """Return components that are no fields, but whose values `asked` is given as well."""
        return {}

    def asked(self, values: Mapping[str, Any]) -> list[Request]:
        """Return the requests that the values of the form mean, one for each job; raise `BadRequest`."""
        return [self.request(values)]

    def request(self, values: Mapping[str, Any], form: Mapping[str, Any] | None = None) -> Request:
        """Return the request that `values` mean, with the units of ControlNet that `form` (or `values`) asks for."""
        controls = self.controls(values if form is None else form)
        known = as_request({name: value for name, value in values.items() if name != "use_controls"})
        return make_request(known | ({"controls": controls} if controls else {}))

    def controls(self, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the units of the ControlNet tab, where the form asks for them."""
        return controls_of(self.server, self.server.forms.load(OWNER, CONTROLS)) if values.get("use_controls") else []

    def asking(self) -> Iterator[Callable[..., Any]]:
        """Yield the events that ask for pictures."""
        yield self.studio.generate.click
        for name in ("prompt", "negative_prompt"):
            yield self.form.components[name].submit  # type: ignore[attr-defined]

    def connect(self) -> None:
        """Connect the components to their handlers."""
        studio, watch = self.studio, self.watch
        parts: dict[str, Any] = dict(self.form.components)
        told_by = [watch.choice, watch.seen]
        given = parts | self.besides() | {"forever": studio.forever}
        for event in self.asking():
            event(self.add, told_by, watch.outputs, inputs_kwargs=given, trigger_mode="multiple", **AS_TYPED, **QUEUED)
        studio.interrupt.click(self.stop_job, told_by, watch.outputs, trigger_mode="multiple", **QUEUED)
        studio.skip.click(self.skip_batch, told_by, watch.outputs, trigger_mode="multiple", **QUEUED)
        watch.timer.tick(watch.tick, told_by, watch.outputs, **QUIET)
        self.page.top.refresh.click(self.refresh, told_by, watch.outputs, **QUIET)
        for part in studio.panels.values():
            part.act(self.act, told_by, watch.outputs, trigger_mode="multiple", **QUEUED)
        studio.styles.connect()
        self._connect_fields(parts)
        filled = [*parts.values()]
        for event in (
            studio.arrival.change(self.arrive, studio.arrival, filled, **QUEUED),
            studio.dropped.change(self.recalling.drop, studio.dropped, filled, **QUEUED),
            studio.read.click(self.recalling.read, parts["prompt"], filled, **QUEUED),
        ):
            event.success(None, None, None, js=f"() => window.easel.save('{self.name}')", **QUIET)
        self.page.timers[self.name] = watch.timer
        fresh = [*parts.values(), *watch.outputs, *studio.networks.outputs, studio.styles.panel]
        loaded = when_opened(self.load, fresh)
        loaded.success(None, None, None, js=f"() => window.easel.restore('{self.name}')", **QUIET)

    def _connect_fields(self, parts: dict[str, Any]) -> None:
        """What a person types is saved as it settles, and so is what the page fills in; the server saves its own."""
        studio, sides = self.studio, [parts["width"], parts["height"]]
        save = f"window.easel.save('{self.name}')"
        swapped = f"(width, height) => ({save}, [height, width])"
        studio.swap.click(None, sides, sides, js=swapped, **QUIET)
        studio.dice.click(None, None, parts["seed"], js=f"() => ({save}, '-1')", **QUIET)
        studio.reuse.click(self.reuse_seed, [self.watch.seen], parts["seed"], **QUIET)
        led = [parts[name] for name in FOLLOWING]
        parts["model"].input(self.follow, [parts["model"], *led], led, **QUIET)
        studio.networks.cards.choose(self.choose, led, [parts["model"], *led], **QUIET)
        studio.networks.connect(self.page.model, self.watch.seen, studio.changed)
        later: dict[str, Any] = {"inputs_kwargs": parts, "trigger_mode": "always_last", **AS_TYPED, **QUIET}
        saved = studio.typed.change(self.save_later, None, None, **later)
        saved.success(None, None, None, js=f"() => window.easel.saved('{self.name}')", **QUIET)
        for name, counter in studio.counters.items():
            # Learned words are for some models, some words are for some steps, and styles bring their own.
            of = (parts[name], parts["model"], parts["steps"], parts["styles"])
            count = self.count_negative if name == "negative_prompt" else self.count
            shown = [counter, studio.odd[name]]
            gr.on([part.change for part in of], count, list(of), shown, trigger_mode="always_last", **QUIET)

    def keeper(self, name: str) -> Callable[[Any], None]:
        """Return what keeps a value of the field `name`."""
        return lambda value: self.save(**{name: value})

    def load(self, request: gr.Request) -> dict[Component, Any]:
        """Give a fresh page the last values of the form and everything there is to watch."""
        kept = self.form.restored(self.server.forms.load(OWNER, self.name))
        self._forget_what_is_gone(kept)
        model = kept["model"] or ""
        kept = {name: value for name, value in kept.items() if name not in self.shared}
        updates: dict[Component, Any] = self.watch.look(Choice(), Seen(), self.words.heard(request))
        updates |= self.studio.networks.load(request, model)
        updates |= self.studio.styles.load(self.words.heard(request))
        for name, value in kept.items():
            part = self.form.components[name]
            updates[part] = gr.update(**{**updates.get(part, {}), "value": value})
        return updates

    def arrive(self, told: str) -> Any:
        """Take over a picture that another tab sends, with what it was made with."""
        row = picture_of(told, self.server)
        if row is None:
            return gr.skip()
        now = self.server.options.now
        stay = {*(() if now.send_seed else ("seed",)), *(() if now.send_size else ("width", "height"))}
        taken = {name: value for name, value in self.taken(row) if name in self.form.components.keys() - stay}
        self.recalling.keep(taken)
        return {self.form.components[name]: value for name, value in taken.items()}

    def taken(self, row: PictureRow) -> Iterator[tuple[str, Any]]:
        """Yield each field that a picture sent here fills, with its value.

        How a picture of our own was painted over concerns what it was made of, not what is made of it now.
        """
        for name, value in self.recalling.values(of_row(row, self.server)):
            if not row.id or not name.startswith(PAINTED_OVER):
                yield name, value

    def _forget_what_is_gone(self, kept: dict[str, Any]) -> None:
        catalog = self.server.catalog
        there = [name for _, name in top.checkpoints(catalog)]
        if kept["model"] not in there:
            kept["model"] = there[0] if there else None
        for name in ("hires/model", "refiner/model"):
            if kept.get(name) not in there and name in kept:
                kept[name] = ""
        if "vae" in kept and kept["vae"] not in [name for _, name in top.vaes(catalog, self.words.heard(None))]:
            kept["vae"] = self.form.defaults()["vae"]

    def add(self, choice: str, seen: str, request: gr.Request, forever: str = "", **values: Any) -> Any:
        """Add a job; a request that is not allowed is answered with what is, and changes nothing.

        With `forever`, the same is done with the form as it is by then whenever the job has ended.
        """
        words = self.words.heard(request)
        self.save(**{name: value for name, value in values.items() if name in self.form.components})
        try:
            origin = device_of(request.headers.get("user-agent", ""), words)
            jobs = [self.server.submit(request, OWNER, origin) for request in self.asked(values)]
        except EaselError as error:
            gr.Warning(pieces.plain(explain(error, words)))
            return gr.skip()
        if forever:
            besides = {name: values[name] for name in self.besides() if name in values}
            self.server.forever.begin(OWNER, self.name, jobs, partial(self.again, besides, origin))
        return self._shown(Choice(jobs[0]), seen, request)

    def again(self, besides: Mapping[str, Any], origin: str) -> list[str]:
        """Add the jobs of the form as it is kept, and return their ids."""
        kept = self.form.restored(self.server.forms.load(OWNER, self.name))
        above = self.server.forms.load(OWNER, next(iter(self.page.forms)))
        kept |= {name: above[name] for name in self.shared if name in above}
        return [self.server.submit(request, OWNER, origin) for request in self.asked({**kept, **besides})]

    def stop_job(self, choice: str, seen: str, request: gr.Request) -> Any:
        """Interrupt the job this page watches, and no other; no job follows it then."""
        job = told(Seen, seen).job
        now, stopped = self.server.forever.of(OWNER), self._stop(job, self.words.heard(request))
        if now is not None and (job in now.jobs or not stopped):
            self.server.forever.end(OWNER)
        return self._shown(told(Choice, choice), seen, request)

    def _stop(self, job: str, words: Words) -> bool:
        """Interrupt a job, at once or after the pictures in the making as the settings say; say whether it runs."""
        if not self.server.options.now.interrupt_after_current:
            return self.server.jobs.interrupt(job)
        wish = self.server.jobs.interrupt_gently(job)
        if wish == "last":
            gr.Info(pieces.plain(words.say("ui.interrupt_after")))
        return wish != ""

    def skip_batch(self, choice: str, seen: str, request: gr.Request) -> Any:
        """Let the job this page watches go on with its next batch."""
        self.server.jobs.skip(told(Seen, seen).job)
        return self._shown(told(Choice, choice), seen, request)

    def act(self, choice: str, seen: str, event: gr.EventData, request: gr.Request) -> Any:
        """Do what a button inside a panel asks for."""
        asked = {str(name): str(value) for name, value in dict(event._data or {}).items()}
        words = self.words.heard(request)
        try:
            if asked.get("act") == "keep":
                gr.Info(pieces.plain(kept(self.server, asked.get("picture", ""), words)))
                return gr.skip()
            chosen = perform(self.server, told(Choice, choice), asked)
        except EaselError as error:
            gr.Warning(pieces.plain(explain(error, words)))
            return gr.skip()
        return self._shown(chosen, seen, request)

    def reuse_seed(self, seen: str) -> Any:
        """Return the seed of the picture the page shows, in the making or finished, and keep it."""
        shown = told(Seen, seen)
        picture = self.server.library.get(shown.picture)
        job = self.server.jobs.get(shown.job)
        if picture is None and job is None:
            return gr.skip()
        seed = str(picture.recipe.seed if picture is not None else job.request.seed)  # type: ignore[union-attr]
        self.save(seed=seed)
        return seed

    def follow(self, model: str, *values: Any) -> Any:
        """Follow the checkpoint's native size, and its steps and CFG scale where it is made for few; keep all that."""
        try:
            file = self.server.catalog.find(model)
        except EaselError:
            return gr.skip()
        return self._taken_over(file, *values)

    def _taken_over(self, file: ModelFile, *values: Any) -> list[Any]:
        form = dict(zip(FOLLOWING, values, strict=True))
        after = taken_over(file, self.server.catalog.checkpoints(), form)
        self.save(model=file.name, **{name: after[name] for name in FOLLOWING})
        return [after[name] for name in FOLLOWING]

    def choose(
        self, width: Any, height: Any, steps: Any, cfg: Any, sampler: Any, schedule: Any, event: gr.EventData
    ) -> Any:
        """Choose the checkpoint whose card was clicked."""
        try:
            file = self.server.catalog.find(str(dict(event._data or {}).get("name", "")))
        except EaselError as error:
            gr.Warning(pieces.plain(str(error)))
            return gr.skip()
        return file.name, *self._taken_over(file, width, height, steps, cfg, sampler, schedule)

    def refresh(self, choice: str, seen: str, request: gr.Request) -> Any:
        """Look for new model files now."""
        self.server.catalog.refresh()
        words = self.words.heard(request)
        gr.Info(pieces.plain(words.say("networks.refreshed")))
        return self.watch.tick(choice, seen, request)

    def save(self, **values: Any) -> None:
        """Keep values of the form."""
        self.server.forms.update(OWNER, self.name, {name: _writable(value) for name, value in values.items()})

    async def save_later(self, **values: Any) -> None:
        """Keep the values of the form; while somebody types, twice a second is enough."""
        await asyncio.to_thread(self.save, **values)
        await asyncio.sleep(SETTLE)

    async def count(self, prompt: str, model: str, steps: Any, styles: Any, request: gr.Request) -> tuple[str, str]:
        """Return the token counter of a prompt for the checkpoint that is chosen, and what is odd about the prompt."""
        return await self._counted(prompt or "", model or "", steps, styles, False, self.words.heard(request))

    async def count_negative(
        self, prompt: str, model: str, steps: Any, styles: Any, request: gr.Request
    ) -> tuple[str, str]:
        """Return the same of a negative prompt."""
        return await self._counted(prompt or "", model or "", steps, styles, True, self.words.heard(request))

    async def _counted(
        self, prompt: str, model: str, steps: Any, styles: Any, negative: bool, words: Words
    ) -> tuple[str, str]:
        taken = int(steps) if isinstance(steps, int | float) and STEPS[0] <= steps <= STEPS[1] else STEPS[0]
        counter = await asyncio.to_thread(self._tokens, prompt, model, taken, styles, negative, words)
        odd = await asyncio.to_thread(self.proofreader.oddities, prompt, model, negative)
        await asyncio.sleep(SETTLE)
        return counter, pieces.odd(odd, words)

    def _tokens(self, prompt: str, model: str, steps: int, styles: Any, negative: bool, words: Words) -> str:
        """Return the token counter of a prompt with the styles that are chosen."""
        if self.server.settings.disable_token_counters:
            return ""
        if self.server.options.now.include_styles_into_token_counters:
            prompt = self.server.styles.around([str(each) for each in styles or ()], prompt, negative)
        tokens, limit = self.counter.count(prompt, model, steps, negative)
        ends = self.counter.borders(prompt, model, steps, negative) if limit > SIZE else []
        return pieces.counter(tokens, limit, words, ends)

    def _shown(self, choice: Choice, seen: str, request: gr.Request) -> Any:
        updates = self.watch.look(choice, told(Seen, seen), self.words.heard(request))
        return {**updates, self.watch.choice: packed(choice)}


def _writable(value: Any) -> Any:
    """Half of a surrogate pair, which a browser may send, cannot be written anywhere."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
