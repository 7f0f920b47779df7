"""Which text is said at which step: the tree of `editing.py`, step by step."""

from __future__ import annotations

from collections.abc import Callable

from modules.prompts.editing import Alternating, Timed, Tree, edited

When = Callable[[str], int]
"""A number as it stands in a prompt -> the last step that says what is before it; 0: none does."""


def schedule(prompt: str, steps: int, before: int = 0, old: bool = False) -> tuple[str, ...]:
    """Return what `prompt` says at each of `steps` steps, from the first on.

    A number with a point is a share of the steps, one without is a step. In a pass over a picture that was made in
    `before` steps both go on counting: shares from 1 to 2, and steps from `before` on. With `old` timelines, as
    AUTOMATIC1111's web UI had them before 1.6, a number below 1 is a share, any other a step, and each pass counts for
    itself. Alternatives begin anew with each pass.
    """
    tree = edited(prompt)
    if all(isinstance(node, str) for node in tree):
        return (prompt,) * steps

    def when(number: str) -> int:
        value = float(number)
        if old:
            value = value * steps if value < 1 else value
        elif "." in number:
            value = (value - (1 if before else 0)) * steps
        else:
            value -= before
        return int(min(max(value, 0), steps))

    return tuple(text_at(tree, step, when) for step in range(1, steps + 1))


def text_at(tree: Tree, step: int, when: When) -> str:
    """Return what `tree` says at `step`, counted from 1."""
    said: list[str] = []
    waiting = list(reversed(tree))  # a stack of its own: a prompt may nest deeper than Python calls
    while waiting:
        node = waiting.pop()
        if isinstance(node, Timed):
            waiting.extend(reversed(node.before if step <= when(node.when) else node.after))
        elif isinstance(node, Alternating):
            waiting.extend(reversed(node.options[(step - 1) % len(node.options)]))
        else:
            said.append(node)
    return "".join(said)
