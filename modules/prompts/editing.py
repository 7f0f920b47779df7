r"""The editing part of the prompt language: text to a tree of what is said when.

`[from:to:when]` says one thing and later another, `[to:when]` begins late, `[from::when]` ends early, and `[a|b|c]`
takes turns step by step; each part may hold more of the same. Other brackets are for `syntax.py` and stay as they are,
and so does what is after a backslash. Nothing is an error: what is no syntax is text.

The grammar is that of AUTOMATIC1111's web UI, with one difference: a `|` outside of brackets, which silences all
editing there, is text here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType

_TOKEN = re.compile(r"(?:[^\\\[\]():|]|\\.)+|.", re.DOTALL)
NUMBER = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*")
_OPENING = MappingProxyType({")": "(", "]": "["})


@dataclass(frozen=True)
class Timed:
    """`before` until `when`, a number as it was written, and `after` from then on: "5" and "5." mean different things.

    Where the number stands is for `schedule.py` to say.
    """

    before: Tree
    after: Tree
    when: str


@dataclass(frozen=True)
class Alternating:
    """One of the `options` at each step, in turns."""

    options: tuple[Tree, ...]


Node = str | Timed | Alternating
Tree = tuple[Node, ...]


@dataclass
class _Open:
    """A bracket that is not closed yet: where it stands among the nodes, and what divides its content so far."""

    bracket: str
    place: int
    dividers: list[int] = field(default_factory=list)


def edited(prompt: str) -> Tree:
    """Return what `prompt` says when. Takes time in proportion to the length, however deep it nests."""
    nodes: list[Node] = []
    around: list[_Open] = []
    for token in _TOKEN.findall(prompt):
        if token in "([":
            around.append(_Open(token, len(nodes)))
        elif token in ":|":
            if around:
                around[-1].dividers.append(len(nodes))
        elif token in ")]":
            if around and around[-1].bracket == _OPENING[token]:
                made = _closed(around[-1], nodes)
                if isinstance(made, Timed | Alternating):
                    del nodes[around.pop().place :]
                    nodes.append(made)
                    continue
                if made:
                    around.pop()
                else:  # a bracket that means nothing, nor does any around it
                    around.clear()
            else:
                around.clear()
        nodes.append(token)
    return tuple(nodes)


def _closed(opened: _Open, nodes: list[Node]) -> Timed | Alternating | bool:
    """Return what a bracket turns out to be now that it is closed; a truth value says whether it is one of emphasis."""
    dividers = opened.dividers
    kinds = {nodes[place] for place in dividers}
    if not kinds:
        return True
    if opened.bracket == "(":
        return kinds == {":"} and len(dividers) == 1
    ends = [*dividers, len(nodes)]
    parts = [tuple(nodes[start + 1 : end]) for start, end in zip([opened.place, *dividers], ends, strict=True)]
    if kinds == {"|"}:
        return Alternating(tuple(parts))
    *said, last = parts
    number = NUMBER.fullmatch(last[0]) if len(last) == 1 and isinstance(last[0], str) else None
    if number is None or kinds != {":"} or len(said) > 2:
        return False
    return Timed(said[0] if len(said) == 2 else (), said[-1], number[1])
