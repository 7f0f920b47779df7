"""What a prompt may be completed with besides the names of models: wildcards, for one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Completion:
    """Names that stand between two marks, offered through the `completions` hook.

    Once `before` is typed, the page offers what `names` returns, and writes the chosen one followed by `after`. `names`
    is asked from any thread whenever a page looks for names, every few seconds at most: it may look at the disk.
    """

    name: str
    before: str
    after: str
    names: Callable[[], Sequence[str]]
