from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modules.engine.engine import Engine
from modules.images.inputs import Inputs
from tests.fake_controls import controls_folder, make_controlnet, write_control_file, write_control_folder
from tests.fake_models import checkpoints, engine_on, make_sd1


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a tiny checkpoint, "one", and the same ControlNet in every layout."""
    folder = tmp_path_factory.mktemp("controls")
    make_sd1(checkpoints(folder) / "one", seed=1)
    network = make_controlnet()
    places = controls_folder(folder)
    write_control_folder(places / "folder", network)
    write_control_file(places / "diffusers.safetensors", network)
    write_control_file(places / "cldm.safetensors", network, "cldm")
    write_control_file(places / "prefixed.pth", network, "control_model")
    write_control_file(places / "other.safetensors", make_controlnet(seed=8))
    return folder


@pytest.fixture(scope="session")
def engine(root: Path) -> Engine:
    return engine_on(root)


@pytest.fixture(scope="session")
def picture(root: Path) -> str:
    """The name of a picture of a white square on black among the inputs."""
    pixels = np.zeros((96, 64, 3), np.uint8)
    pixels[30:60, 20:50] = 255
    pixels[70:80, 5:60] = (200, 40, 90)
    return Inputs(root / ".easel" / "inputs").keep(Image.fromarray(pixels))


@pytest.fixture(scope="session")
def left_half(root: Path) -> str:
    """The name of a mask that is white on its left half."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :32] = 255
    return Inputs(root / ".easel" / "inputs").keep(Image.fromarray(pixels))
