"""Merges: what comes out is what the formula says, in the original layout, and nothing is left of a broken one."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from modules.errors import BadRequest, SaveError
from modules.families.unet import writing
from modules.model_manager import merge as room
from modules.model_manager.catalog import Catalog
from modules.model_manager.file_tasks import settled_file_task
from modules.model_manager.merge import merge
from modules.settings import Settings
from modules.tasks import Merge, make_file_task
from tests.fake_checkpoints import write_single
from tests.fake_models import checkpoints

INPUT = "model.diffusion_model.input_blocks.0.0.weight"
TIME = "model.diffusion_model.time_embed.2.weight"
VAE = "first_stage_model.decoder.conv_in.weight"


def no_news(step: int, steps: int) -> None:
    """Hear nothing."""


def made(root: Path, done: Callable[[int, int], None] = no_news, **values: Any) -> Path:
    """Merge checkpoints of the data folder `root` as the worker does."""
    catalog = Catalog(Settings(data_dir=root))
    task = settled_file_task(make_file_task(Merge, values), catalog)
    assert isinstance(task, Merge)
    return merge(task, catalog, done)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data folder with three small checkpoints, a.safetensors to c.safetensors."""
    for seed, name in enumerate("abc"):
        write_single(checkpoints(tmp_path) / f"{name}.safetensors", "sd1", seed, torch.float32)
    return tmp_path


def state(root: Path, name: str) -> dict[str, Tensor]:
    """Return the weights of a checkpoint, without tables of numbers and the leftovers of its training."""
    stored = load_file(checkpoints(root) / f"{name}.safetensors")
    return {key: value for key, value in stored.items() if value.is_floating_point() and "ema" not in key}


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return dict(file.metadata())


def test_a_weighted_sum(root: Path) -> None:
    path = made(root, model="a", second="b", multiplier=0.25)
    assert path == checkpoints(root) / "0.75(a) + 0.25(b).safetensors"  # the name A1111 gives it
    a, b, mixed = state(root, "a"), state(root, "b"), state(root, path.stem)
    assert set(mixed) == set(a)
    for key, value in mixed.items():
        assert torch.allclose(value, 0.75 * a[key] + 0.25 * b[key], atol=1e-6), key
    assert not torch.allclose(mixed[INPUT], a[INPUT])


def test_a_difference_is_added(root: Path) -> None:
    made(root, model="a", second="b", third="c", method="difference", multiplier=0.5, name="d")
    a, b, c, mixed = (state(root, name) for name in "abcd")
    for key, value in mixed.items():
        assert torch.allclose(value, a[key] + 0.5 * (b[key] - c[key]), atol=1e-6), key


def test_what_the_third_lacks_counts_as_no_difference(root: Path) -> None:
    c = state(root, "c")
    del c[TIME]
    save_file(c, checkpoints(root) / "c.safetensors", metadata(checkpoints(root) / "c.safetensors"))
    made(root, model="a", second="b", third="c", method="difference", multiplier=0.5, name="d")
    a, b, mixed = (state(root, name) for name in "abd")
    assert torch.equal(mixed[TIME], a[TIME])
    assert torch.allclose(mixed[VAE], a[VAE] + 0.5 * (b[VAE] - c[VAE]), atol=1e-6)


def test_no_interpolation_keeps_every_bit(root: Path) -> None:
    made(root, model="a", second="b", method="none", name="same")
    a, same = state(root, "a"), state(root, "same")
    assert set(a) == set(same)
    assert all(torch.equal(value, a[key]) for key, value in same.items())


def test_an_inpainting_checkpoint_takes_the_first_four_channels(root: Path) -> None:
    write_single(checkpoints(root) / "inpaint.safetensors", "sd1-inpaint", 5, torch.float32)
    path = made(root, model="inpaint", second="b", multiplier=0.5, name="mixed")
    first, b, mixed = state(root, "inpaint"), state(root, "b"), load_file(path)
    assert mixed[INPUT].shape == first[INPUT].shape
    assert torch.allclose(mixed[INPUT][:, :4], (first[INPUT][:, :4] + b[INPUT]) / 2, atol=1e-6)
    assert torch.equal(mixed[INPUT][:, 4:], first[INPUT][:, 4:])
    assert Catalog(Settings(data_dir=root)).find("mixed").family == "sd1"
    with pytest.raises(BadRequest, match="primary model"):
        made(root, model="b", second="inpaint", name="wrong")


def test_half_a_vae_and_what_is_discarded(root: Path) -> None:
    vae = {key.removeprefix("first_stage_model."): value for key, value in state(root, "c").items() if "first_s" in key}
    (root / "models" / "VAE").mkdir()
    save_file(vae, root / "models" / "VAE" / "other.safetensors")
    path = made(root, model="a", second="b", half=True, vae="other", discard=r"^cond_stage_model\.", name="small")
    mixed = load_file(path)
    assert {value.dtype for value in mixed.values()} == {torch.float16}
    assert torch.equal(mixed[VAE], state(root, "c")[VAE].half())
    assert INPUT in mixed and not any(key.startswith("cond_stage_model.") for key in mixed)


def test_the_file_says_how_it_was_made(root: Path) -> None:
    (checkpoints(root) / "b.yaml").write_text("model: {}\n", encoding="utf-8")
    path = made(root, model="a", second="b", name="told", metadata={"author": "나"})
    said = metadata(path)
    recipe, models = json.loads(said["sd_merge_recipe"]), json.loads(said["sd_merge_models"])
    hashes = [Catalog(Settings(data_dir=root)).hashed(Catalog(Settings(data_dir=root)).find(name)) for name in "ab"]
    assert recipe["interp_method"] == "Weighted sum" and recipe["tertiary_model_hash"] is None
    assert [recipe["primary_model_hash"], recipe["secondary_model_hash"]] == [each.sha256 for each in hashes]
    assert {each["name"] for each in models.values()} == {each.name for each in hashes}
    assert said["author"] == "나" and said["format"] == "pt"
    assert path.with_suffix(".yaml").read_text(encoding="utf-8") == "model: {}\n"
    assert "sd_merge_recipe" not in metadata(made(root, model="a", second="b", name="quiet", add_recipe=False))


def test_one_tensor_of_each_is_in_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
    most = 0

    def counted(stored: Any) -> Tensor:
        nonlocal most
        tensor = writing.read_stored(stored)
        alive.add(tensor)
        most = max(most, len(alive))
        return tensor

    monkeypatch.setattr(room, "read_stored", counted)
    made(root, model="a", second="b", third="c", method="difference", name="lean")
    assert 2 <= most <= 3


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_nothing_is_left_of_a_merge_that_ends_early(root: Path, error: BaseException) -> None:
    before = sorted(checkpoints(root).iterdir())

    def stop(step: int, steps: int) -> None:
        if step == 3:
            raise error

    with pytest.raises(SaveError if isinstance(error, OSError) else KeyboardInterrupt):
        made(root, stop, model="a", second="b", name="half")
    assert sorted(checkpoints(root).iterdir()) == before


def test_nothing_is_overwritten_and_families_do_not_mix(root: Path) -> None:
    with pytest.raises(BadRequest, match="already"):
        made(root, model="a", second="b", name="c")
    write_single(checkpoints(root) / "two.safetensors", "sd2", 3)
    with pytest.raises(BadRequest, match="famil"):
        made(root, model="a", second="two", name="d")
    for name in ("../x", "a/b", ".hidden", "x\0y", "a<script>", "."):
        with pytest.raises(BadRequest):
            made(root, model="a", second="b", name=name)
