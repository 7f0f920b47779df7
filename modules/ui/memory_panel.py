"""What is loaded and what it occupies, as HTML: every worker with its models. Pure functions of what is to be shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from modules.model_manager.resident import Resident
from modules.server.messages import WorkerState
from modules.ui.details_panel import size_of
from modules.ui.markup import Html, element, icon
from modules.ui.page_words import sentence
from modules.words import Words


@dataclass(frozen=True)
class Ram:
    """The computer's memory, in bytes."""

    total: int
    free: int


def memory(workers: Sequence[WorkerState], ram: Ram, words: Words) -> Html:
    """Return every worker with the models it holds and what they occupy."""
    held = sum(len(worker.resident) for worker in workers)
    everything = (
        element(
            "button",
            words.say("models.unload_all"),
            type="button",
            cls="tool wide",
            data_act="unload",
            data_name="",
        )
        if held > 1
        else None
    )
    head = element("div", element("h2", words.say("models.memory")), everything, cls="head")
    return element("section", head, *[_worker(each, ram, words) for each in workers], cls="sheet memory")


def _worker(worker: WorkerState, ram: Ram, words: Words) -> Html:
    on_cpu = worker.device == "cpu"
    here = words.say(f"ui.worker_{worker.stage}", model=worker.model, device=worker.device)
    name = element("span", element("i", cls="dot"), here, cls=f"worker {worker.stage}")
    free = words.say("models.free", free=size_of(ram.free), total=size_of(ram.total)) if on_cpu else None
    head = element("div", name, element("span", free) if free else None, cls="facts")
    parts = [element("li", *_model(worker, each, words)) for each in reversed(worker.resident)]
    problem = worker.problem
    fault = element("p", sentence(problem.key, problem.values, words), cls="fault", role="alert") if problem else None
    empty = not parts and worker.stage != "loading"
    nothing = element("p", words.say("models.nothing_loaded"), cls="none") if empty else None
    body = element("ul", *parts) if parts else None
    scale = _scale(worker, ram) if on_cpu else None
    return element("div", head, scale, fault, body, nothing, cls=f"holder {worker.stage}")


def _scale(worker: WorkerState, ram: Ram) -> Html:
    """How much of the computer's memory each model takes, and what else is taken."""
    held = [(each.name, each.size) for each in worker.resident]
    other = max(0, ram.total - ram.free - sum(size for _, size in held))
    spans = [
        element("span", cls="model", style=_wide(size, ram), title=f"{name} · {size_of(size)}") for name, size in held
    ]
    return element(
        "div", element("span", cls="other", style=_wide(other, ram)), *spans, cls="scale", aria_hidden="true"
    )


def _wide(size: int, ram: Ram) -> str:
    return f"width:{max(0.5, 100 * size / max(1, ram.total)):.1f}%"


def _model(worker: WorkerState, model: Resident, words: Words) -> list[Html]:
    facts = [model.family.upper(), size_of(model.size), model.dtype.removeprefix("torch."), model.place]
    facts += [words.say("models.with_vae", vae=model.vae)] if model.vae else []
    parts = ", ".join(f"{part} {size_of(size)}" for part, size in model.parts)
    about = element("span", " · ".join(each for each in facts if each), cls="about", title=parts or None)
    label = words.say("models.unload_named", name=model.name)
    unload = element(
        "button",
        icon("close"),
        type="button",
        cls="tool",
        data_act="unload",
        data_name=model.name,
        data_worker=worker.name,
        aria_label=label,
        title=label,
    )
    return [element("div", element("strong", model.name), about, cls="what"), unload]
