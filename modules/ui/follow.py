"""What a form takes over from a checkpoint when it is chosen."""

from collections.abc import Mapping, Sequence
from typing import Any

from modules.model_manager.model_file import ModelFile
from modules.request import Request

UNKNOWN_SIZE = 512  # pixels, for a checkpoint that does not say
FOLLOWING = ("width", "height", "steps", "cfg_scale", "sampler", "schedule")  # the fields that may follow


def taken_over(file: ModelFile, files: Sequence[ModelFile], form: Mapping[str, Any]) -> dict[str, Any]:
    """Return the following fields of `form` after `file` of `files` was chosen.

    The size follows the native size, unless it was set by hand: to something that is no checkpoint's. A checkpoint
    made for few steps (Turbo, Lightning, LCM, Hyper) brings its own steps, CFG scale and sampler; one that is not
    gives back the usual ones where the form still has those of another.
    """
    after = {name: form[name] for name in FOLLOWING}
    if form["width"] == form["height"] and form["width"] in {each.native_size or UNKNOWN_SIZE for each in files}:
        after["width"] = after["height"] = file.native_size or UNKNOWN_SIZE
    if file.defaults is not None:
        return after | _special(file)
    usual = {name: Request.model_fields[name].default for name in FOLLOWING}
    for other in files:
        theirs = _special(other)
        if theirs and all(form[name] == value for name, value in theirs.items()):
            return after | {name: usual[name] for name in theirs}
    return after


def _special(file: ModelFile) -> dict[str, Any]:
    """Return what a checkpoint that needs other values than usual needs, by field; empty for any other."""
    if file.defaults is None:
        return {}
    named = {"sampler": file.defaults.sampler, "schedule": file.defaults.schedule}
    numbers = {"steps": file.defaults.steps, "cfg_scale": file.defaults.cfg_scale}
    return numbers | {name: value for name, value in named.items() if value}
