"""The dialog about one model file as HTML: what it says of itself, and what a person writes down beside it."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modules.api.pictures import thumbnail_url
from modules.library.pictures import PictureRow
from modules.model_manager.model_file import Details, ModelFile
from modules.ui.markup import Html, element, icon, joined
from modules.ui.networks_panel import cover, why_broken
from modules.words import Words

VERSIONS = ("SD1", "SD2", "SDXL")  # what A1111 writes into a LoRA's sidecar
TAGS = 24  # of those a LoRA was trained on, the most frequent
LONGEST = 2000  # characters of one value of the metadata
MOST = 20_000  # characters a person may write into one field


def dialog(
    file: ModelFile,
    details: Details,
    vaes: Sequence[str],
    picture: PictureRow | None,
    words: Words,
    problem: str = "",
) -> Html:
    """Return the dialog, which opens when it is put into the page.

    `vaes` are the names a checkpoint's preferred VAE is chosen from, `picture` the one the gallery shows, `problem` a
    sentence on why the last act failed.
    """
    broken = why_broken(file, words) if file.problem else ""
    close = words.say("ui.close")
    head = element(
        "header",
        element("h2", file.name),
        element("button", icon("close"), type="button", cls="tool", data_close=True, title=close, aria_label=close),
    )
    form = element(
        "form",
        element("p", problem or broken, role="alert", cls="fault") if problem or broken else None,
        element("div", _picture(file, details, picture, words), _facts(file, details, words), cls="about"),
        element("div", *_fields(file, details, vaes, words), cls="written"),
        _metadata(details, words),
        element(
            "footer",
            element("button", words.say("networks.cancel"), type="button", cls="plain", data_close=True),
            element("button", words.say("networks.save"), type="submit", cls="strong", data_act="save"),
        ),
        data_kind=file.kind,
        data_name=file.name,
        method="dialog",
    )
    about = words.say("networks.details_of", name=file.name)
    # The moment makes two openings of the same dialog differ, so that the page opens it each time.
    return element("dialog", head, form, cls="model-details", data_at=time.monotonic_ns(), aria_label=about)


def _picture(file: ModelFile, details: Details, picture: PictureRow | None, words: Words) -> Html:
    replace = None
    if picture is not None:
        small = element("img", src=thumbnail_url(picture), alt="", width=40, height=40)
        said = element("span", words.say("networks.use_picture"))
        replace = element("button", small, said, type="button", cls="plain with-picture", data_act="preview")
    hint = element("p", words.say("networks.no_picture"), cls="hint") if picture is None else None
    return element("div", element("div", cover(file, details), cls="cover"), replace, hint, cls="preview")


def _facts(file: ModelFile, details: Details, words: Words) -> Html:
    rows = list(_file_facts(file, words)) + list(_training_facts(details.metadata, words))
    return element("dl", *[joined(element("dt", name), element("dd", value)) for name, value in rows if value])


def _file_facts(file: ModelFile, words: Words) -> Iterator[tuple[str, str]]:
    yield words.say("networks.file"), str(file.path)
    yield words.say("networks.family"), file.family.upper()
    yield words.say("networks.size"), size_of(file.size)
    yield words.say("networks.hash"), file.hash
    yield words.say("networks.modified"), time.strftime("%Y-%m-%d %H:%M", time.localtime(file.modified))
    if file.alias != file.name:
        yield words.say("networks.alias"), file.alias


def _training_facts(metadata: Mapping[str, str], words: Words) -> Iterator[tuple[str, str]]:
    """What kohya's trainer writes into a file, as far as it is there."""
    yield words.say("networks.trained_on"), metadata.get("ss_sd_model_name", "")
    yield words.say("networks.clip_skip"), metadata.get("ss_clip_skip", "").replace("None", "")
    yield words.say("networks.module"), metadata.get("ss_network_module", "")
    begun = metadata.get("ss_training_started_at", "")
    try:
        yield words.say("networks.trained"), time.strftime("%Y-%m-%d", time.localtime(float(begun))) if begun else ""
    except (ValueError, OverflowError, OSError):
        yield words.say("networks.trained"), begun[:40]
    yield words.say("networks.resolutions"), ", ".join(_resolutions(metadata.get("ss_bucket_info", "")))
    yield words.say("networks.pictures"), _dataset_size(metadata.get("ss_dataset_dirs", ""))


def _resolutions(text: str) -> list[str]:
    """Return the four sizes most pictures were trained at, as A1111 shows them: "512x512", ..."""
    buckets = _parsed(text).get("buckets")
    counted = []
    for each in buckets.values() if isinstance(buckets, dict) else ():
        size = each.get("resolution") if isinstance(each, dict) else None
        if isinstance(size, list) and len(size) == 2 and isinstance(each.get("count"), int):
            counted.append((each["count"], f"{size[0]}x{size[1]}"))
    return [size[:20] for _, size in sorted(counted, reverse=True)[:4]]


def _dataset_size(text: str) -> str:
    counts = [each.get("img_count") for each in _parsed(text).values() if isinstance(each, dict)]
    total = sum(count for count in counts if isinstance(count, int))
    return str(total) if total else ""


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _fields(file: ModelFile, details: Details, vaes: Sequence[str], words: Words) -> Iterator[Html]:
    if file.kind == "lora":
        yield _area("trigger_words", details.trigger_words, words.say("networks.trigger_words"), 2)
        yield from _tags(details.tags, words)
        yield _area("negative_text", details.negative_text, words.say("networks.negative_text"), 1)
        yield element("div", _weight(details, words), _version(details, words), cls="two")
    if file.kind == "checkpoint":
        automatic = words.say("networks.vae_automatic")
        choices = [("", automatic), ("None", words.say("networks.vae_none")), *[(each, each) for each in vaes]]
        yield _choice("vae", choices, "" if details.vae == "Automatic" else details.vae, words.say("networks.vae"))
    yield _area("description", details.description, words.say("networks.description"), 2)
    yield _area("notes", details.notes, words.say("networks.notes"), 3)


def _area(name: str, value: str, label: str, rows: int) -> Html:
    return element("label", element("span", label), element("textarea", value, name=name, rows=rows, maxlength=MOST))


def _tags(tags: Sequence[tuple[str, int]], words: Words) -> Iterator[Html]:
    if tags:
        marks = [
            element("button", word, element("small", str(count)), type="button", data_word=word)
            for word, count in tags[:TAGS]
        ]
        label = words.say("networks.tags")
        yield element(
            "div", element("span", label), element("div", *marks, cls="words", role="group", aria_label=label)
        )


def _weight(details: Details, words: Words) -> Html:
    hint = words.say("networks.weight_hint")
    box = element(
        "input",
        type="number",
        name="preferred_weight",
        value=f"{details.preferred_weight:g}" if details.preferred_weight else "",
        placeholder="1",
        min=0,
        max=2,
        step=0.01,
        title=hint,
    )
    return element("label", element("span", words.say("ui.preferred_weight")), box, element("small", hint))


def _version(details: Details, words: Words) -> Html:
    choices = [("", words.say("networks.unknown")), *[(each, each) for each in VERSIONS]]
    chosen = details.sd_version if details.sd_version in VERSIONS else ""
    return _choice("sd_version", choices, chosen, words.say("networks.version"))


def _choice(name: str, choices: Sequence[tuple[str, str]], chosen: str, label: str) -> Html:
    options = [element("option", text, value=value, selected=value == chosen) for value, text in choices]
    return element("label", element("span", label), element("select", *options, name=name))


def _metadata(details: Details, words: Words) -> Html | None:
    if not details.metadata:
        return None
    rows = [
        joined(element("dt", name[:100]), element("dd", value[:LONGEST] + ("…" if len(value) > LONGEST else "")))
        for name, value in sorted(details.metadata.items())
    ]
    title = words.say("networks.metadata", number=len(rows))
    return element("details", element("summary", title), element("dl", *rows), cls="metadata")


def size_of(size: int) -> str:
    """Return a number of bytes as people say it: "144 MB"."""
    for unit, bytes_ in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= bytes_:
            return f"{size / bytes_:.1f} {unit}" if size < 10 * bytes_ else f"{size / bytes_:.0f} {unit}"
    return f"{size} B" if size else ""
