"""The tree of errors, as drawn in its docstring."""

import inspect
import re

from modules import errors
from modules.errors import BadRequest, EaselError, ExtensionError
from modules.words import load_words


def test_tree_is_drawn_as_it_is() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", inspect.getdoc(errors) or "")) | {"EaselError"}
    real = {name for name, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, EaselError)}
    assert drawn == real


def test_error_speaks_the_readers_language() -> None:
    error = BadRequest("bad_value", field="seed", value=3)
    assert str(error) == "seed cannot be 3."
    assert "3" in error.say(load_words("ko")) and error.say(load_words("ko")) != str(error)


def test_extension_error_names_the_extension() -> None:
    error = ExtensionError("fog", reason="ValueError: no")
    assert error.name == "fog" and str(error) == "The extension fog failed: ValueError: no"
