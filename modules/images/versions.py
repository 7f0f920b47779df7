"""What a "parameters" text says between the lines: how the version of A1111 that wrote it did things by itself."""

import re
from collections.abc import Mapping
from types import MappingProxyType

_VERSION = re.compile(r"v(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-(\d{1,9}))?(?!\d)")
EASEL = "easel-"  # how a version of Easel begins
# Other spellings, the first of them that a text has counts. A1111 writes the last two, and reads what is here.
SPELLINGS = MappingProxyType(
    {
        "CFG Rescale φ": "CFG Rescale",
        "CFG Rescale phi": "CFG Rescale",
        "Beta schedule alpha": "Beta scheduler alpha",
        "Beta schedule beta": "Beta scheduler beta",
    }
)


def as_it_was(fields: Mapping[str, str]) -> dict[str, str]:
    """Return what `fields` (of `infotext.read`) would say besides, were they written by A1111's last version, or here.

    Of a text without a version, only what no version of A1111 does by itself is said.
    """
    found = {entry: fields[name] for name, entry in reversed([*SPELLINGS.items()]) if name in fields}
    said = fields.get("Version", "")
    if said.startswith(EASEL):
        return found
    found["Pad conds"] = "False"
    version = _version(said)
    if version is None:
        return found
    if version < (1, 6, 0, 0) and any("[" in fields.get(name, "") for name in ("Prompt", "Negative prompt")):
        found["Old prompt editing timelines"] = "True"
    if version < (1, 6, 0, 0) and fields.get("Sampler") in ("DDIM", "PLMS"):
        found["Pad conds v0"] = "True"
    if version < (1, 7, 0, 225):
        found["Downcast alphas_cumprod"] = "True"
    return found


def _version(text: str) -> tuple[int, ...] | None:
    """Return what "v1.7.0-225-gabcdef" counts to: release, and commits after it."""
    match = _VERSION.match(text)
    return None if match is None else tuple(int(each or 0) for each in match.groups())
