"""What a second pass is asked for by name: found whatever its spelling, or refused before it is queued."""

from pathlib import Path

import pytest

from modules.errors import BadRequest
from modules.model_manager.hires_check import LATENT, checked_hires
from modules.request import make_request
from tests.fake_models import engine_on, make_sd1


def test_names_are_found_and_what_is_not_said_is_as_in_the_first_pass(tmp_path: Path) -> None:
    make_sd1(tmp_path)
    engine = engine_on(tmp_path)
    asked = make_request({"sampler": "Euler a", "hires": {"upscaler": "latent (BICUBIC)", "schedule": "karras"}})
    hires = checked_hires(asked, engine.catalog, engine.offers()).hires
    assert hires is not None
    assert (hires.upscaler, hires.sampler, hires.schedule) == ("Latent (bicubic)", "Euler a", "Karras")


@pytest.mark.parametrize(
    ("hires", "key"),
    [
        ({"upscaler": "nothing"}, "unknown_upscaler"),
        ({"sampler": "odd"}, "unknown_sampler"),
        ({"scale": 4}, "hires_size"),
    ],
)
def test_what_is_not_there_is_refused(tmp_path: Path, hires: dict[str, object], key: str) -> None:
    make_sd1(tmp_path)
    engine = engine_on(tmp_path)
    request = make_request({"width": 2048, "height": 2048, "hires": {"upscaler": next(iter(LATENT)), **hires}})
    with pytest.raises(BadRequest) as refused:
        checked_hires(request, engine.catalog, engine.offers())
    assert refused.value.key == key
