r"""Choices in prompts, made anew for every picture by its own seed.

    {a|b|c}             one of them; an option may be empty and may hold choices again
    {3::a|b}            with weights: a three times as often as b (an option without a number weighs 1)
    {2$$a|b|c}          two different ones, joined by ", "
    {1-3$$ and $$a|b|c} one to three, joined by " and "
    __colour__          a line of wildcards/colour.txt; lines may hold choices again
    \{ \} \| \_         the character itself

The grammar is that of the extension "Dynamic Prompts" for A1111's web UI, as far as it goes.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modules.hooks import JobView, Ring, hookimpl
from modules.request import Request, Shot
from modules.result import Picture

NAME = "dynamic-prompts"
DEEPEST = 20  # wildcards within wildcards, before it must be a circle
HERE = Path(__file__).parent
FOLDERS = (HERE / "wildcards", HERE.parent.parent / "wildcards")  # the second beside models/ and outputs/

_TOKEN = re.compile(r"\\([{}|_])|([{}|])|__([^\W_](?:[\w./ -]*?[^\W_])?)__")
_COUNT = re.compile(r"(\d+)(?:-(\d+))?\$\$")
_WEIGHT = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)::")


@hookimpl
def around_plan(request: Request) -> Ring | None:
    """Expand the words of every picture that is planned."""
    if not is_on(request):
        return None

    def ring(plan: Callable[..., tuple[Shot, ...]]) -> Callable[..., tuple[Shot, ...]]:
        def planned(request: Request) -> tuple[Shot, ...]:
            wildcards = read_wildcards(FOLDERS)
            return tuple(expand_shot(shot, wildcards) for shot in plan(request))

        return planned

    return ring


@hookimpl
def around_save(job: JobView) -> Ring | None:
    """Keep the prompt as it was typed in the picture's parameters, as "Template"."""
    if not is_on(job.request):
        return None

    def ring(save: Callable[[Picture], Any]) -> Callable[[Picture], Any]:
        def saved(picture: Picture) -> Any:
            if picture.recipe.prompt != job.request.prompt:
                notes = {**picture.recipe.notes, "Template": job.request.prompt}
                picture.recipe = picture.recipe.model_copy(update={"notes": notes})
            return save(picture)

        return saved

    return ring


def is_on(request: Request) -> bool:
    """Tell whether the request wants this extension."""
    return request.extras.get(NAME, {}).get("enabled") is True


def expand_shot(shot: Shot, wildcards: Mapping[str, Sequence[str]]) -> Shot:
    """Return `shot` with the choices in its words made by its seed."""
    words = {
        field: expand(text, random.Random(f"{shot.seed} {field}"), wildcards)
        for field in ("prompt", "negative_prompt", "hires_prompt", "hires_negative_prompt")
        if (text := getattr(shot, field))
    }
    return shot.model_copy(update=words)


def read_wildcards(folders: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    """Return the lines of every .txt file in `folders` by name ("animals/birds" in a sub-folder); later folders win.

    Empty lines and lines that begin with # do not count.
    """
    wildcards: dict[str, tuple[str, ...]] = {}
    for folder in folders:
        for file in sorted(folder.rglob("*.txt")):
            lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
            name = file.relative_to(folder).with_suffix("").as_posix()
            wildcards[name] = tuple(line for line in lines if line and not line.startswith("#"))
    return wildcards


def expand(text: str, dice: random.Random, wildcards: Mapping[str, Sequence[str]], depth: int = 0) -> str:
    """Return `text` with every choice made by `dice`. A brace without its partner is plain text.

    Raises ValueError for a wildcard that no file has, an empty one, and wildcards that lead back to themselves.
    """
    said, place, partners = "", 0, _partners(text)
    while found := _TOKEN.search(text, place):
        said += text[place : found.start()]
        place = found.end()
        escaped, mark, wildcard = found.groups()
        if wildcard:
            said += expand(_line(wildcard, dice, wildcards, depth), dice, wildcards, depth + 1)
        elif found.start() in partners:
            end = partners[found.start()]
            said += _choose(text[place:end], dice, wildcards, depth)
            place = end + 1
        else:
            said += escaped or mark
    return said + text[place:]


def _line(name: str, dice: random.Random, wildcards: Mapping[str, Sequence[str]], depth: int) -> str:
    if depth >= DEEPEST:
        raise ValueError(f"the wildcard __{name}__ leads back to itself")
    if not wildcards.get(name):
        raise ValueError(f"there is no wildcard file for __{name}__; there are: {', '.join(sorted(wildcards))}")
    return dice.choice(wildcards[name])


def _partners(text: str) -> dict[int, int]:
    """Return where each brace that has a partner is closed, by where it is opened."""
    partners: dict[int, int] = {}
    open_at: list[int] = []
    for found in _TOKEN.finditer(text):
        if found[2] == "{":
            open_at.append(found.start())
        elif found[2] == "}" and open_at:
            partners[open_at.pop()] = found.start()
    return partners


def _choose(inside: str, dice: random.Random, wildcards: Mapping[str, Sequence[str]], depth: int) -> str:
    least = most = 1
    joint = ", "
    if count := _COUNT.match(inside):
        least, most = int(count[1]), int(count[2] or count[1])
        inside = inside[count.end() :]
        before, dollars, after = inside.partition("$$")
        if dollars:
            joint, inside = before, after
    options = [_weighed(each) for each in _split(inside)]
    wanted = min(dice.randint(min(least, most), max(least, most)), len(options))
    chosen: list[str] = []
    for _ in range(wanted):
        weights = [weight for weight, _ in options]
        place = dice.choices(range(len(options)), weights if any(weights) else None)[0]
        chosen.append(expand(options.pop(place)[1], dice, wildcards, depth))
    return joint.join(chosen)


def _split(inside: str) -> list[str]:
    """Split at the bars that belong to these braces, not to braces within."""
    options, start, depth = [], 0, 0
    for found in _TOKEN.finditer(inside):
        depth += {"{": 1, "}": -1}.get(found[2], 0)
        if found[2] == "|" and depth == 0:
            options.append(inside[start : found.start()])
            start = found.end()
    return [*options, inside[start:]]


def _weighed(option: str) -> tuple[float, str]:
    weight = _WEIGHT.match(option)
    return (float(weight[1]), option[weight.end() :]) if weight else (1.0, option)
