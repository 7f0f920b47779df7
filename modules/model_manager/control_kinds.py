"""What a file of ControlNet and its kin is: the kinds of controls are asked, by its header."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from modules.controls.control import Control
from modules.errors import WrongFamily
from modules.families.family import Family, Header
from modules.model_manager.identify import identify
from modules.plugins import folder_modules, make_plugins

# Files that lie among ControlNets and are something that Easel has no use for, by what their keys hold.
KNOWN_OTHERS = MappingProxyType(
    {
        "lllite": "ControlNet-LLLite",  # one that is not whole, or for another kind of network
        "ip_adapter": "IP-Adapter FaceID or InstantID (InsightFace)",
        "image_proj": "IP-Adapter FaceID or InstantID (InsightFace)",
        "controlnet_conditioning_embedding": "AnimateDiff",
        "motion_modules": "SparseCtrl",
        "pulid": "PuLID",
        "fooocus": "Fooocus inpaint",
    }
)


def built_in_controls() -> Mapping[str, Control]:
    """Return the kinds of controls that ship with Easel, by name; torch is not imported for that."""
    # A protocol with properties cannot say its type of `type[T]` to mypy.
    return make_plugins("engine", folder_modules("modules.controls"), None).offered("controls", Control)  # type: ignore[type-abstract]


def control_of(header: Header, controls: Mapping[str, Control]) -> Control:
    """Return the first kind that says the file is its own; raise `WrongFamily` when none does."""
    for control in controls.values():
        if control.detect(header):
            return control
    allowed = ", ".join(controls)
    for mark, name in KNOWN_OTHERS.items():
        if any(mark in key for key in header.entries):
            raise WrongFamily("control_unsupported", file=header.path.name, kind=name, allowed=allowed)
    raise WrongFamily("control_unknown", file=header.path.name, allowed=allowed)


def control_family(header: Header, control: Control, families: Mapping[str, Family]) -> str:
    """Return the name of the family of checkpoints that a control's file is made for, empty when that is open."""

    def ask(unet: Header) -> str:
        try:
            return identify(unet, families).name
        except WrongFamily:
            return ""

    return control.family(header, ask)
