"""What is where in a picture, by OneFormer (Jain et al. 2023) through transformers: a colour for each kind of thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl

KIND = "oneformer"
ADE20K, COCO = "oneformer_ade20k_swin_large", "oneformer_coco_swin_large"  # published by shi-labs
TASK, TASK_LENGTH = "the task is semantic", 77  # what it is told in words, and in how many tokens
BEGIN, END = 49406, 49407


def load(place: Place, name: str = ADE20K) -> Run:
    """Return what paints each part of a picture in the colour of its class, of ADE20K or of COCO."""
    import torch
    from transformers import OneFormerForUniversalSegmentation, OneFormerImageProcessor

    from modules.controls.hints.palettes import ADE20K_CLASSES, COCO_CLASSES, ade20k, coco
    from modules.controls.hints.segments import network_in, painted
    from modules.prompts.vocabulary import ClipTokenizer

    classes, palette = (ADE20K_CLASSES, ade20k()) if name == ADE20K else (COCO_CLASSES, coco())
    path = place.model(name, KIND, classes)
    # A list of its classes would be fetched for what is not asked for here, panoptic segmentation.
    prepare, network = network_in(
        path, OneFormerImageProcessor, OneFormerForUniversalSegmentation, place.device, class_info_file=None
    )
    words = [BEGIN, *ClipTokenizer()(TASK), END]
    told = torch.tensor([[*words, *[0] * (TASK_LENGTH - len(words))]], device=place.device)

    def segments(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        seen = prepare(images=picture, task_inputs=["semantic"], return_tensors="pt")
        pixels, mask = (seen[each].to(place.device) for each in ("pixel_values", "pixel_mask"))
        with torch.inference_mode():
            answer = network(pixel_values=pixels, pixel_mask=mask, task_inputs=told)
            (found,) = prepare.post_process_semantic_segmentation(answer, target_sizes=[picture.shape[:2]])
        return painted(found, palette)

    return segments


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer both."""
    tags = ("Segmentation",)
    return [
        Preprocessor("seg_ofade20k", load, tags=tags, files=(ADE20K,)),
        Preprocessor("seg_ofcoco", partial(load, name=COCO), tags=tags, files=(COCO,)),
    ]
