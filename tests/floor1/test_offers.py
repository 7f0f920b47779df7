"""Names of samplers and schedules, in every accepted spelling."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from modules.errors import BadRequest
from modules.hooks import hookimpl
from modules.offers import AUTOMATIC, Offers, gather
from modules.plugins import make_plugins
from modules.request import make_request


class Variants:
    @hookimpl
    def samplers(self) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(name="DPM++ 2M", aliases=("k_dpmpp_2m",)),
            SimpleNamespace(name="Euler", aliases=()),
            SimpleNamespace(name="Euler a"),
        ]

    @hookimpl
    def schedules(self) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(name="karras", label="Karras"),
            SimpleNamespace(name="sgm_uniform", label="SGM Uniform", aliases=("SGMUniform",)),
        ]


@pytest.fixture
def offers() -> Iterator[Offers]:
    plugins = make_plugins("engine", [], None)
    plugins.manager.register(Variants(), "variants")
    yield gather(plugins)


def test_offers_are_shown_by_name_and_label(offers: Offers) -> None:
    assert offers.samplers == ("DPM++ 2M", "Euler", "Euler a")
    assert offers.schedules == (AUTOMATIC, "Karras", "SGM Uniform")


@pytest.mark.parametrize(
    ("asked", "settled"),
    [
        (("DPM++ 2M", "Automatic"), ("DPM++ 2M", AUTOMATIC)),
        (("k_dpmpp_2m", "karras"), ("DPM++ 2M", "Karras")),
        ((" euler A ", "sgm_uniform"), ("Euler a", "SGM Uniform")),
        (("DPM++ 2M Karras", "Automatic"), ("DPM++ 2M", "Karras")),
        (("Euler SGMUniform", "Karras"), ("Euler", "SGM Uniform")),
    ],
)
def test_spellings(offers: Offers, asked: tuple[str, str], settled: tuple[str, str]) -> None:
    request = offers.settle(make_request({"sampler": asked[0], "schedule": asked[1]}))
    assert (request.sampler, request.schedule) == settled


@pytest.mark.parametrize(
    ("sampler", "schedule", "key"),
    [("Oiler", "Automatic", "unknown_sampler"), ("Euler", "never", "unknown_schedule"), ("", "", "unknown_sampler")],
)
def test_unknown_names_say_which_there_are(offers: Offers, sampler: str, schedule: str, key: str) -> None:
    with pytest.raises(BadRequest) as caught:
        offers.settle(make_request({"sampler": sampler, "schedule": schedule}))
    assert caught.value.key == key
    assert ("Euler a" if key == "unknown_sampler" else "SGM Uniform") in str(caught.value)
