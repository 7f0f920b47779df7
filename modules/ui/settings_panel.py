"""The Settings tab as HTML: every option with what it does, the forms' defaults, and what an import took."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from modules.options import GROUPS, SHARED, Kind, choices_of, kind_of, row_names
from modules.request import limits
from modules.server.old_config import BOUNDS, REASONS, UNKNOWN, Report, Taken
from modules.server.options import Options, Shown
from modules.settings import Settings
from modules.ui.markup import Html, element, icon, joined
from modules.ui.page_words import sentence
from modules.words import Words

NAME = "settings"
Languages = Mapping[str, Words]


def page(
    options: Options, tabs: Mapping[str, bool], words: Words, languages: Languages, report: Report | None = None
) -> Html:
    """Return the whole tab. `tabs` are those that make pictures, and whether a person keeps defaults for them."""
    return element(
        "div",
        _bar(words),
        _notices(options, words),
        *(_group(group, options.all(), words, languages) for group in GROUPS),
        _defaults(tabs, words),
        _import(report, words),
        _kept(options, words),
        cls="options",
    )


def again() -> Html:
    """Return what has the page load itself again: its forms have other values now."""
    return element("div", data_again=True)


def said(key: str, value: Any, words: Words) -> str:
    """Return the `value` of the option `key` as the page says it."""
    if isinstance(value, bool):
        return words.say("settings.on" if value else "settings.off")
    if isinstance(value, list | tuple):
        return ", ".join(row_label(str(each), words) for each in value)
    name = f"{value:g}" if isinstance(value, float) else str(value) or "empty"
    name = name.replace(" ", "_")
    if f"settings.{key}_is_{name}" in words.sentences:
        return words.say(f"settings.{key}_is_{name}")
    return str(value)


def row_label(name: str, words: Words) -> str:
    """Return what the page calls something that the row on top may hold."""
    return words.say(f"ui.{SHARED[name]}") if name in SHARED else words.say(f"settings.{name}")


def _bar(words: Words) -> Html:
    hint = words.say("settings.search")
    search = element("input", type="search", placeholder=hint, aria_label=hint, data_search=True)
    apply = element("button", words.say("settings.apply"), type="button", cls="apply", data_apply=True, disabled=True)
    return element("div", search, element("span", cls="found", role="status"), apply, cls="bar")


def _notices(options: Options, words: Words) -> Html:
    lines = [element("p", words.say("settings.aside", files=", ".join(aside)))] if (aside := options.aside()) else []
    waiting = {shown.waits for shown in options.all()}
    if "worker" in waiting:
        button = _button("restart", words.say("settings.restart"))
        lines.append(element("p", words.say("settings.wait_worker"), " ", button))
    if "start" in waiting:
        lines.append(element("p", words.say("settings.wait_start")))
    return element("div", *lines, cls="notices") if lines else Html("")


def _group(group: str, options: Sequence[Shown], words: Words, languages: Languages) -> Html:
    rows = [_option(shown, words, languages) for shown in options if shown.option.group == group]
    return element("section", element("h2", words.say(f"settings.group_{group}")), *rows)


def _option(shown: Shown, words: Words, languages: Languages) -> Html:
    key, kind = shown.option.key, kind_of(shown.info)
    name = f"{NAME}_{key}"
    facts = [words.say("settings.default", value=said(key, shown.default, words) or "–")]
    facts.append(words.say(f"settings.holds_{shown.option.holds}"))
    if shown.fixed:
        facts.append(words.say(f"settings.said_{shown.source}"))
    if shown.waits:
        facts.append(words.say("settings.waits"))
    label = element("label", words.say(f"settings.{key}"), for_=name) if kind != "row" else None
    title = label or element("span", words.say(f"settings.{key}"), id=name, cls="label")
    names = " · ".join((key, *(each for each in shown.option.a1111 if each != key)))
    reset = None
    if not shown.fixed and shown.value != shown.default:
        reset = element("button", words.say("settings.reset"), type="button", cls="reset", data_reset=key)
    return element(
        "div",
        element("div", title, element("code", names), cls="head"),
        _control(shown, kind, name, words),
        element("p", words.say(f"settings.{key}_about"), id=f"{name}_about"),
        element("p", joined(" · ".join(facts)), " " if reset else None, reset, cls="facts"),
        cls="option" + (" waits" if shown.waits else ""),
        data_key=key,
        data_kind=kind,
        data_value=json.dumps(_plain(shown.value)),
        data_find=_found_by(shown, languages),
    )


def _found_by(shown: Shown, languages: Languages) -> str:
    """Return the words that a search finds an option by: those of every language, and its keys."""
    key = shown.option.key
    texts = [words.say(each) for words in languages.values() for each in (f"settings.{key}", f"settings.{key}_about")]
    texts += [words.say(f"settings.group_{shown.option.group}") for words in languages.values()]
    return " ".join((key, key.replace("_", " "), *shown.option.a1111, *texts)).lower()


def _control(shown: Shown, kind: Kind, name: str, words: Words) -> Html:
    value = shown.value
    common: dict[str, object] = {"id": name, "disabled": shown.fixed, "aria_describedby": f"{name}_about"}
    if kind == "switch":
        return element("input", type="checkbox", checked=bool(value), **common)
    if kind == "choice":
        key = shown.option.key
        parts = [
            element("option", said(key, each, words), value=each, selected=each == value)
            for each in choices_of(shown.info)
        ]
        return element("select", *parts, **common)
    if kind == "row":
        return _row(shown, name, words)
    if kind == "text":
        return element("input", type="text", value=value, spellcheck="false", **common)
    least, most, _ = limits(shown.info.metadata)
    step = 1 if kind == "whole" else "any"
    return element("input", type="number", value=f"{value:g}", min=least, max=most, step=step, **common)


def _row(shown: Shown, name: str, words: Words) -> Html:
    """Return the names that the row on top may hold, those that it does first and in its order."""
    allowed = row_names(Settings.model_fields)
    order = [*shown.value, *(each for each in allowed if each not in shown.value)]
    up, down = words.say("settings.up"), words.say("settings.down")
    items = [
        element(
            "li",
            element(
                "label",
                element("input", type="checkbox", value=each, checked=each in shown.value, disabled=shown.fixed),
                row_label(each, words),
            ),
            element("button", icon("up"), type="button", cls="tool", data_move="up", title=up, aria_label=up),
            element("button", icon("down"), type="button", cls="tool", data_move="down", title=down, aria_label=down),
        )
        for each in order
    ]
    return element("ol", *items, aria_labelledby=name)


def _defaults(tabs: Mapping[str, bool], words: Words) -> Html:
    rows = []
    for tab, kept in tabs.items():
        title = words.say(f"ui.tab_{tab}") if f"ui.tab_{tab}" in words.sentences else tab
        buttons = [_button("keep", words.say("settings.keep"), tab), _button("back", words.say("settings.back"), tab)]
        if kept:
            buttons.append(_button("own", words.say("settings.own"), tab))
        state = words.say("settings.has_own" if kept else "settings.has_none")
        rows.append(element("li", element("strong", title), element("span", state), *buttons))
    head = element("h2", words.say("settings.defaults"))
    about = element("p", words.say("settings.defaults_about"))
    return element("section", head, about, element("ul", *rows), cls="forms")


def _import(report: Report | None, words: Words) -> Html:
    chooser = element("input", type="file", accept=".json,application/json", cls="sr-only")
    place = element("label", icon("download"), element("span", words.say("settings.drop")), chooser, cls="drop")
    head = element("h2", words.say("settings.import"))
    about = element("p", words.say("settings.import_about"))
    return element("section", head, about, place, _report(report, words) if report is not None else None, cls="import")


def _report(report: Report, words: Words) -> Html:
    counted = words.say(
        "settings.report",
        taken=len(report.taken),
        refused=len(report.refused),
        none=sum(len(keys) for keys in report.none.values()),
    )
    parts: list[Html] = [element("p", counted, role="status")]
    if report.taken:
        rows = [_row_of(each.key, each.old, _went(each, words)) for each in report.taken]
        parts.append(_table("settings.taken", rows, words))
        if any(not each.option for each in report.taken):
            parts.append(element("p", words.say("settings.taken_forms")))
    if report.refused:
        rows = [
            _row_of(each.key, each.old, sentence(each.error.key, each.error.values, words)) for each in report.refused
        ]
        parts.append(_table("settings.refused", rows, words))
    for reason in (*REASONS, BOUNDS, UNKNOWN):
        if keys := report.none.get(reason):
            summary = element("summary", words.say(f"settings.{reason}"), f" ({len(keys)})")
            parts.append(element("details", summary, element("p", ", ".join(keys))))
    return element("div", *parts, cls="report")


def _went(taken: Taken, words: Words) -> str:
    new = said(taken.option, taken.new, words)
    where = words.say(taken.where)
    if taken.tab and f"ui.tab_{taken.tab}" in words.sentences:
        where = words.say(f"ui.tab_{taken.tab}") + ", " + where
    return f"{where}: {new or '–'}"


def _row_of(*cells: str) -> Html:
    key, *rest = cells
    return element("tr", element("th", key, scope="row"), *(element("td", each) for each in rest))


def _table(title: str, rows: Sequence[Html], words: Words) -> Html:
    return element("table", element("caption", words.say(title)), element("tbody", *rows))


def _kept(options: Options, words: Words) -> Html:
    reasons: dict[str, list[str]] = {}
    for key, reason, source in options.kept():
        text = words.say(f"settings.is_{source}")
        reasons.setdefault(reason, []).append(f"{key} ({text})")
    parts = [
        element("p", words.say(f"settings.{reason}"), element("br"), element("code", ", ".join(names)))
        for reason, names in reasons.items()
    ]
    return element("section", element("h2", words.say("settings.kept")), *parts, cls="kept")


def _button(act: str, label: str, tab: str | None = None) -> Html:
    return element("button", label, type="button", data_act=act, data_tab=tab)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
