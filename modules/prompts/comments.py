"""Comments in a prompt: notes for people, from a # to the end of its line, that are no words.

The grammar is that of AUTOMATIC1111's web UI. A line that is nothing but a comment goes with its end.
"""

from __future__ import annotations

import re

_COMMENT = re.compile(r"#[^\n]*")


def without_comments(prompt: str) -> str:
    """Return `prompt` without its comments, and without the lines that begin with one."""
    if "#" not in prompt:
        return prompt
    return "\n".join(_COMMENT.sub("", line) for line in prompt.split("\n") if not line.startswith("#"))


def blank_comments(prompt: str) -> str:
    """Return `prompt` with spaces where its comments are, so that everything else keeps its place."""
    return _COMMENT.sub(lambda match: " " * len(match[0]), prompt)
