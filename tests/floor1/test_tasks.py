"""Tasks: what is stored comes back, and what is not allowed is answered with what is."""

from typing import Any

import pytest

from modules.errors import BadRequest
from modules.request import make_request
from modules.tasks import (
    MOST_PICTURES,
    Convert,
    Merge,
    Task,
    make_extras,
    make_file_task,
    make_interrogate,
    read_task,
    task_kind,
)

NAMES = ["0" * 64, "a" * 64]


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        (make_request({"prompt": "kind"}), ""),
        (make_file_task(Merge, {"model": "a", "second": "b"}), "merge"),
        (make_file_task(Convert, {"model": "a"}), "convert"),
        (make_extras({"pictures": NAMES, "names": ["a", "b"], "flips": ["both"], "auto_crop": {}}), "extras"),
        (make_interrogate({"image": NAMES[0]}), "interrogate"),
    ],
)
def test_a_stored_task_is_read_as_what_it_was(task: Task, kind: str) -> None:
    body = task.model_dump_json()
    assert task_kind(body) == kind and read_task(body) == task


def test_every_picture_counts_with_its_copies() -> None:
    task = make_extras({"pictures": NAMES, "names": ["one", "two"], "flips": ["horizontal", "both"]})
    assert (task.each, task.images, task.name_of(1)) == (3, 6, "two")
    assert make_extras({"pictures": NAMES, "names": ["only one"]}).name_of(0) == ""


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pictures": []}, f"at most {MOST_PICTURES} pictures"),
        ({"pictures": NAMES[:1] * (MOST_PICTURES + 1)}, f"at most {MOST_PICTURES} pictures"),
        ({"pictures": ["../../etc/passwd"]}, f"at most {MOST_PICTURES} pictures"),
        ({"scale": 9}, "scale is 9. It must be a number from 1.0 to 8.0"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"width": 4}, "width is 4. It must be a number from 8 to 16384"),
        ({"gfpgan": 1.5}, "gfpgan is 1.5. It must be a number from 0.0 to 1.0"),
        ({"flips": ["sideways"]}, "Allowed are"),
        ({"auto_crop": {"least": 8}}, "least is 8. It must be a number from 64 to 2048"),
        ({"auto_crop": {"colour": "red"}}, "There is no field named colour"),
        ({"upscaler": "x" * 300}, "too long"),
        ({"colour": "red"}, "There is no field named colour"),
    ],
)
def test_what_is_not_allowed_is_answered_with_what_is(values: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        make_extras({"pictures": NAMES, **values})
    assert said in str(refused.value)
