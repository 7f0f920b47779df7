"""How large a picture becomes, and what is cut from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.images.enlarging import enlarged
from modules.tasks import Extras, make_extras

NAME = "0" * 64
Size = tuple[int, int]


def asked(**values: object) -> Extras:
    return make_extras({"pictures": [NAME], "upscaler": "Lanczos", **values})


@pytest.mark.parametrize(
    ("size", "values", "whole", "cut"),
    [
        ((100, 60), {"scale": 2}, (200, 120), (200, 120)),
        ((101, 33), {"scale": 1.5}, (152, 50), (152, 50)),
        ((100, 60), {"scale": 4, "longest": 300}, (300, 180), (300, 180)),
        ((60, 100), {"scale": 2, "longest": 900}, (120, 200), (120, 200)),
        ((100, 60), {"width": 300, "height": 300}, (500, 300), (300, 300)),
        ((100, 60), {"width": 300, "height": 300, "crop": False}, (500, 300), (500, 300)),
        ((100, 60), {"width": 300}, (300, 180), (300, 180)),
        ((100, 60), {"height": 120}, (200, 120), (200, 120)),
        ((100, 60), {"upscaler": "None", "scale": 4, "gfpgan": 1}, (100, 60), (100, 60)),
    ],
)
def test_sizes(size: Size, values: dict[str, object], whole: Size, cut: Size) -> None:
    assert enlarged(size, asked(**values)) == (whole, cut)


sides = st.integers(8, 4000)


@given(st.tuples(sides, sides), st.tuples(sides, sides))
def test_what_is_cut_always_lies_within(size: Size, wanted: Size) -> None:
    whole, cut = enlarged(size, asked(width=wanted[0], height=wanted[1]))
    assert cut == wanted
    assert whole[0] >= cut[0] and whole[1] >= cut[1]
    assert whole[0] == cut[0] or whole[1] == cut[1]
