"""What older versions of A1111 did otherwise."""

import pytest

from modules.images import infotext
from modules.images.entries import values_of
from modules.images.versions import as_it_was

OLD, DOWN, V0 = "Old prompt editing timelines", "Downcast alphas_cumprod", "Pad conds v0"


@pytest.mark.parametrize(
    ("version", "prompt", "sampler", "switches"),
    [
        ("v1.5.2", "[a:b:0.5]", "DDIM", {OLD, DOWN, V0}),
        ("v1.5.2", "(a)", "Euler", {DOWN}),
        ("v1.5.2-27-gabcdef01", "a", "PLMS", {DOWN, V0}),
        ("v1.6.0", "[a:b:0.5]", "DDIM", {DOWN}),
        ("v1.7.0", "[a:b:0.5]", "DDIM", {DOWN}),
        ("v1.7.0-224-gabcdef01", "a", "Euler", {DOWN}),
        ("v1.7.0-225-gabcdef01", "a", "Euler", set()),
        ("v1.10.1", "[a:b:0.5]", "DDIM", set()),
        ("f2.0.1v1.10.1-previous-1-g0", "[a:b:0.5]", "DDIM", set()),
        ("easel-0.1.0", "[a:b:0.5]", "DDIM", set()),
        ("", "[a:b:0.5]", "DDIM", set()),
        ("v1.5", "[a:b:0.5]", "DDIM", set()),
        ("v" + "9" * 5000 + ".1.1", "[a:b:0.5]", "DDIM", set()),
    ],
)
def test_a_version_says_what_was_otherwise(version: str, prompt: str, sampler: str, switches: set[str]) -> None:
    found = as_it_was({"Prompt": prompt, "Sampler": sampler, **({"Version": version} if version else {})})
    assert {name for name, value in found.items() if value == "True"} == switches
    assert found.get("Pad conds") == (None if version.startswith("easel-") else "False")


def test_what_a_text_says_itself_counts_more() -> None:
    text = "[a:b:3]\nSteps: 1, Seed: 2, Sampler: DDIM, {}, Version: v1.5.2"
    values, left = values_of(infotext.read(text.format("Old prompt editing timelines: False, Pad conds: True")))
    assert left == [] and (values["old_timelines"], values["pad_conds"]) == (False, "v0")
    values, _ = values_of(infotext.read(text.format("Model: m").replace("DDIM", "Euler")))
    assert (values["old_timelines"], values["pad_conds"], values["downcast_alphas"]) == (True, "off", True)


@pytest.mark.parametrize("name", ["CFG Rescale", "CFG Rescale φ", "CFG Rescale phi"])
def test_rescaling_is_known_by_every_spelling(name: str) -> None:
    values, left = values_of(infotext.read(f"p\nSteps: 1, Seed: 2, {name}: 0.7, Model: m"))
    assert (values["guidance/rescale"], left) == (0.7, [])


@pytest.mark.parametrize("name", ["Beta scheduler", "Beta schedule"])
def test_the_shape_of_beta_is_known_as_it_is_written_and_as_it_is_read(name: str) -> None:
    text = f"p\nSteps: 1, Seed: 2, {name} alpha: 0.5, {name} beta: 0.75"
    values, left = values_of(infotext.read(text))
    assert (values["sampling/beta_dist_alpha"], values["sampling/beta_dist_beta"], left) == (0.5, 0.75, [])
