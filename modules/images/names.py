"""The names of saved pictures and their folders, by A1111's patterns: "[seed]-[prompt_words]", "[date]/[model_name]".

A pattern is text with parts in brackets; what a part needs to know follows in angle brackets:
"[datetime<%H-%M><Asia/Seoul>]". An unknown part stays as it is written; one that says nothing here (the last seed of a
job that has one) goes, and so does the text between it and the part before. Whatever a prompt says, the result is the
name of one file, or of folders below the one it belongs into.
"""

import contextlib
import hashlib
import re
import string
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from PIL import Image

from modules.request import Request
from modules.result import Recipe

LONGEST_PART = 128  # characters that one bracket may fill (A1111's)
LONGEST_NAME = 200  # bytes of UTF-8: file systems take 255, and numbers, suffixes and endings come on top
MOMENT = "%Y%m%d%H%M%S"
HASH = 8  # hexadecimal digits
# Names of devices on Windows, with any ending.
RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³")})
_FORBIDDEN = frozenset('#<>:"/\\|?*')  # A1111's
_PIECE = re.compile(r"\[([^\[\]]+)\]")
_ARGUMENTS = re.compile(r"(?:<[^<>]*>)*$")
_FILE = re.compile(r"^.*/|\.(?:safetensors|ckpt|pt)$")  # what of a model's name is no part of its title
_NO_WORD = re.compile(f"[\\s{re.escape(string.punctuation)}]+")


@dataclass(frozen=True)
class Circumstances:
    """What a name may tell beside a picture's recipe: the job it belongs to, and when it is.

    `styles` are those that were chosen, as (name, prompt) each.
    """

    batch_size: int = 1
    batch_count: int = 1
    first_seed: int | None = None  # None: the picture's own
    last_seed: int | None = None
    styles: Sequence[tuple[str, str]] = ()
    begun: datetime | None = None  # when the job was; None: now
    user: str = "local"
    basename: str = ""
    max_words: int = 8


ALONE = Circumstances()


def circumstances(request: Request, styles: Sequence[tuple[str, str]] = ()) -> Circumstances:
    """Return what names may tell of the job of `request`, which begins now; its seed must be drawn."""
    shots = request.shots()
    return Circumstances(
        batch_size=request.batch_size,
        batch_count=request.batch_count,
        first_seed=shots[0].seed,
        last_seed=shots[-1].seed,
        styles=styles,
        begun=datetime.now(),
    )


def filled(pattern: str, image: Image.Image, recipe: Recipe, at: Circumstances, now: datetime | None = None) -> str:
    """Return the name that `pattern` means for a picture; "" when nothing is left of it."""
    teller = _Teller(image, recipe, at, now or datetime.now())
    return clean(_filled(pattern, teller).replace("/", "_").replace("\\", "_"))


def filled_folder(
    pattern: str, image: Image.Image, recipe: Recipe, at: Circumstances, now: datetime | None = None
) -> tuple[str, ...]:
    """Return the names of the folders, one in the other, that `pattern` means for a picture."""
    teller = _Teller(image, recipe, at, now or datetime.now())
    return tuple(name for each in re.split(r"[/\\]", _filled(pattern, teller)) if (name := clean(each)))


def clean(name: str) -> str:
    """Return `name` as one any file system takes and that leads nowhere: no separators, devices, odd ends; or ""."""
    name = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    name = "".join("_" if each in _FORBIDDEN or not each.isprintable() else each for each in name)
    name = name.lstrip(" ").rstrip(" .")
    if name.startswith("."):  # hidden
        name = f"_{name[1:]}"
    if name.split(".")[0].strip().lower() in RESERVED:
        name = f"_{name}"
    return name.encode()[:LONGEST_NAME].decode("utf-8", "ignore").rstrip(" .")


def part(text: str, spaces: bool = True) -> str:
    """Return what may stand in a name of `text`, as A1111 has it; its spaces become "_" unless they may stay."""
    text = text if spaces else text.replace(" ", "_")
    text = "".join("_" if each in _FORBIDDEN or ord(each) < 32 else each for each in text)
    return text.lstrip(" ")[:LONGEST_PART].rstrip(" .")


def _filled(pattern: str, teller: "_Teller") -> str:
    made, end = "", 0
    for found in _PIECE.finditer(pattern):
        between, end = pattern[end : found.start()], found.end()
        told = teller.tell(found[1])
        if told is not None:
            made += between + told
    return made + pattern[end:]


class _Teller:
    """Says what each part of a pattern means for one picture."""

    def __init__(self, image: Image.Image, recipe: Recipe, at: Circumstances, now: datetime) -> None:
        self.image = image
        self.recipe = recipe
        self.at = at
        self.now = now

    def tell(self, inside: str) -> str | None:
        """Return what a bracket says; None when it is to be skipped with the text before it."""
        start = _ARGUMENTS.search(inside)
        name = inside[: start.start()] if start is not None else inside
        arguments = re.findall(r"<([^<>]*)>", inside[len(name) :])
        told = _PARTS.get(name.lower())
        return f"[{inside}]" if told is None else told(self, arguments)

    def styles(self, _: Sequence[str]) -> str:
        return part(", ".join(name for name, _ in self.at.styles) or "None")

    def without_styles(self, _: Sequence[str]) -> str:
        prompt = self.recipe.prompt
        for _, text in self.at.styles:
            for piece in text.split("{prompt}"):
                if piece.strip(" ,"):
                    prompt = prompt.replace(piece, "").replace(", ,", ",").strip().strip(",")
        return part(prompt.strip())

    def words(self, _: Sequence[str]) -> str:
        words = [each for each in _NO_WORD.split(self.recipe.prompt) if each] or ["empty"]
        return part(" ".join(words[: self.at.max_words]))

    def moment(self, arguments: Sequence[str]) -> str:
        form, zone = [*arguments, "", ""][:2]
        now = self.now
        with contextlib.suppress(ZoneInfoNotFoundError, ValueError, OSError):  # no such zone: this machine's
            now = now.astimezone(ZoneInfo(zone) if zone else None)
        try:
            return part(now.strftime(form or MOMENT))
        except ValueError:
            return now.strftime(MOMENT)

    def asked_for(self, arguments: Sequence[str]) -> str:
        """`[hasprompt<cat><dog|pet>]`: each word that is in the prompt; where it is not, what follows its bar."""
        prompt = self.recipe.prompt.lower()
        found = ""
        for each in arguments:
            word, _, otherwise = each.partition("|")
            found += word if word.lower() in prompt else otherwise
        return part(found)

    def first_seed(self) -> int:
        return self.recipe.seed if self.at.first_seed is None else self.at.first_seed

    def last_seed(self, _: Sequence[str]) -> str | None:
        if self.at.batch_size == 1:
            return None
        return str(self.recipe.seed if self.at.last_seed is None else self.at.last_seed)

    def place_in_batch(self, _: Sequence[str]) -> str | None:
        single = self.at.batch_size == 1
        return None if single else str(self.recipe.index % self.at.batch_size + 1)

    def place(self, _: Sequence[str]) -> str | None:
        single = self.at.batch_size * self.at.batch_count == 1
        return None if single else str(self.recipe.index + 1)

    def strength(self, _: Sequence[str]) -> str | None:
        recipe = self.recipe
        asked = recipe.init or (recipe.hires.asked if recipe.hires is not None else None)
        return _number(asked.denoising_strength) if asked is not None and asked.denoising_strength else None


def _number(value: float) -> str:
    return f"{value:.10g}"


def _digest(data: bytes, arguments: Sequence[str], digits: int) -> str:
    asked = arguments[0] if arguments else ""
    return hashlib.sha256(data).hexdigest()[: int(asked) if asked.isascii() and asked.isdigit() else digits]


def _hash(of: Callable[[Recipe], str]) -> Callable[[_Teller, Sequence[str]], str]:
    return lambda teller, arguments: _digest(of(teller.recipe).encode("utf-8", "replace"), arguments, HASH)


def _text(of: Callable[[_Teller], object], spaces: bool = True) -> Callable[[_Teller, Sequence[str]], str]:
    return lambda teller, _: part(str(of(teller)), spaces)


_PARTS: Mapping[str, Callable[[_Teller, Sequence[str]], str | None]] = MappingProxyType(
    {
        "seed": _text(lambda teller: teller.recipe.seed),
        "seed_first": _text(_Teller.first_seed),
        "seed_last": _Teller.last_seed,
        "steps": _text(lambda teller: teller.recipe.steps),
        "cfg": _text(lambda teller: _number(teller.recipe.cfg_scale)),
        "width": _text(lambda teller: teller.image.width),
        "height": _text(lambda teller: teller.image.height),
        "styles": _Teller.styles,
        "sampler": _text(lambda teller: teller.recipe.sampler),
        "sampler_scheduler": _text(lambda teller: f"{teller.recipe.sampler} {teller.recipe.schedule}"),
        "scheduler": _text(lambda teller: teller.recipe.schedule),
        "model_hash": _text(lambda teller: teller.recipe.model_hash),
        "model_name": _text(lambda teller: _FILE.sub("", teller.recipe.model)),
        "date": _text(lambda teller: teller.now.strftime("%Y-%m-%d")),
        "datetime": _Teller.moment,
        "job_timestamp": _text(lambda teller: (teller.at.begun or teller.now).strftime(MOMENT)),
        "prompt_hash": _hash(lambda recipe: recipe.prompt),
        "negative_prompt_hash": _hash(lambda recipe: recipe.negative_prompt),
        "full_prompt_hash": _hash(lambda recipe: f"{recipe.prompt} {recipe.negative_prompt}"),
        "prompt": _text(lambda teller: teller.recipe.prompt, spaces=False),
        "prompt_no_styles": _Teller.without_styles,
        "prompt_spaces": _text(lambda teller: teller.recipe.prompt),
        "prompt_words": _Teller.words,
        "batch_number": _Teller.place_in_batch,
        "batch_size": _text(lambda teller: teller.at.batch_size),
        "generation_number": _Teller.place,
        "hasprompt": _Teller.asked_for,
        "clip_skip": _text(lambda teller: teller.recipe.clip_skip),
        "denoising": _Teller.strength,
        "user": _text(lambda teller: teller.at.user),
        "vae_filename": _text(lambda teller: _FILE.sub("", teller.recipe.vae) or "NoneType"),
        "none": lambda *_: "",
        "image_hash": lambda teller, arguments: _digest(teller.image.tobytes(), arguments, 64),
        "basename": _text(lambda teller: teller.at.basename or "img"),
    }
)
PARTS = tuple(_PARTS)


def numbered(name: str, first: int = 1) -> Iterator[str]:
    """Yield `name` and then "name-1", "name-2", …: what a file is called where its name is taken (A1111's)."""
    yield name
    while True:
        yield f"{name}-{first}"
        first += 1
