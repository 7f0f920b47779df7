"""Hypernetworks: what attention reads is what A1111's modules would make of it, and leaving takes all of it away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modules.errors import BrokenFile, UnsafeFile, WrongFamily
from modules.families.family import Model
from modules.model_manager import hypernetwork_file
from modules.model_manager.header import read_header
from modules.model_manager.hypernetwork_file import hypernetwork_family
from modules.model_manager.hypernetworks import ACTIVATIONS, applied, load_hypernetwork
from modules.model_manager.identify import built_in_families, identify
from tests import fake_words
from tests.fake_models import make_sd1
from tests.fake_words import hypernetwork

WORDS, PICTURE = 16, 32  # how wide the tiny model's words are, and its pictures where it has attention


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    header = read_header(make_sd1(tmp_path_factory.mktemp("models") / "one"))
    return identify(header, built_in_families()).load(header, torch.device("cpu"), torch.float32)


def projection(model: Model, block: str, name: str) -> nn.Module:
    return model.parts["unet"].get_submodule(f"down_blocks.0.attentions.0.transformer_blocks.0.{block}.{name}")


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"activation_func": "relu", "activate_output": False},
        {"activation_func": "swish", "activate_output": True},
        {"activation_func": "linear"},
        {"activation_func": "gelu", "normed": True, "activate_output": True},
        {"activation_func": "tanh", "normed": True, "dropout": [0, 0.3, 0.1, 0], "structure": [1, 2, 1.5, 1]},
        {"activation_func": "mish", "structure": [1, 1], "activate_output": False},
        {"old": True},
    ],
    ids=str,
)
def test_keys_and_values_are_what_a1111_makes_of_them(tmp_path: Path, model: Model, about: Mapping[str, Any]) -> None:
    path, made = hypernetwork(tmp_path / "style", [WORDS, PICTURE], **about)
    network = load_hypernetwork(path)
    for block, width in (("attn1", PICTURE), ("attn2", WORDS)):
        x = numbers(2, 5, width)
        for branch, name in enumerate(("to_k", "to_v")):
            layer = projection(model, block, name)
            for strength in (1.0, 0.4, -1.0):
                expected = layer(x + strength * made[width][branch](x))
                with applied(model, [(network, strength)]):
                    assert torch.allclose(layer(x), expected, atol=1e-6)


@pytest.mark.parametrize("name", sorted(fake_words.ACTIVATIONS))
def test_activations_are_those_of_their_names(tmp_path: Path, model: Model, name: str) -> None:
    path, made = hypernetwork(tmp_path / "style", [WORDS], activation_func=name)
    x = 3 * numbers(1, 5, WORDS)
    layer = projection(model, "attn2", "to_k")
    with applied(model, [(load_hypernetwork(path), 1.0)]):
        assert torch.allclose(layer(x), layer_without_hooks(layer, x + made[WORDS][0](x)), atol=1e-6)


def layer_without_hooks(layer: nn.Module, x: Tensor) -> Tensor:
    answer: Tensor = layer.forward(x)
    return answer


def test_every_activation_that_is_accepted_can_be_computed() -> None:
    assert {*ACTIVATIONS, "linear"} == hypernetwork_file.ACTIVATIONS


def test_several_work_one_after_the_other(tmp_path: Path, model: Model) -> None:
    first, one = hypernetwork(tmp_path / "first", [WORDS], seed=1)
    second, two = hypernetwork(tmp_path / "second", [WORDS], seed=2)
    x, layer = numbers(1, 5, WORDS), projection(model, "attn2", "to_v")
    between = x + one[WORDS][1](x)
    expected = layer(between + 0.5 * two[WORDS][1](between))
    with applied(model, [(load_hypernetwork(first), 1.0), (load_hypernetwork(second), 0.5)]):
        assert torch.allclose(layer(x), expected, atol=1e-6)


def hooks(model: Model) -> int:
    return sum(len(module._forward_pre_hooks) for module in model.parts["unet"].modules())


def test_leaving_takes_everything_away(tmp_path: Path, model: Model) -> None:
    network = load_hypernetwork(hypernetwork(tmp_path / "style", [WORDS, PICTURE])[0])
    x, layer = numbers(1, 5, WORDS), projection(model, "attn2", "to_k")
    before, weights = layer(x), {name: value.clone() for name, value in model.parts["unet"].state_dict().items()}
    with applied(model, [(network, 1.0)]):
        assert not torch.equal(layer(x), before)
        assert hooks(model) > 0
    assert hooks(model) == 0
    assert torch.equal(layer(x), before)
    with pytest.raises(ZeroDivisionError), applied(model, [(network, 1.0)]):
        raise ZeroDivisionError
    assert hooks(model) == 0
    assert all(torch.equal(value, weights[name]) for name, value in model.parts["unet"].state_dict().items())


def test_strength_0_is_not_there_at_all(tmp_path: Path, model: Model) -> None:
    network = load_hypernetwork(hypernetwork(tmp_path / "style", [WORDS])[0])
    with applied(model, [(network, 0.0)]):
        assert hooks(model) == 0


def test_it_follows_the_precision_of_what_it_reads(tmp_path: Path) -> None:
    path, made = hypernetwork(tmp_path / "style", [WORDS], activation_func="relu")
    stack, _ = load_hypernetwork(path).stacks[WORDS]
    x = numbers(1, 5, WORDS)
    coarse = stack(x.bfloat16(), 1.0)
    assert coarse.dtype == torch.bfloat16
    assert torch.allclose(coarse.float(), x + made[WORDS][0](x), atol=0.1)
    assert torch.equal(stack(x, 1.0), x + made[WORDS][0](x)), "nothing was lost in between"


def test_a_hypernetwork_of_another_family_is_refused(tmp_path: Path, model: Model) -> None:
    other = load_hypernetwork(hypernetwork(tmp_path / "anime", [1024, PICTURE])[0])
    with pytest.raises(WrongFamily, match=r"anime is for sd2 .* which is sd1"), applied(model, [(other, 1.0)]):
        raise AssertionError
    assert hooks(model) == 0
    several = load_hypernetwork(hypernetwork(tmp_path / "both", [768, WORDS, PICTURE])[0])
    with applied(model, [(several, 1.0)]):
        assert hooks(model) > 0


def test_the_family_is_told_by_the_width_of_words() -> None:
    assert hypernetwork_family({768: 0, 320: 0, 640: 0, 1280: 0}) == "sd1"
    assert hypernetwork_family({1024: 0, 320: 0}) == "sd2"
    assert hypernetwork_family({2048: 0, 1280: 0}) == "sdxl"
    assert hypernetwork_family({320: 0, 640: 0}) == ""
    assert hypernetwork_family({768: 0, 1024: 0}) == ""


def saved(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


def test_what_is_no_hypernetwork_says_so(tmp_path: Path) -> None:
    with pytest.raises(BrokenFile, match=r"other\.pt"):
        load_hypernetwork(saved(tmp_path / "other.pt", {"string_to_param": {"*": torch.zeros(1, 16)}}))
    good, _ = hypernetwork(tmp_path / "good", [16])
    whole = torch.load(good, weights_only=True)
    with pytest.raises(BrokenFile, match="frobnicate"):
        load_hypernetwork(saved(tmp_path / "a.pt", {**whole, "activation_func": "frobnicate"}))
    for wrong in ({"linear.0.weight": torch.zeros(8, 16)}, {"linear.0.bias": torch.zeros(16)}, {}):
        with pytest.raises(BrokenFile, match="width 16"):
            load_hypernetwork(saved(tmp_path / "b.pt", {16: [wrong, whole[16][1]]}))
    cut = tmp_path / "cut.pt"
    cut.write_bytes(good.read_bytes()[:900])
    with pytest.raises(BrokenFile, match=r"cut\.pt"):
        load_hypernetwork(cut)


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("open('ran', 'w')",)


def test_code_in_a_hypernetwork_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafeFile):
        load_hypernetwork(saved(Path("bad.pt"), {16: [{}, {}], "name": Payload()}))
    assert not Path("ran").exists()
