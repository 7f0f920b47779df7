"""The table of every model file as HTML: its controls, its rows, and what is the same twice. Pure functions."""

from collections.abc import Collection, Sequence
from pathlib import Path

from modules.model_manager.kinds import KINDS
from modules.model_manager.model_file import ModelFile
from modules.ui.details_panel import size_of
from modules.ui.markup import Html, element, icon, joined
from modules.ui.models_view import DOWNWARDS, ROWS, SORTS, STATES, Listing, Table, spare
from modules.ui.page_words import sentence
from modules.ui.pieces import button
from modules.words import Words

COLUMNS = ("name", "kind", "family", "size", "hash", "state", "place")
ALWAYS = frozenset({"checkpoint", "lora", "embedding"})  # kinds that are offered even when there are no files of them


def bar(table: Table, listing: Listing, words: Words) -> Html:
    """Return the controls: kinds with how many files there are, search, state, order."""
    kinds = [("", words.say("models.every_kind"), sum(listing.counts.values()))]
    kinds += [
        (kind, words.say(f"models.kinds_{kind}"), listing.counts[kind])
        for kind in KINDS
        if listing.counts[kind] or kind in ALWAYS or kind == table.kind
    ]
    tabs = [
        element(
            "button",
            label,
            element("span", f"{count:,}", cls="count"),
            type="button",
            data_kind=kind,
            aria_pressed="true" if kind == table.kind else "false",
        )
        for kind, label, count in kinds
    ]
    hint = words.say("networks.search")
    states = [(state, words.say(f"models.show_{state or 'all'}")) for state in STATES]
    orders = [(sort, words.say(f"models.{sort}")) for sort in SORTS]
    return element(
        "div",
        element("div", *tabs, cls="kinds", role="group", aria_label=words.say("models.kind")),
        element(
            "div",
            element(
                "input",
                type="search",
                data_state="words",
                value=table.words,
                placeholder=hint,
                aria_label=hint,
                maxlength=200,
            ),
            _select("state", states, table.state, words.say("models.state")),
            element("span", _select("sort", orders, table.sort, words.say("networks.sort")), cls="narrow"),
            button("refresh", "retry", words.say("networks.refresh")),
            cls="filters",
        ),
        cls="models-bar",
    )


def _select(name: str, choices: Sequence[tuple[str, str]], chosen: str, label: str) -> Html:
    options = [element("option", text, value=value, selected=value == chosen) for value, text in choices]
    return element("select", *options, data_state=name, aria_label=label, title=label)


def rows(table: Table, listing: Listing, loaded: Collection[str], home: Path, words: Words) -> Html:
    """Return one page of the table; `loaded` are names of checkpoints in memory, paths are shown from `home` on."""
    if not listing.total:
        return element("div", icon("picture"), element("p", _nothing(table, words)), cls="networks-empty")
    bodies = []
    for group in listing.groups:
        shown = [_row(file, listing, loaded, home, words) for file in group]
        if table.state == "twice":
            copies, each = len(group), group[0].size
            said = words.say("models.copies", copies=copies, size=size_of(each), freed=size_of(spare(group)) or "0 B")
            shown.insert(0, element("tr", element("th", said, colspan=len(COLUMNS) + 1, scope="rowgroup"), cls="group"))
        bodies.append(element("tbody", *shown) if table.state == "twice" else joined(*shown))
    body = joined(*bodies) if table.state == "twice" else element("tbody", *bodies)
    caption = element("caption", words.say("models.table"), cls="sr-only")
    return joined(
        element("table", caption, element("thead", _head(table, words)), body, cls="models-table"),
        _foot(table, listing, words),
    )


def _nothing(table: Table, words: Words) -> str:
    if table.state == "twice":
        return words.say("models.nothing_twice")
    if table.state == "broken" and not table.words:
        return words.say("models.nothing_broken")
    return words.say("models.nothing") if table.words or table.state else words.say("models.none_yet")


def _head(table: Table, words: Words) -> Html:
    cells = []
    for column in COLUMNS:
        label = words.say(f"models.{column}")
        if column not in SORTS or table.state == "twice":
            cells.append(element("th", label, cls=column, scope="col"))
            continue
        chosen = column == table.sort
        upwards = table.descending == (column in DOWNWARDS)
        order = ("ascending" if upwards else "descending") if chosen else None
        mark = element("span", "↑" if upwards else "↓", cls="order", aria_hidden="true") if chosen else None
        sorter = element("button", label, mark, type="button", data_sort=column)
        cells.append(element("th", sorter, cls=column, scope="col", aria_sort=order))
    return element("tr", *cells, element("td", cls="tools"))


def _row(file: ModelFile, listing: Listing, loaded: Collection[str], home: Path, words: Words) -> Html:
    held = file.kind == "checkpoint" and file.name in loaded
    place, path = _place(file, home)
    title = [element("strong", file.name)]
    if file.alias and file.alias != file.name:
        title.append(element("small", file.alias))
    cells = [
        element("td", *title, cls="name"),
        element("td", words.say(f"models.kind_{file.kind}"), cls="kind"),
        element("td", element("span", file.family.upper(), cls="family") if file.family else None, cls="family"),
        element("td", size_of(file.size) if file.size else None, cls="size"),
        element("td", _hash(file, words), cls="hash"),
        element("td", *_state(file, held, listing, words), cls="state"),
        element("td", element("span", place, title=path), cls="place"),
        element("td", _tool(file, held, words), cls="tools"),
    ]
    return element(
        "tr", *cells, cls=("broken" if file.problem else "") + (" held" if held else ""), data_name=file.name
    )


def _hash(file: ModelFile, words: Words) -> Html | None:
    if not file.sha256:
        return None
    label = words.say("models.copy_hash", name=file.name)
    return element("button", file.hash, type="button", data_clip=file.sha256, title=label, aria_label=label)


def _state(file: ModelFile, held: bool, listing: Listing, words: Words) -> list[Html]:
    if file.problem:
        told = file.problem_values.items()
        values = {key: file.path.name if value == str(file.path) else value for key, value in told}
        reason = sentence(file.problem, values, words)
        return [_dot("lost", words.say("models.broken")), element("small", reason)]
    said = [_dot("busy", words.say("models.in_memory")) if held else _dot("ready", words.say("models.usable"))]
    twins = [each.name for each in listing.twins.get(str(file.path), ())[:5] if each.path != file.path]
    if twins:
        names = ", ".join(twins[:3]) + (" …" if len(twins) > 3 else "")
        said.append(element("small", words.say("models.same_as", names=names)))
    return said


def _dot(stage: str, text: str) -> Html:
    return element("span", element("i", cls="dot"), text, cls=f"worker {stage} still")


def _tool(file: ModelFile, held: bool, words: Words) -> Html | None:
    if file.kind != "checkpoint" or file.problem:
        return None
    act = "unload" if held else "load"
    label = words.say(f"models.{act}_named", name=file.name)
    return element(
        "button",
        words.say(f"models.{act}"),
        type="button",
        cls="tool wide",
        data_act=act,
        data_name=file.name,
        aria_label=label,
        title=label,
    )


def _foot(table: Table, listing: Listing, words: Words) -> Html:
    step = ROWS
    before, after = listing.offset - step, listing.offset + step
    groups = len(listing.groups)
    if table.state == "twice":
        said = words.say("models.freed", freed=size_of(listing.freed) or "0 B")
        more = groups == step
    else:
        first, last = listing.offset + 1, listing.offset + groups
        said = words.say("networks.shown", first=first, last=last, total=f"{listing.total:,}")
        said += f" · {size_of(listing.size)}" if listing.size else ""
        more = last < listing.total
    return element(
        "div",
        element("span", said, aria_live="polite"),
        button("page", "left", words.say("networks.previous"), offset=before) if before >= 0 else None,
        button("page", "right", words.say("networks.next"), offset=after) if more else None,
        cls="pager",
    )


def _place(file: ModelFile, home: Path) -> tuple[str, str]:
    """Return the folder a file lies in, from Easel's own folder on where it is below that, and the whole path.

    What is not text in them becomes a mark.
    """
    folder = file.path.parent
    known = folder.relative_to(home.parent) if folder.is_relative_to(home) else folder
    place, path = (str(each).encode("utf-8", "replace").decode() for each in (known, file.path))
    return place, path
