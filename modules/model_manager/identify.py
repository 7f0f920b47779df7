"""Which family a checkpoint belongs to: the families are asked, by the keys and shapes of its header."""

from __future__ import annotations

from collections.abc import Mapping

from modules.errors import WrongFamily
from modules.families.family import Family, Header
from modules.plugins import folder_modules, make_plugins


def built_in_families() -> Mapping[str, Family]:
    """Return the families that ship with Easel, by name; torch is not imported for that."""
    # A protocol with properties cannot say its type of `type[T]` to mypy.
    return make_plugins("engine", folder_modules("modules.families"), None).offered("families", Family)  # type: ignore[type-abstract]


def identify(header: Header, families: Mapping[str, Family]) -> Family:
    """Return the first family that says the checkpoint is its own; raise `WrongFamily` when none does."""
    for family in families.values():
        if family.detect(header):
            return family
    looked = "; ".join(f"{name}: {', '.join(map(str, family.signs))}" for name, family in families.items())
    raise WrongFamily("unknown_family", file=header.path.name, allowed=", ".join(families), looked=looked)
