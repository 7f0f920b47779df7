"""Upscalers by name: loaded once, loaded anew when the file changes, and other weights go before anything fails."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from modules.engine import upscaling
from modules.engine.upscaling import Upscaling
from modules.errors import ExtensionError, OutOfMemory, UnknownModel
from modules.hooks import hookimpl
from modules.model_manager.catalog import Catalog
from modules.plugins import folder_modules, make_plugins
from modules.settings import Settings
from modules.upscalers.tiles import Pixels
from modules.upscalers.upscaler import Size, Upscaler
from tests.fake_upscalers import compact, difference, put_upscaler, scene
from tests.fakes import RecordingReport

CPU = torch.device("cpu")


class Wrong:
    @hookimpl
    def upscalers(self) -> list[Upscaler]:
        return [Upscaler("Wrong", lambda image, size, tell: image)]


def made_of(folder: Path, tile: int = 64, gone: list[str] | None = None) -> Upscaling:
    """Upscaling on the files below `folder`; each name in `gone` is something that can make room once."""
    plugins = make_plugins("engine", folder_modules("modules.upscalers"), None)
    plugins.manager.register(Wrong(), "wrong")
    things = gone if gone is not None else []
    return Upscaling(plugins, Catalog(Settings(data_dir=folder)), CPU, tile, 16, lambda: bool(things and things.pop()))


def tell(done: int, of: int) -> None:
    pass


def test_a_network_is_loaded_once_and_again_when_its_file_changes(tmp_path: Path) -> None:
    put_upscaler(tmp_path, state=compact(strength=0))
    work = made_of(tmp_path)
    reports = [RecordingReport() for _ in range(3)]
    plain = work.enlarge("tiny", scene(), (180, 122), tell, reports[0])
    work.enlarge("tiny", scene(), (180, 122), tell, reports[1])
    put_upscaler(tmp_path, state=compact(strength=1, seed=3))
    other = work.enlarge("tiny", scene(), (180, 122), tell, reports[2])
    assert [each.kinds() for each in reports] == [["loading"], [], ["loading"]]
    assert difference(plain, scene().resize((180, 122), Image.Resampling.NEAREST)) == 0
    assert difference(plain, other) > 1


def test_a_name_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel):
        made_of(tmp_path).enlarge("nothing", scene(), (180, 122), tell, RecordingReport())


def test_an_extension_that_makes_another_size_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExtensionError, match="Wrong did not make a picture of 180×122"):
        made_of(tmp_path).enlarge("Wrong", scene(), (180, 122), tell, RecordingReport())


class Cramped:
    """A network of which calls above a size fail, as those of a full GPU do, until `frees` things are gone."""

    scale, whole, name, size = 2, False, "cramped", 1

    def __init__(self, most: int, gone: list[str], needed: int) -> None:
        self.most, self.gone, self.needed = most, gone, needed

    def __call__(self, pixels: Pixels) -> Pixels:
        if max(pixels.shape) > self.most and len(self.gone) > self.needed:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return pixels.repeat(2, 0).repeat(2, 1)


def cramped(folder: Path, monkeypatch: pytest.MonkeyPatch, most: int, gone: list[str], needed: int) -> Upscaling:
    put_upscaler(folder)
    network = Cramped(most, gone, needed)
    monkeypatch.setattr(upscaling, "Network", Cramped)
    monkeypatch.setattr(upscaling, "load_network", lambda name, tensors, device: network)
    return made_of(folder, 90, gone)


def doubled(size: Size = (180, 122)) -> Image.Image:
    return scene().resize(size, Image.Resampling.NEAREST)


def test_other_weights_go_before_tiles_become_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, report = ["one", "two"], RecordingReport()
    made = cramped(tmp_path, monkeypatch, 50, gone, needed=1).enlarge("tiny", scene(), (180, 122), tell, report)
    assert difference(made, doubled()) == 0 and gone == ["one"]
    assert report.kinds() == ["loading"]


def test_tiles_become_smaller_when_nothing_else_can_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, report = ["one"], RecordingReport()
    work = cramped(tmp_path, monkeypatch, 50, gone, needed=-1)
    made = work.enlarge("tiny", scene(), (180, 122), tell, report)
    assert difference(made, doubled()) == 0 and gone == []
    assert report.kinds() == ["loading", "note"]


def test_no_room_at_all_says_how_much_there_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = cramped(tmp_path, monkeypatch, 10, [], needed=-1)
    with pytest.raises(OutOfMemory, match="not enough memory on cpu to enlarge this picture"):
        work.enlarge("tiny", scene(), (180, 122), tell, RecordingReport())
