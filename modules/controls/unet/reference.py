"""Self-attention that looks at another picture too: what is seen of it is written down, then read beside its own.

sd-webui-controlnet's "reference_only" (Zhang 2023). Each guess takes one more call of the U-Net, for the reference in
as much noise. Nothing of the U-Net is changed but which function its attention calls, and that for one call only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from torch import Tensor

from modules.controls.control import NEGATIVE, Guide, Predict, Ring
from modules.controls.unet.networks import unet_of
from modules.families.family import Conditioning, Model
from modules.families.unet.model import UnetModel
from modules.families.unet.residuals import adding_nothing
from modules.families.unet.thrift import wholly

SEED = 0  # of the noise laid over the reference, the same in every picture
DEFAULT_FIDELITY = 0.5

Process = Callable[..., Tensor]


class LoadedReference:
    """There is nothing in memory."""

    size = 0

    def ring(self, model: Model, guide: Guide) -> Ring:
        """Return the ring of one unit. Its weight says how much of the network looks, the widest layers first.

        The option "fidelity" mixes, for negative prompts, what is seen with the reference and without it: a negative
        prompt that sees it less makes the reference count more. They see nothing of it when the control counts more,
        and as much as prompts do when the prompt counts more.
        """
        network = unet_of(model, "Reference")
        seen = network.encode_pictures(guide.hint * 2 - 1)
        noise = torch.randn(seen.shape, generator=torch.Generator().manual_seed(SEED)).to(seen)
        looking = _looking(network, guide.weight)
        asked = guide.options.get("fidelity", DEFAULT_FIDELITY)
        fidelity = {"balanced": asked, "prompt": 0.0, "control": 1.0}[guide.mode]
        mask = guide.mask

        def ring(predict: Predict) -> Predict:
            def controlled(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
                alpha = network.prediction.alpha(sigma)
                noised = (alpha * seen + sigma * noise).to(x).expand(len(x), -1, -1, -1)
                written: dict[Attention, Tensor] = {}
                with _processing(looking, lambda attention, inner: _writing(attention, inner, written)):
                    network.predict(noised, sigma, adding_nothing(conditioning))
                negative = conditioning.extra.get(NEGATIVE)
                rows = None if negative is None else negative.flatten().bool()
                with _processing(looking, lambda attention, inner: _reading(inner, written[attention], rows, fidelity)):
                    said = predict(x, sigma, wholly(conditioning))
                if mask is None:
                    return said
                place = torch.nn.functional.interpolate(mask, x.shape[-2:], mode="area").to(said)
                return place * said + (1 - place) * predict(x, sigma, conditioning)

            return controlled

        return ring


def _looking(model: UnetModel, weight: float) -> list[Attention]:
    """Return the self-attentions that look at the reference: a share `weight` of them, the widest first."""
    blocks = [each for each in model.unet.modules() if isinstance(each, BasicTransformerBlock)]
    blocks.sort(key=lambda block: -block.norm1.normalized_shape[0])
    return [block.attn1 for place, block in enumerate(blocks) if place / len(blocks) < weight]


@contextmanager
def _processing(attentions: list[Attention], change: Callable[[Attention, Process], Process]) -> Iterator[None]:
    """Let attentions be computed by what `change` makes of their processors, until the `with` is left."""
    before = [attention.processor for attention in attentions]
    try:
        for attention, processor in zip(attentions, before, strict=True):
            attention.processor = change(attention, _plain(processor))
        yield
    finally:
        for attention, processor in zip(attentions, before, strict=True):
            attention.processor = processor


def _plain(processor: Any) -> Process:
    """Return a processor as a function of what self-attention needs."""

    def process(attention: Attention, states: Tensor, context: Tensor | None, mask: Tensor | None) -> Tensor:
        found: Tensor = processor(attention, states, encoder_hidden_states=context, attention_mask=mask)
        return found

    return process


def _writing(attention: Attention, inner: Process, written: dict[Attention, Tensor]) -> Process:
    def process(
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        written[attention] = hidden_states
        return inner(attn, hidden_states, encoder_hidden_states, attention_mask)

    return process


def _reading(inner: Process, reference: Tensor, negative: Tensor | None, fidelity: float) -> Process:
    def process(
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        both = torch.cat([hidden_states, reference], dim=1)
        said = inner(attn, hidden_states, both, attention_mask)
        if negative is None or fidelity == 0 or not bool(negative.any()):
            return said
        alone = inner(attn, hidden_states[negative], None, attention_mask)
        said[negative] = fidelity * alone + (1 - fidelity) * said[negative]
        return said

    return process
