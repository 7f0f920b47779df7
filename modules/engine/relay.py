"""The models of a batch, one after the other.

One is borrowed at a time: where there is no room for two, the one before may be let go of for the next. Whoever holds
on to a model that was given back keeps it in memory, so it is asked for where it is used, and never put aside.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from modules.engine.conditioning import Encoder
from modules.engine.job import Job
from modules.families.family import Model
from modules.model_manager.catalog import ModelFile
from modules.model_manager.learned import Vocabulary
from modules.prompts.tags import Tag


@dataclass(frozen=True)
class Chosen:
    """A checkpoint, and the autoencoder that it is used with; None: its own."""

    file: ModelFile
    vae: ModelFile | None

    @property
    def told(self) -> dict[str, str]:
        """Hash and autoencoder as a recipe keeps them."""
        return {"model_hash": self.file.hash, "vae": "" if self.vae is None else self.vae.name}


@dataclass(frozen=True)
class Cast:
    """The checkpoints of a request: of the first pass, of the second, and the one that takes over from either."""

    first: Chosen
    second: Chosen
    refiner: Chosen | None

    @property
    def every(self) -> tuple[Chosen, ...]:
        """All of them, each once, in the order in which they are needed."""
        found = (self.first, *([self.refiner] if self.refiner else []), self.second)
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class Leg:
    """Who is needed: a checkpoint with the networks that `tags` name. `job` says what for, once it is there.

    A `guest` does without the networks that do not fit it: they were asked for with another checkpoint in mind.
    """

    chosen: Chosen
    tags: tuple[Tag, ...]
    job: Callable[[Model], Job] = field(compare=False)
    guest: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Borrowed:
    """A model on loan with its networks applied: what reads words for it, and by name which networks they are."""

    model: Model
    job: Job
    words: Vocabulary
    encoder: Encoder
    hashes: dict[str, dict[str, str]]


class Relay:
    """Lends a batch the model that it needs now; a context manager that gives the last one back."""

    def __init__(self, borrow: Callable[[Leg], AbstractContextManager[Borrowed]]) -> None:
        self._borrow = borrow
        self._stack = ExitStack()
        self._leg: Leg | None = None
        self._held: Borrowed | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._held = self._leg = None
        return self._stack.__exit__(kind, error, trace)

    @property
    def at(self) -> Borrowed:
        """What is on loan now."""
        if self._held is None:
            raise RuntimeError("no model is borrowed")
        return self._held

    @property
    def model(self) -> Model:
        """The model that is on loan now."""
        return self.at.model

    def to(self, leg: Leg) -> Borrowed:
        """Return what `leg` needs; what was on loan goes back first, unless it is that."""
        if self._leg != leg:
            self._held = self._leg = None
            self._stack.close()
            self._held = self._stack.enter_context(self._borrow(leg))
            self._leg = leg
        return self.at
