"""What is said of each picture at each step: prompt editing and AND, worked out before anything is encoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modules.prompts.composed import Composed, composed
from modules.prompts.schedule import schedule
from modules.request import Shot


@dataclass(frozen=True)
class Wording:
    """What is said of a picture: the prompts that it follows, each with its weight, and its negative prompt."""

    prompts: tuple[Composed, ...]
    negative: str

    @property
    def texts(self) -> tuple[str, ...]:
        """The prompts."""
        return tuple(each.text for each in self.prompts)

    @property
    def weights(self) -> tuple[float, ...]:
        """How much of the guidance is towards each prompt."""
        return tuple(each.weight for each in self.prompts)

    def contrasted(self, scale: float) -> bool:
        """Return whether the negative prompt counts: with guidance, or where prompts have weights."""
        return scale != 1 or self.weights != (1.0,)


def wordings(shot: Shot, steps: int, before: int = 0, old: bool = False) -> tuple[Wording, ...]:
    """Return what is said of a picture at each of `steps` steps of a pass that `before` steps came before.

    AND joins prompts, so it is text in a negative one. `old` timelines are A1111's before 1.6 (`schedule`).
    """
    parts = composed(shot.prompt)
    every = [*(part.text for part in parts), shot.negative_prompt]
    said = zip(*(schedule(text, steps, before, old) for text in every), strict=True)
    return tuple(
        Wording(tuple(Composed(text, part.weight) for text, part in zip(texts, parts, strict=True)), negative)
        for *texts, negative in said
    )


def moments(said: Sequence[Sequence[Wording]], taken: int) -> list[tuple[Wording, ...]]:
    """Return what is said of the pictures of a batch at each of the steps that are `taken`.

    What is said first is said for one step more than the prompt says, as A1111 counts: its timeline begins at 1, its
    steps at 0. Where a picture to begin with leaves fewer steps to take, these are the first of the timeline.
    """
    return [tuple(each[max(step - 1, 0)] for each in said) for step in range(taken)]


def texts(said: Sequence[Wording], scale: float) -> Iterator[str]:
    """Yield each text that is read for a picture once; without guidance its negative prompt is not."""
    read = (text for wording in said for text in (*wording.texts, *[wording.negative] * wording.contrasted(scale)))
    yield from dict.fromkeys(read)
