"""What lies beside a model file: notes, previews, and what other programs wrote down about it.

For a model `X.safetensors` (or a folder `X`) these are, with the names that A1111 and its companions use:
`X.json` (what a person wrote down in A1111 or here), `X.txt` or `X.description.txt`, `X.civitai.info` (Civitai Helper),
`X.png`, `X.preview.png` and the like. All of it is text from anywhere: sizes are bounded, types are checked.
"""

from __future__ import annotations

import contextlib
import html
import json
import math
import os
import re
import secrets
import stat
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image

from modules.errors import BadRequest, ModelError, SaveError
from modules.model_manager.model_file import Details, ModelFile, stem_of
from modules.model_manager.peek import text_of
from modules.model_manager.scan import PREVIEWS, within

LARGEST = 4 * 2**20  # bytes of a sidecar that are read
LONGEST = 20_000  # characters that can be written down in one field
TAGS = 24  # of the words it was trained on
LARGEST_WEIGHT = 2.0
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
_FIELDS = MappingProxyType(  # of `Details` -> A1111's names in X.json
    {
        "description": "description",
        "notes": "notes",
        "trigger_words": "activation text",
        "negative_text": "negative text",
        "preferred_weight": "preferred weight",
        "sd_version": "sd version",
        "vae": "vae",
    }
)


def details(file: ModelFile, allowed: Collection[str]) -> Details:
    """Return everything that is known of `file`; what cannot be read is left out.

    A sidecar that is a link out of the `allowed` folders (real paths) is not read.
    """
    stem = _stem(file)
    metadata = _metadata(file)
    own = _json(f"{stem}.json", allowed)
    civitai = _json(f"{stem}.civitai.info", allowed)
    return Details(
        metadata=metadata,
        description=_line(own.get("description")) or _described(stem, civitai, metadata, allowed),
        notes=_line(own.get("notes")),
        trigger_words=_line(own.get("activation text")) or _trained_words(civitai, metadata),
        negative_text=_line(own.get("negative text")),
        preferred_weight=_weight(own.get("preferred weight")),
        sd_version=_line(own.get("sd version")) or _line(civitai.get("baseModel")),
        tags=_tags(metadata.get("ss_tag_frequency", "")),
        preview=preview_of(file, allowed) if file.preview else None,
        vae=_line(own.get("vae")),
    )


def preview_of(file: ModelFile, allowed: Collection[str]) -> Path | None:
    """Return the picture that lies beside `file`."""
    stem = _stem(file)
    names = (f"{stem}{middle}{ending}" for ending in PREVIEWS for middle in ("", ".preview"))
    return next((Path(path) for path in names if _readable(path, allowed)), None)


def save_details(file: ModelFile, changes: Mapping[str, Any], allowed: Collection[str]) -> None:
    """Write fields of `Details` into `X.json`; what else is in there stays.

    Raises `BadRequest` for a field that cannot be written down or a value it cannot have, `SaveError` when the file
    cannot be written.
    """
    path = f"{_stem(file)}.json"
    kept = _json(path, allowed)
    foreign = not kept and _text(path, allowed) not in ("", "{}")
    if foreign or (os.path.islink(path) and not _readable(path, allowed)):
        raise SaveError("not_ours_to_write", file=path)
    for name, value in changes.items():
        kept[_name(name)] = _checked(name, value)
    _write(Path(path), json.dumps(kept, ensure_ascii=False, indent=4).encode())


def set_preview(file: ModelFile, image: Path) -> None:
    """Copy the picture at `image` beside `file` as `X.png`, with what is written in it.

    Raises `BadRequest` when it is no picture, `SaveError` when it cannot be written.
    """
    path = Path(f"{_stem(file)}.png")
    try:
        with Image.open(image) as opened:
            opened.load()
            kind = opened.format
            picture = opened.convert("RGB")
        data = image.read_bytes()
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise BadRequest("bad_value", field="preview", value=image.name[:60]) from error
    if kind == "PNG":
        _write(path, data)
        return
    with _temporary(path) as temporary:
        picture.save(temporary, "PNG")


def _stem(file: ModelFile) -> str:
    return str(file.path.with_name(stem_of(file.path.name)))


def _metadata(file: ModelFile) -> dict[str, str]:
    if file.problem or file.path.is_dir():
        return {}
    with contextlib.suppress(ModelError, OSError):
        return text_of(file.path)
    return {}


def _readable(path: str, allowed: Collection[str]) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    if stat.S_ISLNK(mode):
        return os.path.isfile(path) and within(os.path.realpath(path), allowed)
    return stat.S_ISREG(mode)


def _text(path: str, allowed: Collection[str]) -> str:
    if not _readable(path, allowed):
        return ""
    try:
        with open(path, "rb") as file:
            return file.read(LARGEST).decode("utf-8-sig", "replace").strip()
    except OSError:
        return ""


def _described(stem: str, civitai: Mapping[str, Any], metadata: Mapping[str, str], allowed: Collection[str]) -> str:
    """Return the description in a text file, else Civitai's, else the file's own."""
    if text := _text(f"{stem}.txt", allowed) or _text(f"{stem}.description.txt", allowed):
        return text
    model = civitai.get("model")
    of_model = _line(model.get("description")) if isinstance(model, dict) else ""
    return _plain(_line(civitai.get("description")) or of_model or metadata.get("modelspec.description", ""))


def _json(path: str, allowed: Collection[str]) -> dict[str, Any]:
    try:
        found = json.loads(_text(path, allowed) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _line(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _weight(value: object) -> float:
    """Return a weight, 0 for none: A1111 writes a number, companions write text."""
    with contextlib.suppress(TypeError, ValueError):
        number = float(value) if isinstance(value, int | float | str) else 0.0
        return max(-LARGEST_WEIGHT, min(LARGEST_WEIGHT, number)) if math.isfinite(number) else 0.0
    return 0.0


def _trained_words(civitai: Mapping[str, Any], metadata: Mapping[str, str]) -> str:
    words = civitai.get("trainedWords")
    if isinstance(words, list):
        return ", ".join(text for each in words if (text := _line(each)))
    return _line(metadata.get("modelspec.trigger_phrase"))


def _tags(text: str) -> list[tuple[str, int]]:
    """Return the words a LoRA was trained on, most frequent first, over all its folders of pictures."""
    counts: Counter[str] = Counter()
    with contextlib.suppress(ValueError, RecursionError, AttributeError):
        for words in json.loads(text or "{}").values():
            for word, count in words.items():
                if isinstance(count, int):
                    counts[str(word).strip()] += count
    return counts.most_common(TAGS)


def _plain(text: str) -> str:
    """Return the text of a description in HTML."""
    broken = re.sub(r"<(br|/p|/li|/h\d)[^<>]*>", "\n", text, flags=re.IGNORECASE)
    return html.unescape(re.sub(r"<[^<>]*>", "", broken)).strip()


def _name(field: str) -> str:
    if field not in _FIELDS:
        raise BadRequest("unknown_field", field=field[:60], allowed=", ".join(_FIELDS))
    return _FIELDS[field]


def _checked(name: str, value: object) -> str | float:
    if name == "preferred_weight":
        if isinstance(value, int | float) and math.isfinite(value) and abs(value) <= LARGEST_WEIGHT:
            return float(value)
        raise BadRequest("number", field=name, value=str(value)[:60], least=-LARGEST_WEIGHT, most=LARGEST_WEIGHT)
    if isinstance(value, str) and len(value) <= LONGEST and not _UNWRITABLE.search(value):
        return value
    raise BadRequest("bad_value", field=name, value=str(value)[:60])


def _write(path: Path, data: bytes) -> None:
    with _temporary(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def _temporary(path: Path) -> Any:
    """Give a file beside `path` to be written, and put it in place when it is whole and on the disk."""
    temporary = path.with_name(f".{secrets.token_hex(6)}.easel-tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise SaveError("save_failed", folder=str(path.parent), reason=error.strerror or "") from error
    finally:
        temporary.unlink(missing_ok=True)
