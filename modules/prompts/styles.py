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
    names: list[str] = []
    left = [each for each in styles if {each.prompt.strip(), each.negative_prompt.strip()} - {"", PLACE}]
    while True:
        for style in left:
            positive = without(style.prompt, prompt)
            negative = without(style.negative_prompt, negative_prompt)
            if positive is not None and negative is not None:
                break
        else:
            return names[::-1], prompt, negative_prompt
        left.remove(style)
        names.append(style.name)
        prompt = positive if style.prompt else prompt
        negative_prompt = negative if style.negative_prompt else negative_prompt


def _even(text: str) -> str:
    while "  " in text:
        text = text.replace("  ", " ")
    return text.strip()
