from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from modules.errors import BrokenFile, WrongFamily
from modules.families.unet.layout import text_names, unet_names
from modules.model_manager.lora_file import LoraFile, read_lora
from modules.model_manager.lora_targets import Targets
from modules.model_manager.loras import Loras, Wanted
from modules.model_manager.model_file import ModelFile
from modules.model_manager.turns import Turns
from tests.fake_checkpoints import make_networks
from tests.fake_loras import KERNEL, MATRIX, RANK, Make, kohya, layers_of, lora, norm, numbers, write_lora

MATRIX_AT = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
KERNEL_AT = "down_blocks.1.resnets.0.conv1"
NORM_AT = "down_blocks.0.attentions.0.norm"
TEXT_AT = "encoder.layers.0.self_attn.q_proj"


@dataclass(frozen=True)
class FakeFamily:
    name: str


@dataclass
class FakeModel:
    """The parts of a tiny checkpoint, as loading leaves them: made in inference mode, convolutions channels last."""

    family: Any
    parts: Mapping[str, nn.Module]
    before: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.before = {name: tensor.clone() for name, tensor in self.weights().items()}

    def weights(self) -> dict[str, Tensor]:
        return {
            f"{part}.{name}": tensor.detach()
            for part, network in self.parts.items()
            for name, tensor in network.named_parameters()
        }

    def changed(self) -> set[str]:
        """Return the names of the weights that differ from what they were in any bit."""
        return {name for name, tensor in self.weights().items() if not torch.equal(tensor, self.before[name])}


def make_model(kind: str = "sd1", dtype: torch.dtype = torch.float32) -> Any:
    networks = make_networks(kind)
    names = [
        "text_encoder_2" if kind.startswith(("sdxl", "refiner")) and name == "open" else "text_encoder"
        for name, _ in networks.texts
    ]
    parts = {"unet": networks.unet, **dict(zip(names, (module for _, module in networks.texts), strict=True))}
    with torch.inference_mode():
        for network in parts.values():
            weights = {name: tensor.detach().to(dtype) for name, tensor in network.state_dict().items()}
            for name, tensor in weights.items():
                if tensor.ndim == 4:
                    weights[name] = tensor.contiguous(memory_format=torch.channels_last)
            network.load_state_dict(weights, assign=True)
            network.requires_grad_(False).eval()
    return FakeModel(FakeFamily("sdxl" if kind == "refiner" else kind.split("-")[0]), parts)


@pytest.fixture(scope="module")
def models() -> Callable[[str], Any]:
    """Tiny models by kind, each made once: what changes them must leave them as they were."""
    return cache(make_model)


@pytest.fixture(scope="module")
def model(models: Callable[[str], Any]) -> Any:
    return models("sd1")


def file_of(path: Path) -> ModelFile:
    return ModelFile(path.stem, path, "lora")


def weight_at(model: Any, path: str, part: str = "unet") -> Tensor:
    found: Tensor = model.parts[part].get_submodule(path).weight
    return found


def close(found: Tensor, wanted: Any, tolerance: float = 2e-6) -> None:
    error = np.abs(found.detach().double().numpy() - wanted).max()
    assert error <= tolerance * max(1.0, np.abs(wanted).max()), error


def check_format(model: Any, folder: Path, path: str, make: Make) -> None:
    weight = weight_at(model, path)
    module = model.parts["unet"].get_submodule(path)
    bias = None if module.bias is None else module.bias.detach().double().numpy().copy()
    made = make(weight)
    file = file_of(write_lora(folder / "x.safetensors", {kohya("unet", path): made.roles}))
    for strength in (1.0, -0.5):
        with Loras().applied(model, [Wanted(file, te=0.3, unet=strength)]) as applied:
            close(weight_at(model, path), made.weight(strength))
            assert float((weight_at(model, path) - model.before[f"unet.{path}.weight"]).abs().max()) > 1e-3
            if made.bias is not None and bias is not None:
                close(module.bias, bias + made.bias(strength))
            only = {f"unet.{path}.{name}" for name in ("weight", "bias")}
            assert model.changed() <= only
            if make.__name__ != "difference" or bias is not None:
                assert applied.misfits == ()
        assert model.changed() == set()


@pytest.mark.parametrize("make", MATRIX.values(), ids=MATRIX)
def test_every_format_changes_a_matrix_as_its_formula_says(model: Any, tmp_path: Path, make: Make) -> None:
    torch.manual_seed(1)
    check_format(model, tmp_path, MATRIX_AT, make)


@pytest.mark.parametrize("make", KERNEL.values(), ids=KERNEL)
def test_every_format_changes_a_convolution_as_its_formula_says(model: Any, tmp_path: Path, make: Make) -> None:
    torch.manual_seed(2)
    assert not weight_at(model, KERNEL_AT).is_contiguous()  # channels last, as loaded on a CPU
    check_format(model, tmp_path, KERNEL_AT, make)


def test_a_norm_is_changed_in_weight_and_bias(model: Any, tmp_path: Path) -> None:
    check_format(model, tmp_path, NORM_AT, norm)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("make", [lora, MATRIX["loha"], MATRIX["dora_output"]], ids=lambda each: each.__name__)
def test_a_change_is_worked_out_in_float32_and_cast_once(tmp_path: Path, make: Make, dtype: torch.dtype) -> None:
    model = make_model(dtype=dtype)
    torch.manual_seed(3)
    for path in (MATRIX_AT, KERNEL_AT):
        made = make(weight_at(model, path))
        file = file_of(write_lora(tmp_path / "x.safetensors", {kohya("unet", path): made.roles}))
        with Loras().applied(model, [Wanted(file, unet=0.7)]):
            wanted = torch.tensor(made.weight(0.7)).to(dtype)
            found = weight_at(model, path)
            off = (found != wanted).double().mean()
            assert off < 0.01, off  # rounding at the border between two numbers may fall either way
            torch.testing.assert_close(found, wanted, rtol=torch.finfo(dtype).eps, atol=1e-6)
        assert model.changed() == set()


def test_a_matrix_in_the_file_fits_a_convolution_of_one_pixel_and_the_other_way_round(tmp_path: Path) -> None:
    for kind, path in (("sd1", "mid_block.attentions.0.proj_in"), ("sd2", MATRIX_AT)):
        model = make_model(kind)
        weight = weight_at(model, path)
        made = lora(weight)
        rank = made.roles["lora_down.weight"]
        other = rank.reshape(rank.shape[0], -1) if weight.ndim == 4 else rank[:, :, None, None]
        roles = made.roles | {"lora_down.weight": other}
        file = file_of(write_lora(tmp_path / f"{kind}.safetensors", {kohya("unet", path): roles}, {"x": "y"}))
        with Loras().applied(model, [Wanted(file)]):
            close(weight_at(model, path), made.weight(1.0))


def test_dyn_takes_the_first_ranks_and_keeps_the_scale(model: Any, tmp_path: Path) -> None:
    made = lora(weight_at(model, MATRIX_AT))
    cut = {name: tensor.clone() for name, tensor in made.roles.items()}
    cut["lora_up.weight"][:, 2:] = 0
    files = [
        file_of(write_lora(tmp_path / f"{name}.safetensors", {kohya("unet", MATRIX_AT): roles}))
        for name, roles in (("whole", made.roles), ("cut", cut))
    ]
    loras = Loras()
    with loras.applied(model, [Wanted(files[0], dyn=2)]):
        found = weight_at(model, MATRIX_AT).clone()
    with loras.applied(model, [Wanted(files[1])]):
        torch.testing.assert_close(weight_at(model, MATRIX_AT), found)
    with loras.applied(model, [Wanted(files[0], dyn=RANK + 7)]):
        close(weight_at(model, MATRIX_AT), made.weight(1.0))


def test_several_at_once_add_up_and_later_ones_see_what_earlier_ones_made(model: Any, tmp_path: Path) -> None:
    torch.manual_seed(4)
    weight = weight_at(model, MATRIX_AT)
    before = weight.detach().double().numpy().copy()
    plain, also, factors = lora(weight), lora(weight), numbers(weight.shape[0])
    made = {"a": plain.roles, "b": also.roles, "c": {"weight": factors, "on_input": torch.tensor(0)}}
    files = {
        name: file_of(write_lora(tmp_path / f"{name}.safetensors", {kohya("unet", MATRIX_AT): roles}))
        for name, roles in made.items()
    }
    both = plain.weight(0.5) + also.weight(2.0) - before
    with Loras().applied(model, [Wanted(files["a"], unet=0.5), Wanted(files["b"], unet=2.0)]):
        close(weight_at(model, MATRIX_AT), both)
    with Loras().applied(model, [Wanted(files[each], unet=s) for each, s in (("a", 0.5), ("b", 2.0), ("c", 1.0))]):
        close(weight_at(model, MATRIX_AT), both * (1 + factors.double().numpy()[:, None]))
    assert model.changed() == set()


def test_text_encoders_and_the_u_net_have_strengths_of_their_own(model: Any, tmp_path: Path) -> None:
    unet, text = lora(weight_at(model, MATRIX_AT)), lora(weight_at(model, TEXT_AT, "text_encoder"))
    layers = {kohya("unet", MATRIX_AT): unet.roles, kohya("text_encoder", f"text_model.{TEXT_AT}"): text.roles}
    file = file_of(write_lora(tmp_path / "x.safetensors", layers))
    with Loras().applied(model, [Wanted(file, te=0.25, unet=0.75)]):
        close(weight_at(model, MATRIX_AT), unet.weight(0.75))
        close(weight_at(model, TEXT_AT, "text_encoder"), text.weight(0.25))
    with Loras().applied(model, [Wanted(file, te=0.0, unet=1.0)]):
        assert model.changed() == {f"unet.{MATRIX_AT}.weight"}
    with Loras().applied(model, [Wanted(file, te=0.0, unet=0.0)]) as applied:
        assert model.changed() == set()
        assert applied.misfits == ()


def named(model: Any, kind: str, layout: str) -> dict[str, str]:
    """Return what a trainer calls every linear layer and convolution: name -> our name of its weight."""
    names: dict[str, str] = {}
    for part, network in model.parts.items():
        for path in layers_of(network):
            if part == "unet":
                ldm = unet_names(network.config).get(path, path)
                name = {
                    "kohya": kohya(part, path),
                    "ldm": kohya(part, ldm),
                    "diffusers": f"unet.{path}",
                    "peft": f"unet.base_model.model.{path}",
                    "comfy": f"diffusion_model.{ldm}",
                }[layout]
            else:
                full = path if path.startswith("text_") else f"text_model.{path}"
                both = len(model.parts) == 3
                open_clip = text_names(part, network.config.to_dict()).get(full, full)
                one = "text_encoder_2" if part == "text_encoder_2" else "text_encoder_1" if both else "text_encoder"
                clip = "clip_g" if part == "text_encoder_2" else "clip_l"
                fused = kind == "sd1" or (both and part == "text_encoder") or "in_proj" in open_clip
                name = {
                    "kohya": kohya(one, full),
                    "ldm": kohya(one, full if fused else open_clip),
                    "diffusers": f"{part}.{full}",
                    "peft": f"{part}.{full}",
                    "comfy": f"text_encoders.{clip}.transformer.{full}",
                }[layout]
            names[name] = f"{part}.{path}.weight"
    return names


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        *(("sd1", layout) for layout in ("kohya", "ldm", "diffusers", "peft", "comfy")),
        *((kind, layout) for kind in ("sd2", "sdxl") for layout in ("kohya", "ldm", "diffusers")),
        ("refiner", "ldm"),
    ],
)
def test_every_layer_is_found_by_every_trainers_name(
    models: Callable[[str], Any], tmp_path: Path, kind: str, layout: str
) -> None:
    model = models(kind)
    names = named(model, kind, layout)
    halves = (
        ("lora_A.weight", "lora_B.weight")
        if layout in ("diffusers", "peft")
        else ("lora_down.weight", "lora_up.weight")
    )
    layers = {}
    for name, key in names.items():
        weight = model.before[key]
        down, up = torch.randn(1, *weight.shape[1:]), torch.randn(weight.shape[0], 1, *(1 for _ in weight.shape[2:]))
        layers[name] = dict(zip(halves, (down, up), strict=True))
    file = file_of(write_lora(tmp_path / "x.safetensors", layers))
    with Loras().applied(model, [Wanted(file)]) as applied:
        assert applied.misfits == ()
        assert model.changed() == set(names.values())
        for name, key in list(names.items())[:: max(1, len(names) // 12)]:
            down, up = (layers[name][half].flatten(1).double() for half in halves)
            part, _, path = key.partition(".")
            wanted = model.before[key].double() + (up @ down).reshape(model.before[key].shape)
            close(weight_at(model, path.removesuffix(".weight"), part), wanted.numpy(), 1e-5)
    assert model.changed() == set()


def test_names_without_a_part_and_the_first_ones_of_diffusers_are_found(model: Any, tmp_path: Path) -> None:
    attention = MATRIX_AT.rpartition(".")[0]
    weight = model.before[f"unet.{MATRIX_AT}.weight"]
    down, up = torch.randn(2, weight.shape[1]), torch.randn(weight.shape[0], 2)
    for stem, first, second in (
        (f"base_model.model.{MATRIX_AT}", "lora_A.weight", "lora_B.weight"),
        (MATRIX_AT, "lora_A.default.weight", "lora_B.default.weight"),
        (f"unet.{attention}.processor", "to_k_lora.down.weight", "to_k_lora.up.weight"),
        (f"unet.{MATRIX_AT}", "lora.down.weight", "lora.up.weight"),
    ):
        file = file_of(write_lora(tmp_path / "x.safetensors", {stem: {first: down, second: up}}))
        with Loras().applied(model, [Wanted(file)]):
            close(weight_at(model, MATRIX_AT), (weight + up @ down).double().numpy(), 1e-5)


def test_an_alpha_that_peft_keeps_in_the_metadata_or_beside_the_file_counts(model: Any, tmp_path: Path) -> None:
    weight = model.before[f"unet.{MATRIX_AT}.weight"]
    down, up = torch.randn(4, weight.shape[1]), torch.randn(weight.shape[0], 4)
    halves = {"lora_A.weight": down, "lora_B.weight": up}

    def scale(path: Path) -> float:
        with Loras().applied(model, [Wanted(file_of(path))]):
            moved = weight_at(model, MATRIX_AT) - weight
        return round(float((moved * (up @ down)).sum() / ((up @ down) ** 2).sum()), 4)

    def metadata(**stated: Any) -> dict[str, str]:
        return {"lora_adapter_metadata": json.dumps({f"unet.{key}": value for key, value in stated.items()})}

    layers = {f"unet.{MATRIX_AT}": halves}
    assert scale(write_lora(tmp_path / "a.safetensors", layers)) == 1
    assert scale(write_lora(tmp_path / "b.safetensors", layers, metadata(lora_alpha=8, r=4))) == 2
    assert scale(write_lora(tmp_path / "c.safetensors", layers, metadata(lora_alpha=8, use_rslora=True))) == 4
    pattern = {"attn2.to_k": 2, "attn1.to_k": 64}
    assert scale(write_lora(tmp_path / "d.safetensors", layers, metadata(lora_alpha=8, alpha_pattern=pattern))) == 0.5
    assert scale(write_lora(tmp_path / "e.safetensors", layers, {"lora_adapter_metadata": "[1"})) == 1
    path = write_lora(tmp_path / "adapter_model.safetensors", {f"base_model.model.{MATRIX_AT}": halves})
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 16, "r": 4}), encoding="utf-8")
    assert scale(path) == 4


def test_a_network_for_four_channels_leaves_the_further_ones_of_an_inpainting_model_alone(tmp_path: Path) -> None:
    model = make_model("sd1-inpaint")
    weight = model.before["unet.conv_in.weight"]
    made = lora(weight[:, :4])
    full = {"diff": numbers(weight.shape[0], 4, 3, 3)}
    for roles, wanted in ((made.roles, made.weight(1.0)), (full, (weight[:, :4] + full["diff"]).double().numpy())):
        file = file_of(write_lora(tmp_path / "x.safetensors", {"lora_unet_conv_in": roles}))
        with Loras().applied(model, [Wanted(file)]) as applied:
            found = weight_at(model, "conv_in")
            close(found[:, :4], wanted)
            assert torch.equal(found[:, 4:], weight[:, 4:])
            assert applied.misfits == ()


def test_leaving_puts_the_very_same_tensors_back_even_after_an_error(model: Any, tmp_path: Path) -> None:
    made = {kohya("unet", path): lora(weight_at(model, path)).roles for path in (MATRIX_AT, KERNEL_AT, "conv_out")}
    file = file_of(write_lora(tmp_path / "x.safetensors", made))
    pointers = {name: tensor.data_ptr() for name, tensor in model.parts["unet"].named_parameters()}
    loras = Loras()
    with pytest.raises(ZeroDivisionError), loras.applied(model, [Wanted(file)]):
        assert len(model.changed()) == len(made)
        raise ZeroDivisionError
    assert model.changed() == set()
    assert {name: tensor.data_ptr() for name, tensor in model.parts["unet"].named_parameters()} == pointers


def test_it_works_inside_and_outside_of_inference_mode_and_the_network_runs(tmp_path: Path) -> None:
    model = make_model()
    layers = {kohya("unet", path): lora(weight_at(model, path)).roles for path in (MATRIX_AT, KERNEL_AT, "conv_out")}
    file = file_of(write_lora(tmp_path / "x.safetensors", layers))
    loras = Loras()
    x, time, words = torch.randn(1, 4, 8, 8), torch.tensor(3.0), torch.randn(1, 77, 16)

    def say() -> Tensor:
        with torch.inference_mode():
            said: Tensor = model.parts["unet"](x, time, words, return_dict=False)[0]
            return said

    without = say()
    with torch.inference_mode(), loras.applied(model, [Wanted(file, unet=0.1)]):
        inside = say()
    with loras.applied(model, [Wanted(file, unet=0.1)]):
        outside = say()
    assert not torch.allclose(inside, without)
    assert torch.equal(inside, outside)
    assert torch.equal(say(), without)


def test_the_same_set_again_exchanges_pointers_and_another_strength_writes_over_them(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lora(weight_at(model, MATRIX_AT))
    path = write_lora(tmp_path / "x.safetensors", {kohya("unet", MATRIX_AT): made.roles})
    file, loras = file_of(path), Loras()
    reads: list[Path] = []

    def read(path: Path) -> LoraFile:
        reads.append(path)
        return read_lora(path)

    monkeypatch.setattr("modules.model_manager.loras.read_lora", read)

    def pointer(unet: float = 1.0) -> int:
        with loras.applied(model, [Wanted(file, unet=unet)]):
            close(weight_at(model, MATRIX_AT), made.weight(unet))
            return weight_at(model, MATRIX_AT).data_ptr()

    first = pointer()
    kept = loras.aside(model)
    assert kept == weight_at(model, MATRIX_AT).nbytes
    assert pointer() == first
    assert pointer(unet=0.5) == first
    assert pointer(unet=0.5) == first
    assert len(reads) == 1
    assert loras.aside(model) == kept
    write_lora(path, {kohya("unet", MATRIX_AT): (made := lora(weight_at(model, MATRIX_AT))).roles}, {"new": "x" * 99})
    pointer(unet=0.5)  # the file is another one: it is read again
    assert len(reads) == 2
    loras.forget()
    assert loras.aside(model) == 0
    pointer()
    assert model.changed() == set()


def test_weights_that_are_no_longer_wanted_are_not_kept(model: Any, tmp_path: Path) -> None:
    big, small = (
        file_of(write_lora(tmp_path / f"{at}.safetensors", {kohya("unet", at): lora(weight_at(model, at)).roles}))
        for at in (KERNEL_AT, MATRIX_AT)
    )
    loras = Loras()
    with loras.applied(model, [Wanted(big)]):
        pass
    with loras.applied(model, [Wanted(small)]):
        assert model.changed() == {f"unet.{MATRIX_AT}.weight"}
    assert loras.aside(model) == weight_at(model, MATRIX_AT).nbytes


def test_what_is_kept_goes_with_the_model(tmp_path: Path) -> None:
    model = make_model()
    file = file_of(
        write_lora(tmp_path / "x.safetensors", {"lora_unet_conv_in": lora(weight_at(model, "conv_in")).roles})
    )
    loras = Loras()
    with loras.applied(model, [Wanted(file)]):
        pass
    assert len(loras._kept) == 1
    del model
    assert len(loras._kept) == 0


def test_without_room_for_two_the_originals_wait_in_main_memory(model: Any, tmp_path: Path) -> None:
    made = {at: lora(weight_at(model, at)) for at in (MATRIX_AT, KERNEL_AT)}
    file = file_of(write_lora(tmp_path / "x.safetensors", {kohya("unet", at): m.roles for at, m in made.items()}))
    size = sum(weight_at(model, at).nbytes for at in made)
    for free, aside in ((2 * size, size), (2 * size - 1, 0)):
        loras = Loras(room=partial(_free, free))
        for strength in (1.0, 1.0, 0.5):
            with loras.applied(model, [Wanted(file, unet=strength)]):
                for at, each in made.items():
                    close(weight_at(model, at), each.weight(strength))
            assert model.changed() == set()
            assert loras.aside(model) == aside
            assert not weight_at(model, KERNEL_AT).is_contiguous()


def _free(count: float, device: torch.device) -> float:
    return count


def test_sets_do_not_nest(model: Any, tmp_path: Path) -> None:
    file = file_of(
        write_lora(tmp_path / "x.safetensors", {"lora_unet_conv_in": lora(weight_at(model, "conv_in")).roles})
    )
    loras = Loras()
    with loras.applied(model, [Wanted(file)]), pytest.raises(RuntimeError), loras.applied(model, [Wanted(file)]):
        pass
    assert model.changed() == set()


def test_a_lora_of_another_family_is_refused_with_its_name_and_both_families(tmp_path: Path) -> None:
    layers = {"lora_te2_text_model_encoder_layers_0_mlp_fc1": {"lora_up.weight": torch.zeros(1), "alpha": _one()}}
    file = file_of(write_lora(tmp_path / "shiny.safetensors", layers))
    model = make_model("sd1")
    with pytest.raises(WrongFamily) as caught, Loras().applied(model, [Wanted(file)]):
        pass
    said = str(caught.value)
    assert "shiny" in said
    assert "sdxl" in said
    assert "sd1" in said
    assert model.changed() == set()


def _one() -> Tensor:
    return torch.tensor(1.0)


@pytest.mark.parametrize(
    "layers",
    [
        {"lora_unet_nowhere": {"lora_up.weight": torch.ones(4, 1), "lora_down.weight": torch.ones(1, 4)}},
        {"lora_unet_conv_in": {"lora_up.weight": torch.ones(5, 1), "lora_down.weight": torch.ones(1, 5)}},
        {"something": {"else": torch.ones(3)}},
        {"lora_unet_conv_in": {"alpha": torch.ones(())}},
    ],
)
def test_a_lora_that_fits_nowhere_is_refused(model: Any, tmp_path: Path, layers: dict[str, dict[str, Tensor]]) -> None:
    file = file_of(write_lora(tmp_path / "odd.safetensors", layers))
    with pytest.raises(WrongFamily, match="odd"), Loras().applied(model, [Wanted(file)]):
        pass
    assert model.changed() == set()


@pytest.mark.parametrize(
    "roles",
    [
        {"lora_up.weight": (10**5, 1), "lora_down.weight": (1, 10**5)},
        {"hada_w1_a": (10**5, 1), "hada_w1_b": (1, 10**5), "hada_w2_a": (10**5, 1), "hada_w2_b": (1, 10**5)},
        {"lokr_w1": (300, 300), "lokr_w2": (300, 300)},
        {"lokr_w1_a": (10**5, 1), "lokr_w1_b": (1, 10**5), "lokr_w2": (1, 1)},
        {"a1.weight": (16, 2), "a2.weight": (2, 16), "b1.weight": (10**5, 2), "b2.weight": (2, 10**5)},
        {"oft_blocks": (1, 3000, 3000)},
        {"oft_blocks": (4, 4)},
        {"lora_up.weight": (32, 1), "lora_down.weight": (1, 16), "alpha": (3,)},
        {"lora_up.weight": (32, 1), "lora_down.weight": (1, 16), "bias_indices": (2, 1), "bias_values": (9,)},
        {"lora_up.weight": (32, 3), "lora_down.weight": (4, 16)},
        {"hada_w1_a": (32, 1)},
        {"lokr_w1": (4,), "lokr_w2": (8, 17)},
        {"weight": (7,), "on_input": ()},
        {"dora_scale": (32, 1), "lora_down.weight": (1, 16)},
    ],
    ids=lambda roles: "-".join(roles),
)
def test_factors_that_make_no_sense_are_left_out_before_anything_large_is_made(
    model: Any, tmp_path: Path, roles: dict[str, tuple[int, ...]]
) -> None:
    good = lora(weight_at(model, NORM_AT[: -len("norm")] + "proj_in"))
    layers = {
        kohya("unet", MATRIX_AT): {name: torch.ones(shape) for name, shape in roles.items()},
        kohya("unet", NORM_AT[: -len("norm")] + "proj_in"): good.roles,
    }
    file = file_of(write_lora(tmp_path / "x.safetensors", layers))
    with Loras().applied(model, [Wanted(file)]) as applied:
        assert [each.count for each in applied.misfits] == [1]
        assert torch.equal(weight_at(model, MATRIX_AT), model.before[f"unet.{MATRIX_AT}.weight"])
    assert model.changed() == set()


def test_a_file_of_torch_save_is_read_as_data(model: Any, tmp_path: Path) -> None:
    made = lora(weight_at(model, MATRIX_AT))
    path = tmp_path / "x.pt"
    torch.save({f"{kohya('unet', MATRIX_AT)}.{role}": tensor for role, tensor in made.roles.items()}, path)
    with Loras().applied(model, [Wanted(file_of(path))]):
        close(weight_at(model, MATRIX_AT), made.weight(1.0))


@pytest.mark.parametrize("offload", ["medvram", "lowvram"])
def test_weights_that_take_turns_on_a_device_are_patched_at_home(
    tmp_path: Path, offload: Literal["medvram", "lowvram"]
) -> None:
    model = make_model()
    layers = {kohya("unet", path): lora(weight_at(model, path)).roles for path in (MATRIX_AT, KERNEL_AT, "conv_out")}
    file = file_of(write_lora(tmp_path / "x.safetensors", layers))
    x, time, words = torch.randn(1, 4, 8, 8), torch.tensor(3.0), torch.randn(1, 77, 16)

    def say() -> Tensor:
        with torch.inference_mode():
            said: Tensor = model.parts["unet"](x, time, words, return_dict=False)[0]
            return said

    loras, wanted = Loras(), [Wanted(file, unet=0.1)]
    with loras.applied(model, wanted):
        whole = say()
    turns = Turns(model.parts, torch.device("cpu"), offload, largest=2**14, carry=_copied)
    for _ in range(2):
        with loras.applied(model, wanted), turns.working():
            assert torch.equal(say(), whole)
        assert model.changed() == set()


def _copied(tensor: Tensor, device: torch.device) -> Tensor:
    with torch.inference_mode(tensor.is_inference()):
        return tensor.clone()


def test_what_fits_in_part_is_applied_and_counted(model: Any, tmp_path: Path) -> None:
    made = lora(weight_at(model, MATRIX_AT))
    layers = {
        kohya("unet", MATRIX_AT): made.roles,
        "lora_unet_nowhere": {name: tensor.clone() for name, tensor in made.roles.items()},
        "lora_unet_conv_out": {"lora_up.weight": torch.ones(7, 1), "lora_down.weight": torch.ones(1, 7)},
        "unknown": {"thing": torch.ones(1)},
        kohya("unet", NORM_AT): {"diff_b": torch.ones(3)},
    }
    file = file_of(write_lora(tmp_path / "x.safetensors", layers))
    for loras in (Loras(), Loras(room=lambda device: 0)):
        with loras.applied(model, [Wanted(file)]) as applied:
            close(weight_at(model, MATRIX_AT), made.weight(1.0))
            ((misfit),) = applied.misfits
            assert (misfit.name, misfit.count, misfit.total) == ("x", 4, 5)
            assert model.changed() == {f"unet.{MATRIX_AT}.weight"}


def test_bundled_embeddings_are_handed_on_unless_the_strength_is_none(model: Any, tmp_path: Path) -> None:
    vectors = numbers(3, 16)
    layers = {
        kohya("unet", MATRIX_AT): lora(weight_at(model, MATRIX_AT)).roles,
        "bundle_emb.my word": {"string_to_param.*": vectors},
    }
    file = file_of(write_lora(tmp_path / "x.safetensors", layers))
    with Loras().applied(model, [Wanted(file)]) as applied:
        assert applied.misfits == ()
        assert set(applied.bundled) == {"my word"}
        assert applied.bundled["my word"].count == 3
    with Loras().applied(model, [Wanted(file, te=0, unet=0)]) as applied:
        assert applied.bundled == {}


def test_a_file_that_is_gone_or_damaged_is_reported(model: Any, tmp_path: Path) -> None:
    with pytest.raises(BrokenFile), Loras().applied(model, [Wanted(file_of(tmp_path / "gone.safetensors"))]):
        pass
    path = tmp_path / "page.safetensors"
    path.write_text("<html>not found</html>", encoding="utf-8")
    with pytest.raises(BrokenFile), Loras().applied(model, [Wanted(file_of(path))]):
        pass


def test_targets_are_found_once_for_each_module() -> None:
    model = make_model("sdxl")
    targets = list(Targets(model))
    wanted = [
        (part, path)
        for part, network in model.parts.items()
        for path, module in network.named_modules()
        if isinstance(getattr(module, "weight", None), nn.Parameter)
    ]
    assert sorted((each.part, each.path) for each in targets) == sorted(wanted)
