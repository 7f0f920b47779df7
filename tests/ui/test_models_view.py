"""What the Models tab lists, from a real catalog of files of every sort."""

from pathlib import Path

import pytest

from modules.model_manager.catalog import Catalog
from modules.settings import Settings
from modules.ui.models_view import ROWS, Listing, Table, listing
from tests.local_web import safetensors


def lora(fill: int) -> bytes:
    return safetensors(
        *(f"lora_unet_a.{end}" for end in ("lora_down.weight", "lora_up.weight")), fill=fill, size=16 + fill
    )


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    loras = tmp_path / "models" / "Lora"
    (loras / "copies").mkdir(parents=True)
    for fill, name in enumerate(("ash", "Birch", "copies/cedar")):
        (loras / f"{name}.safetensors").write_bytes(lora(fill))
    (loras / "copies" / "birch again.safetensors").write_bytes(lora(1))
    (loras / "broken.safetensors").write_bytes(b"<html>")
    (tmp_path / "models" / "VAE").mkdir()
    (tmp_path / "models" / "VAE" / "v.pt").write_bytes(b"nonsense")
    found = Catalog(Settings(data_dir=tmp_path))
    for file in found.files("lora"):
        found.hashed(file)
    return found


def names(found: Listing) -> list[list[str]]:
    return [[file.name for file in group] for group in found.groups]


def test_everything_is_listed_kind_by_kind_with_what_is_broken_last(catalog: Catalog) -> None:
    found = listing(catalog, Table())
    assert names(found) == [["ash"], ["Birch"], ["birch again"], ["cedar"], ["broken"], ["v.pt"]]
    assert (found.total, found.counts["lora"], found.counts["vae"], found.counts["upscaler"]) == (6, 5, 1, 0)
    assert found.size == sum(file.size for group in found.groups for file in group) > 0


def test_one_kind_words_and_state_leave_out_what_does_not_fit(catalog: Catalog) -> None:
    assert names(listing(catalog, Table(kind="vae"))) == [["v.pt"]]
    assert names(listing(catalog, Table(words="BIRCH copies"))) == [["birch again"]]
    assert names(listing(catalog, Table(kind="lora", state="broken"))) == [["broken"]]
    assert len(names(listing(catalog, Table(kind="lora", state="usable")))) == 4


@pytest.mark.parametrize(
    ("table", "first"),
    [
        (Table(sort="name"), "ash"),
        (Table(sort="name", descending=True), "cedar"),
        (Table(sort="size"), "cedar"),  # the largest
        (Table(sort="size", descending=True), "ash"),
        (Table(sort="place", descending=True), "cedar"),
    ],
)
def test_the_order(catalog: Catalog, table: Table, first: str) -> None:
    found = names(listing(catalog, table))
    assert found[0] == [first] and {found[-1][0], found[-2][0]} == {"broken", "v.pt"}


def test_files_of_the_same_content_are_found_by_their_hash(catalog: Catalog) -> None:
    found = listing(catalog, Table(state="twice"))
    assert sorted(names(found)[0]) == ["Birch", "birch again"] and len(found.groups) == 1
    assert found.freed == found.groups[0][0].size
    twins = listing(catalog, Table()).twins
    assert {file.name for group in twins.values() for file in group} == {"Birch", "birch again"}


def test_a_link_is_no_copy(catalog: Catalog, tmp_path: Path) -> None:
    loras = tmp_path / "models" / "Lora"
    (loras / "linked.safetensors").symlink_to(loras / "ash.safetensors")
    catalog.refresh()
    for file in catalog.files("lora"):
        catalog.hashed(file)
    found = listing(catalog, Table(state="twice"))
    assert len(found.groups) == 2 and found.freed == catalog.find("Birch", "lora").size


def test_a_page_at_a_time_and_a_page_that_is_gone_is_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "Lora"
    folder.mkdir(parents=True)
    for number in range(ROWS + 2):
        (folder / f"{number:03}.safetensors").write_bytes(lora(0))
    catalog = Catalog(Settings(data_dir=tmp_path))
    last = listing(catalog, Table(offset=ROWS))
    assert names(last) == [["050"], ["051"]] and (last.offset, last.total) == (ROWS, ROWS + 2)
    assert listing(catalog, Table(words="001", offset=ROWS)).offset == 0


def test_what_a_page_sends_is_taken_as_far_as_it_fits() -> None:
    told = Table.told({"kind": "../x", "words": 5, "state": "odd", "sort": "odd", "descending": "yes", "offset": -7})
    assert told == Table()
    assert Table.told({"offset": ROWS + 3, "words": "x" * 1000}) == Table(offset=ROWS)
    for text in ("", "nonsense", "[1]", '{"kind": 3, "seen": 4}', None):
        assert Table.unpacked(text) == Table()
    kept = Table(kind="lora", words="수채화")
    assert Table.unpacked(kept.packed()) == kept
