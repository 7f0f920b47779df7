"""Tags as words: which are told, in which order, and how they are spelt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modules.captioners.tags import Manner, listed, worded

TAGS = {"long_hair": 0.9, "1girl": 0.95, "saber_(fate)": 0.7, "^_^": 0.6, "back\\slash": 0.51, "hat": 0.49}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({}, r"1girl, ^_^, back\\slash, long hair, saber \(fate\)"),
        ({"sorted": False}, r"1girl, long hair, saber \(fate\), ^_^, back\\slash"),
        ({"spaces": False}, r"1girl, ^_^, back\\slash, long_hair, saber_\(fate\)"),
        ({"escaped": False}, "1girl, ^_^, back\\slash, long hair, saber (fate)"),
        ({"least": 0.9}, "1girl, long hair"),
        ({"least": 1.0}, ""),
        ({"without": listed("Long Hair,1girl , saber_(fate),,")}, r"^_^, back\\slash"),
    ],
)
def test_tags_are_told_as_asked(how: dict[str, Any], said: str) -> None:
    assert worded(TAGS, replace(Manner(), **how)) == said
