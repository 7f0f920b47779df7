"""What the preprocessors draw, and what those say whose weights are not there."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from controlnet_aux.mlsd.models.mbv2_mlsd_large import MobileV2_MLSD_Large
from controlnet_aux.open_pose import OpenposeDetector, PoseResult
from controlnet_aux.open_pose.body import BodyResult, Keypoint
from controlnet_aux.pidi.model import pidinet
from torch import nn

from modules.controls.hints.networks import REPOSITORY, network_of
from modules.controls.preprocessor import Pixels, Preprocessor
from modules.errors import BadRequest, BrokenFile, UnknownModel, UnsafeFile
from modules.model_manager.annotators import Annotators
from modules.plugins import folder_modules, make_plugins

OFFERS = make_plugins("engine", folder_modules("modules.controls.preprocessors"), None).offered(
    "preprocessors", Preprocessor
)
CPU = torch.device("cpu")


@pytest.fixture
def square() -> Pixels:
    """A bright square on a dark ground."""
    picture = np.full((60, 90, 3), (40, 20, 10), np.uint8)
    picture[20:40, 30:60] = (220, 230, 250)
    return picture


def drawn(name: str, picture: Pixels, **options: float) -> Pixels:
    offer = OFFERS[name]
    return offer.load(Annotators(Path("nowhere"), CPU))(picture, offer.settled(options))


def test_canny_draws_the_edge_of_the_square_alone(square: Pixels) -> None:
    edges = drawn("canny", square)[:, :, 0] > 0
    around = np.zeros_like(edges)
    around[18:42, 28:62] = True
    around[23:37, 33:57] = False
    assert edges[around].any() and not edges[~around].any()
    assert edges[30].sum() == 2, "left and right"
    assert not drawn("canny", square // 8, low=100, high=200).any(), "too faint"


def test_threshold_and_invert(square: Pixels) -> None:
    bright = drawn("threshold", square)
    assert bright[30, 45].tolist() == [255] * 3 and bright[5, 5].tolist() == [0] * 3
    assert np.array_equal(drawn("invert", bright), 255 - bright)
    assert not drawn("threshold", square, threshold=250).any()


def test_line_drawings_are_white_where_a_black_line_is() -> None:
    paper = np.full((60, 60, 3), 255, np.uint8)
    paper[30, 10:50] = 0
    for name in ("lineart_standard", "scribble_xdog"):
        lines = drawn(name, paper)
        assert lines[30, 30].min() > 100, name
        assert lines[10, 30].max() == 0, name
        assert not drawn(name, np.full_like(paper, 128)).any(), "nothing on an empty page"


def test_tile_and_blur_keep_the_whole_and_lose_the_detail(square: Pixels) -> None:
    assert np.array_equal(drawn("tile_resample", square), square)
    for found in (drawn("tile_resample", square, rate=6), drawn("blur_gaussian", square)):
        assert abs(float(found.mean()) - float(square.mean())) < 8
        assert np.abs(np.diff(found.astype(int), axis=1)).max() < np.abs(np.diff(square.astype(int), axis=1)).max()


def test_shuffle_moves_the_colours_about(square: Pixels) -> None:
    found = drawn("shuffle", square)
    assert not np.array_equal(found, square)
    assert found.min() >= square.min() and found.max() <= square.max()
    assert (found > 150).any() and (found < 60).any()


def test_recolor_keeps_brightness(square: Pixels) -> None:
    for name in ("recolor_luminance", "recolor_intensity"):
        grey = drawn(name, square)
        assert np.array_equal(grey[:, :, 0], grey[:, :, 1])
        assert grey[30, 45, 0] > 200 and grey[5, 5, 0] < 60
        assert drawn(name, square, gamma=2.0)[5, 5, 0] < grey[5, 5, 0]


def test_sliders_are_held_to_their_ranges() -> None:
    assert OFFERS["canny"].settled({"low": 7}) == {"low": 7, "high": 200}
    with pytest.raises(BadRequest, match="low"):
        OFFERS["canny"].settled({"low": 256})
    with pytest.raises(BadRequest, match="no option named sigma"):
        OFFERS["canny"].settled({"sigma": 1})


@pytest.mark.parametrize("name", [name for name, each in OFFERS.items() if each.files])
def test_weights_that_are_not_there_are_named_with_their_place(name: str, tmp_path: Path) -> None:
    asked = []
    place = Annotators(tmp_path / "ControlNetPreprocessor", CPU, False, lambda *about: asked.append(about))
    with pytest.raises(UnknownModel) as caught:
        OFFERS[name].load(place)
    assert caught.value.values["file"] in OFFERS[name].files
    assert caught.value.values["folder"] == str(tmp_path / "ControlNetPreprocessor")
    assert asked == [], "nothing is fetched behind a person's back"


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.Conv2d(2, 2, 1))


@pytest.mark.parametrize("wrapped", ["", "module.", "state_dict", "model"])
def test_weights_are_found_below_the_folder_and_read_as_data(tmp_path: Path, wrapped: str) -> None:
    state = {f"{wrapped}{key}" if wrapped == "module." else key: each for key, each in tiny().state_dict().items()}
    (tmp_path / "hed").mkdir()
    torch.save({wrapped: state} if wrapped in ("state_dict", "model") else state, tmp_path / "hed" / "a.pth")
    network = network_of(lambda: nn.Sequential(nn.Linear(3, 2), nn.Conv2d(2, 2, 1)), Annotators(tmp_path, CPU), "a.pth")
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), tiny().parameters(), strict=True))


def test_broken_and_unsafe_weights_are_refused(tmp_path: Path) -> None:
    place = Annotators(tmp_path, CPU)
    torch.save({"0.weight": torch.zeros(2, 3)}, tmp_path / "half.pth")
    torch.save(dict(nn.Sequential(nn.Linear(4, 2), nn.Conv2d(2, 2, 1)).state_dict()), tmp_path / "wide.pth")
    torch.save(partial(print, "run"), tmp_path / "code.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"a": 1}))
    for name in ("half.pth", "wide.pth", "plain.pth"):
        with pytest.raises(BrokenFile):
            network_of(tiny, place, name)
    with pytest.raises(UnsafeFile):
        network_of(tiny, place, "code.pth")


def test_weights_are_fetched_where_that_is_allowed(tmp_path: Path) -> None:
    asked = []

    def fetch(repository: str, file: str, folder: Path) -> None:
        asked.append((repository, file))
        torch.save(dict(tiny().state_dict()), folder / file)

    place = Annotators(tmp_path / "new", CPU, True, fetch)
    for _ in range(2):
        network_of(tiny, place, "a.pth")
    assert asked == [(REPOSITORY, "a.pth")]


@pytest.fixture
def random_weights(tmp_path: Path) -> Annotators:
    """The small networks of controlnet-aux with random weights, in files as they are published."""
    torch.manual_seed(1)
    torch.save(dict(MobileV2_MLSD_Large().state_dict()), tmp_path / "mlsd_large_512_fp32.pth")
    state = {f"module.{key}": value for key, value in pidinet().state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "table5_pidinet.pth")
    return Annotators(tmp_path, CPU)


def test_networks_give_hints_of_the_same_size_each_time(random_weights: Annotators, square: Pixels) -> None:
    for name in ("mlsd", "softedge_pidinet", "softedge_pidisafe", "scribble_pidinet"):
        offer = OFFERS[name]
        run = offer.load(random_weights)
        first, again = (run(square.copy(), offer.settled({})) for _ in range(2))
        assert first.shape == square.shape and first.dtype == np.uint8, name
        assert np.array_equal(first, again), name


def test_openpose_draws_bodies_hands_and_faces_as_asked(square: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(detector: object, picture: Pixels, hand: bool, face: bool) -> list[PoseResult]:
        across, down = picture.shape[1], picture.shape[0]
        body = BodyResult([Keypoint(10 / across, 10 / down), *[None] * 17], 1.0, 1)
        joints = [Keypoint((20 + place) / across, (40 + place % 4) / down) for place in range(21)]
        points = [Keypoint(70 / across, 30 / down)]
        return [PoseResult(body, joints if hand else None, None, points if face else None)]

    monkeypatch.setattr(OpenposeDetector, "detect_poses", found)
    for part in ("body_of", "hand_of", "face_of"):
        monkeypatch.setattr(f"modules.controls.hints.poses.{part}", lambda place, file: None)
    seen = {}
    for name in ("openpose", "openpose_hand", "openpose_face", "openpose_faceonly", "openpose_full"):
        hint = drawn(name, square)
        assert hint.shape == square.shape
        seen[name] = tuple(bool(hint[down, across].any()) for across, down in ((10, 10), (30, 42), (70, 30)))
    assert seen == {
        "openpose": (True, False, False),
        "openpose_hand": (True, True, False),
        "openpose_face": (True, False, True),
        "openpose_faceonly": (False, False, True),
        "openpose_full": (True, True, True),
    }
