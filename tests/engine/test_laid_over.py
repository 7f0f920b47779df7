"""What is laid over a picture before it is painted over, and what of it a checkpoint for inpainting sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from modules.engine.engine import Engine
from modules.families.family import Conditioning
from modules.hooks import JobView, Ring, hookimpl
from modules.images import infotext
from modules.result import Picture
from tests.engine.test_engine import make
from tests.fake_models import UNET, checkpoints, engine_on, make_sd1


class Seen:
    """An extension that keeps what the network sees at each call: latents, level, and what lies beside."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, float, Tensor | None]] = []

    @hookimpl
    def around_predict(self, job: JobView) -> Ring:
        def ring(inner: Any) -> Any:
            def predict(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
                self.calls.append((x.clone(), sigma, conditioning.extra.get("beside")))
                answer: Tensor = inner(x, sigma, conditioning)
                return answer

            return predict

        return ring


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("over")
    make_sd1(checkpoints(folder) / "one", seed=1)
    make_sd1(checkpoints(folder) / "paints", seed=2, unet={**UNET, "in_channels": 9})
    return folder


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def engine(data: Path, seen: Seen) -> Engine:
    return engine_on(data, seen)


def given(engine: Engine) -> dict[str, Any]:
    image = Image.fromarray(np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8))
    return {"image": engine.inputs.keep(image), "denoising_strength": 0.6}


def first(engine: Engine, seen: Seen, **values: Any) -> tuple[Tensor, float, Picture]:
    """Return the latents and the level that the first call sees, and the picture."""
    seen.calls.clear()
    (picture,) = make(engine, sampler="Euler", cfg_scale=1, **values)
    return *seen.calls[0][:2], picture


def test_extra_noise_is_as_much_more_of_the_noise_that_is_there(engine: Engine, seen: Seen) -> None:
    init = given(engine)
    clean, _, _ = first(engine, seen, init={**init, "noise_multiplier": 0})
    plain, sigma, _ = first(engine, seen, init=init)
    more, same, picture = first(engine, seen, init=init, sampling={"extra_noise": 0.25})
    assert sigma == same, "the sampler is not told"
    noise = (plain - clean) / sigma
    assert noise.std() > 0.8
    assert torch.allclose(more, plain + 0.25 * noise, atol=1e-5)
    assert "Extra noise: 0.25" in infotext.write(picture.recipe)


def test_extra_noise_is_laid_over_the_first_pass_before_the_second(engine: Engine, seen: Seen) -> None:
    starts = []
    for extra in (0.0, 0.5):
        seen.calls.clear()
        make(engine, sampler="Euler", cfg_scale=1, hires={"scale": 1.5}, sampling={"extra_noise": extra})
        starts.append([x for x, _, _ in seen.calls])
    assert torch.equal(starts[0][0], starts[1][0]), "the first pass begins from nothing else"
    second = next(place for place, x in enumerate(starts[0]) if x.shape[-1] > 8)
    more = starts[1][second] - starts[0][second]
    assert more.std() == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize("weight", [1.0, 0.5, 0.0])
def test_the_mask_hides_as_much_of_the_picture_as_its_weight_says(engine: Engine, seen: Seen, weight: float) -> None:
    init = given(engine)
    image = np.asarray(engine.inputs.open(init["image"]).convert("RGB"), np.float32) / 127.5 - 1
    drawn = Image.new("L", (64, 64))
    ImageDraw.Draw(drawn).rectangle((0, 0, 31, 63), fill=255)
    mask = {"image": engine.inputs.keep(drawn), "blur": 0}
    _, _, picture = first(engine, seen, model="paints", init={**init, "mask_weight": weight}, mask=mask)
    beside = seen.calls[0][2]
    assert beside is not None
    assert beside[0, 0, :, :4].min() == 1 and beside[0, 0, :, 4:].max() == 0, "the mask itself stays"
    image[:, :32] *= 1 - weight
    with engine.models.borrow(engine.catalog.find("paints"), None) as model, torch.inference_mode():
        wanted = model.encode_pictures(torch.from_numpy(image).permute(2, 0, 1)[None])
    assert torch.allclose(beside[:1, 1:], wanted, atol=1e-4)
    text = infotext.write(picture.recipe)
    assert ("Conditional mask weight" in text) == (weight != 1)
