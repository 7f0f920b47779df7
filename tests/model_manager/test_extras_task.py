"""Names in a task about finished pictures: settled before it is queued, or answered with what there is."""

from pathlib import Path
from typing import Any

import pytest

from modules.errors import BadRequest, ModelError
from modules.model_manager.catalog import Catalog
from modules.model_manager.extras_task import restorer_file, settled_extras, upscaler_names
from modules.settings import Settings
from modules.tasks import Extras, make_extras
from tests.fake_upscalers import put_upscaler

OFFERED = ("None", "Lanczos", "Nearest")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    put_upscaler(tmp_path, "b-2x.pth")
    put_upscaler(tmp_path, "A-2x", kind="SwinIR")
    return Catalog(Settings(data_dir=tmp_path))


def settle(catalog: Catalog, **values: Any) -> Extras:
    return settled_extras(make_extras({"pictures": ["0" * 64], **values}), catalog, OFFERED)


def test_filters_come_first_then_files_by_name(catalog: Catalog) -> None:
    assert upscaler_names(catalog, OFFERED) == [*OFFERED, "A-2x", "b-2x"]


@pytest.mark.parametrize(("asked", "name"), [("lanczos", "Lanczos"), ("B-2X.pth", "b-2x"), ("a-2x", "A-2x")])
def test_any_spelling_becomes_the_name(catalog: Catalog, asked: str, name: str) -> None:
    assert settle(catalog, upscaler=asked).upscaler == name


def test_an_unknown_upscaler_is_answered_with_those_there_are(catalog: Catalog) -> None:
    with pytest.raises(BadRequest, match=r"no upscaler named 4x-UltraSharp.*Lanczos, Nearest, A-2x, b-2x"):
        settle(catalog, upscaler="4x-UltraSharp")


def test_a_file_that_could_run_code_says_so(catalog: Catalog, tmp_path: Path) -> None:
    bad = tmp_path / "models" / "ESRGAN" / "bad.pth"
    bad.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert "bad" not in upscaler_names(catalog, OFFERED)
    with pytest.raises(ModelError) as refused:
        settle(catalog, upscaler="bad")
    assert "bad.pth" in str(refused.value)


def test_what_is_not_used_is_left_out(catalog: Catalog) -> None:
    assert settle(catalog, upscaler="Lanczos", second="no such thing", second_visibility=0).second == "None"
    assert settle(catalog, upscaler="Lanczos", second="nearest", second_visibility=0.5).second == "Nearest"
    assert settle(catalog, second="Nearest", second_visibility=0.5, flips=["both", "both"]).flips == ("both",)


def test_nothing_to_do_is_said(catalog: Catalog) -> None:
    with pytest.raises(BadRequest) as refused:
        settle(catalog, scale=2)
    assert refused.value.key == "extras_nothing"


@pytest.mark.parametrize(("which", "folder"), [("gfpgan", "GFPGAN"), ("codeformer", "Codeformer")])
def test_faces_without_a_model_say_where_it_belongs(catalog: Catalog, tmp_path: Path, which: str, folder: str) -> None:
    with pytest.raises(BadRequest) as refused:
        settle(catalog, **{which: 1.0})
    assert str(tmp_path / "models" / folder) in str(refused.value)


def test_the_newest_restorer_is_taken_and_no_helper(catalog: Catalog, tmp_path: Path) -> None:
    for name in ("GFPGANv1.3.pth", "GFPGANv1.4.pth", "detection_Resnet50_Final.pth", "parsing_parsenet.pth"):
        put_upscaler(tmp_path, name, kind="GFPGAN")
    put_upscaler(tmp_path, "codeformer-v0.1.0.pth", kind="Codeformer")
    catalog.refresh()
    names = [file.name for which in ("gfpgan", "codeformer") if (file := restorer_file(catalog, which)) is not None]
    assert names == ["GFPGANv1.4", "codeformer-v0.1.0"]
    assert settle(catalog, gfpgan=1.0).gfpgan == 1.0
