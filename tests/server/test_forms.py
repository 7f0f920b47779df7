"""The last values of a form."""

from modules.server.forms import Forms
from tests.server.conftest import Queue


def test_forms_are_kept_for_each_person_and_tab(queue: Queue) -> None:
    forms = Forms(queue.database)
    assert forms.load("anna", "txt2img") == {}
    forms.save("anna", "txt2img", {"prompt": "고양이", "seed": 2**64 - 1})
    forms.save("ben", "txt2img", {"prompt": "dog"})
    forms.save("anna", "txt2img", {"prompt": "a cat", "seed": 2**64 - 1, "size": None})
    assert Forms(queue.database).load("anna", "txt2img") == {"prompt": "a cat", "seed": 2**64 - 1, "size": None}
    assert forms.load("ben", "txt2img") == {"prompt": "dog"}
    assert forms.load("anna", "img2img") == {}
