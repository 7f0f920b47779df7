"""Styles: texts with a name that are put around a prompt, and taken out of one again.

A style's text with `{prompt}` in it takes the prompt into that place; one without follows the prompt after a comma.
The rules are A1111's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

PLACE = "{prompt}"
BETWEEN = ", "


@dataclass(frozen=True)
class Style:
    """What one style adds to a prompt and to a negative prompt."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""


def merged(text: str, prompt: str) -> str:
    """Return `prompt` with the text of a style."""
    if PLACE in text:
        return text.replace(PLACE, prompt)
    return BETWEEN.join(each for each in (prompt.strip(), text.strip()) if each)


def applied(styles: Sequence[Style], prompt: str, negative_prompt: str) -> tuple[str, str]:
    """Return both prompts with the styles, one after the other."""
    for style in styles:
        prompt = merged(style.prompt, prompt)
        negative_prompt = merged(style.negative_prompt, negative_prompt)
    return prompt, negative_prompt


def without(text: str, prompt: str) -> str | None:
    """Return what `prompt` was before the text of a style came to it; None when that is not in it.

    Blanks count as one. A text is found only where putting it back gives the same prompt: no word is ever torn apart.
    """
    text, prompt = _even(text), _even(prompt)
    before, place, after = text.partition(PLACE)
    if not place:
        before, after = "", text
        rest = prompt.removesuffix(after).removesuffix(BETWEEN)
    else:
        rest = prompt[len(before) : max(len(prompt) - len(after), len(before))]
    return rest if _even(merged(text, rest)) == prompt else None


def extracted(styles: Sequence[Style], prompt: str, negative_prompt: str) -> tuple[list[str], str, str]:
    """Return the names of the styles that both prompts were made with, in their order, and the prompts before them.

    A style without any text is in no prompt. What is not found stays.
    """
    names, (prompt,), (negative_prompt,) = extracted_from_all(styles, [prompt], [negative_prompt])
    return names, prompt, negative_prompt


def extracted_from_all(
    styles: Sequence[Style], prompts: Sequence[str], negative_prompts: Sequence[str]
) -> tuple[list[str], list[str], list[str]]:
    """Return the names of the styles that all of the prompts were made with, and the prompts before them.

    The first of either list are those of a picture, the others those of further passes. One of these is never left
    empty, for that says that it is the first.
    """
    names: list[str] = []
    before = list(prompts), list(negative_prompts)
    left = [each for each in styles if {each.prompt.strip(), each.negative_prompt.strip()} - {"", PLACE}]
    while True:
        for style in left:
            positive, negative = _without(style.prompt, before[0]), _without(style.negative_prompt, before[1])
            if positive is not None and negative is not None:
                break
        else:
            return names[::-1], *before
        left.remove(style)
        names.append(style.name)
        before = positive, negative


def _without(text: str, prompts: Sequence[str]) -> list[str] | None:
    """Return what each of `prompts` was before the text of a style; None when that is not in all of them."""
    if not text:
        return list(prompts)
    found = [each for prompt in prompts if (each := without(text, prompt)) is not None]
    return found if len(found) == len(prompts) and all(each.strip() for each in found[1:]) else None


def _even(text: str) -> str:
    while "  " in text:
        text = text.replace("  ", " ")
    return text.strip()
