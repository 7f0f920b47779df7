"""What a form takes over from a checkpoint when it is chosen."""

from collections.abc import Sequence
from typing import Any

from modules.model_manager.model_file import ModelFile
from modules.request import Request

UNKNOWN_SIZE = 512  # pixels, for a checkpoint that does not say


def taken_over(
    file: ModelFile, files: Sequence[ModelFile], width: Any, height: Any, steps: Any, cfg: Any
) -> tuple[Any, Any, Any, Any]:
    """Return width, height, steps and CFG scale after `file` of `files` was chosen.

    The size follows the native size, unless it was set by hand: to something that is no checkpoint's. A checkpoint
    made for few steps (Turbo, Lightning, LCM, Hyper) brings its own; one that is not gives back the usual ones where
    the form still has those of another.
    """
    if width == height and width in {each.native_size or UNKNOWN_SIZE for each in files}:
        width = height = file.native_size or UNKNOWN_SIZE
    usual = Request.model_fields["steps"].default, Request.model_fields["cfg_scale"].default
    special = {(each.defaults.steps, each.defaults.cfg_scale) for each in files if each.defaults is not None}
    if file.defaults is not None:
        steps, cfg = file.defaults.steps, file.defaults.cfg_scale
    elif (steps, cfg) in special:
        steps, cfg = usual
    return width, height, steps, cfg
