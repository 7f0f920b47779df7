"""What is where in a picture, by UPerNet (Xiao et al. 2018) through transformers: a colour for each class of ADE20K."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl

KIND = "upernet"
FOLDER = "upernet-convnext-small"  # published by openmmlab; any other of its kind will do


def load(place: Place) -> Run:
    """Return what paints each part of a picture in the colour of its class."""
    import torch
    from transformers import SegformerImageProcessor, UperNetForSemanticSegmentation

    from modules.controls.hints.palettes import ADE20K_CLASSES, ade20k
    from modules.controls.hints.segments import network_in, painted

    path = place.model(FOLDER, KIND, ADE20K_CLASSES)
    prepare, network = network_in(path, SegformerImageProcessor, UperNetForSemanticSegmentation, place.device)
    palette = ade20k()

    def segments(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        pixels = prepare(images=picture, return_tensors="pt")["pixel_values"].to(place.device)
        with torch.inference_mode():
            answer = network(pixel_values=pixels)
            (found,) = prepare.post_process_semantic_segmentation(answer, target_sizes=[picture.shape[:2]])
        return painted(found, palette)

    return segments


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer it."""
    return [Preprocessor("seg_ufade20k", load, tags=("Segmentation",), files=(FOLDER,))]
