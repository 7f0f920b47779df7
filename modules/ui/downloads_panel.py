"""Adding a model from an address, as HTML: the form, what an address seems to be, and what is on its way."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from modules.model_manager.kinds import KINDS
from modules.server.download import GOING, Download
from modules.server.sources import CIVITAI_HOSTS, HF_HOSTS, guess
from modules.ui.details_panel import size_of
from modules.ui.markup import Html, element, joined
from modules.ui.page_words import sentence
from modules.ui.pieces import button, span_of
from modules.words import Words


def form(words: Words, times: int = 0) -> Html:
    """Return the empty form; `times` makes one that differs from the one before, so that it is empty again."""
    address = words.say("models.address")
    kinds = [("", words.say("models.find_out")), *[(kind, words.say(f"models.kind_{kind}")) for kind in KINDS]]
    options = [element("option", label, value=value) for value, label in kinds]
    return element(
        "form",
        element("h2", words.say("models.add")),
        element(
            "div",
            element(
                "input",
                name_="address",
                type="text",
                inputmode="url",
                autocomplete="off",
                autocapitalize="off",
                spellcheck="false",
                required=True,
                maxlength=4000,
                placeholder="https://huggingface.co/…  https://civitai.com/models/…",
                aria_label=address,
                title=address,
            ),
            element("button", words.say("models.add_button"), type="submit", cls="add-button"),
            cls="ask",
        ),
        element(
            "div",
            _label(words.say("models.kind"), element("select", *options, name_="kind")),
            _label(words.say("models.file_name"), _line("name", words.say("models.as_told"), 200)),
            _label("SHA-256", _line("sha256", words.say("models.if_known"), 64)),
            cls="more",
        ),
        cls="add-model",
        novalidate=True,
        data_times=times,
    )


def _label(text: str, control: Html) -> Html:
    return element("label", element("span", text), control)


def _line(name: str, hint: str, longest: int) -> Html:
    return element(
        "input", name_=name, type="text", maxlength=longest, placeholder=hint, autocomplete="off", spellcheck="false"
    )


def hint(address: str, kind: str, homes: dict[str, Path], words: Words) -> Html:
    """Return what an address seems to be before anything is asked of anybody; `homes` says where each kind goes."""
    try:
        parts = urlsplit(address.strip())
        host = (parts.hostname or "").lower()
    except ValueError:
        host = ""
    if not address.strip():
        return element("p", words.say("models.add_hint"), cls="hint")
    if not host or parts.scheme not in ("http", "https"):
        return element("p", words.say("models.no_address"), cls="hint")
    found = kind or guess(unquote(parts.path))
    said = []
    if host in CIVITAI_HOSTS:
        said.append(words.say("models.on_civitai"))
    elif host in HF_HOSTS:
        said.append(words.say("models.on_huggingface"))
    if found:
        said.append(words.say("models.goes_to", kind=words.say(f"models.kind_{found}"), folder=str(homes[found])))
    else:
        said.append(words.say("models.finds_out"))
    return element("p", " ".join(said), cls="hint")


def downloads(found: Sequence[Download], words: Words) -> Html:
    """Return what is on its way, what waits, and what became of the rest."""
    if not found:
        return Html("")
    return element(
        "ul", *[_row(each, words) for each in found], cls="downloads", aria_label=words.say("models.downloads")
    )


def _row(each: Download, words: Words) -> Html:
    going = each.state in GOING
    tools = [
        button("stop", "pause", words.say("models.stop"), id=each.id) if going else None,
        button("resume", "play", words.say("models.resume"), id=each.id)
        if each.state in ("stopped", "failed")
        else None,
        button("remove", "close", words.say("models.remove"), id=each.id),
    ]
    name = element("strong", each.model or each.name or each.address, title=each.address)
    reason = (
        element("p", sentence(each.problem, each.values, words), cls="fault", role="alert") if each.problem else None
    )
    return element(
        "li",
        element("div", name, element("span", " · ".join(_facts(each, words)), cls="facts"), cls="what"),
        element("div", *tools, cls="row-tools"),
        _bar(each, words) if each.state in ("loading", "checking", "asking", "stopped") else None,
        reason,
        cls=f"download {each.state}",
        data_id=each.id,
    )


def _facts(each: Download, words: Words) -> list[str]:
    facts = [words.say(f"models.download_{each.state}")]
    facts += [words.say(f"models.kind_{each.kind}")] if each.kind else []
    if each.state == "done":
        return [*facts, size_of(each.bytes)]
    if each.bytes or each.state == "loading":
        done = size_of(each.bytes) or "0 B"
        known = words.say("models.of", done=done, total=size_of(each.total)) if each.total else done
        facts.append(known)
    if each.speed:
        facts.append(words.say("models.speed", size=size_of(int(each.speed))))
    left = span_of(each.seconds_left, words)
    return [*facts, words.say("ui.time_left", span=left)] if left else facts


def _bar(each: Download, words: Words) -> Html:
    known = each.total > 0
    percent = round(100 * each.bytes / each.total) if known else 100
    fill = element("div", style=f"width:{percent}%", cls="" if known or each.state == "stopped" else "unknown")
    return element(
        "div",
        fill,
        cls="mini",
        role="progressbar",
        aria_label=joined(each.name),
        aria_valuemin=0,
        aria_valuemax=100,
        aria_valuenow=percent if known else None,
    )
