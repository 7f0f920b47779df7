"""What a page may say of the part of the models folder it looks at."""

import json

import pytest

from modules.ui.networks_view import LONGEST, View


def test_a_view_travels_there_and_back() -> None:
    view = View("lora", "wash", "style/deep", "modified", True, True, 120, "mark")
    assert View.unpacked(view.packed()) == view


NONSENSE = (
    None,
    "",
    "no json",
    "[1]",
    '"lora"',
    '{"kind": "../../etc", "sort": "size; drop", "offset": -60}',
    json.dumps({"words": "x" * (LONGEST + 1), "descending": "yes", "offset": True, "folder": ["a"]}),
)


@pytest.mark.parametrize("text", NONSENSE)
def test_what_does_not_fit_is_left_at_its_default(text: str | None) -> None:
    assert View.unpacked(text) == View()


def test_an_offset_is_that_of_a_page() -> None:
    assert [View.told({"offset": asked}).offset for asked in (59, 60, 61, 10**9)] == [0, 60, 60, 999_960]


def test_controls_change_a_view_from_its_first_page_on() -> None:
    view = View("lora", "wash", "style", "modified", True, False, 60)
    assert view.changed('{"words": "ink", "every": true}') == View("lora", "ink", "", "modified", True, True)
    assert view.changed('{"kind": "embedding", "offset": 60}').offset == 0


def test_names_begin_with_a_and_dates_with_the_newest() -> None:
    assert not View(sort="name").downwards and View(sort="modified").downwards
    assert View(sort="name", descending=True).downwards and not View(sort="modified", descending=True).downwards
