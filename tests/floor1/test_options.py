"""The table of options: complete, said in every language, and each of them read by something."""

import inspect
import re

import pytest
from pydantic import SecretStr

from modules.options import GROUPS, KEPT, OPTIONS, SHARED, Option, choices_of, kind_of, option_of, row_names
from modules.request import Request, limits
from modules.settings import Settings
from modules.words import LANGUAGES, load_words
from tests.floors import ROOT

FIELDS = Settings.model_fields
PROPERTIES = {
    name: inspect.getsource(each.fget)
    for name, each in vars(Settings).items()
    if isinstance(each, property) and each.fget is not None
}


def test_every_setting_is_an_option_or_has_a_reason_not_to_be() -> None:
    keys = [each.key for each in OPTIONS]
    missing = [name for name in FIELDS if name not in keys and name not in KEPT]
    assert not missing, f"add to modules/options.py, to OPTIONS or to KEPT: {missing}"
    assert not [name for name in (*keys, *KEPT) if name not in FIELDS]
    assert not set(keys) & set(KEPT) and len(keys) == len(set(keys))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: str(option.key))
def test_every_option_has_its_name_and_what_it_does(option: Option, language: str) -> None:
    words = load_words(language).sentences
    wanted = [f"settings.{option.key}", f"settings.{option.key}_about", f"settings.group_{option.group}"]
    assert not [key for key in wanted if key not in words], "add to locale/*/settings.json"
    assert len(words[f"settings.{option.key}_about"]) > len(words[f"settings.{option.key}"]) // 2
    assert option.group in GROUPS


@pytest.mark.parametrize("reason", sorted(set(KEPT.values())))
def test_every_reason_is_said(reason: str) -> None:
    assert all(f"settings.{reason}" in load_words(language).sentences for language in LANGUAGES)


def test_no_secret_and_no_path_is_an_option() -> None:
    for option in OPTIONS:
        assert FIELDS[option.key].annotation is not SecretStr
        assert "Path" not in str(FIELDS[option.key].annotation)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: str(option.key))
def test_every_option_does_something(option: Option) -> None:
    """Something besides the settings themselves and the page of the options asks for it."""
    aside = {"settings.py", "saving.py", "prompting.py", "options.py"}
    files = [file for file in (ROOT / "modules").rglob("*.py") if file.name not in aside and "locale" not in file.parts]
    names = [option.key, *(name for name, each in PROPERTIES.items() if f"self.{option.key} " in each)]
    asked = re.compile(rf"(?:settings|saving|now)\.({'|'.join(names)})\b")
    assert [file.name for file in files if asked.search(file.read_text(encoding="utf-8"))]


def test_a_number_says_its_bounds_so_that_the_page_can() -> None:
    for option in OPTIONS:
        if kind_of(FIELDS[option.key]) in ("whole", "number"):
            least, most, _ = limits(FIELDS[option.key].metadata)
            assert least is not None and most is not None, f"{option.key} needs Field(ge=…, le=…)"


def test_kinds_follow_from_the_types() -> None:
    kinds = {option.key: kind_of(FIELDS[option.key]) for option in OPTIONS}
    assert (kinds["hashing"], kinds["port"], kinds["memory_reserve"]) == ("switch", "whole", "number")
    assert (kinds["theme"], kinds["device"], kinds["quicksettings"]) == ("choice", "text", "row")
    assert choices_of(FIELDS["theme"]) == ("", "dark", "light") and choices_of(FIELDS["port"]) == ()


def test_an_option_is_found_by_either_name() -> None:
    assert option_of("preview_every") is option_of("show_progress_every_n_steps") is not None
    assert option_of("huggingface_token") is None and option_of("samples_save_nothing") is None
    names = [name for option in OPTIONS for name in option.a1111]
    assert len(names) == len(set(names))


def test_the_row_on_top_holds_what_all_tabs_share_and_simple_options() -> None:
    names = row_names(FIELDS)
    assert set(SHARED) <= set(names) and {"preview_every", "dtype", "hashing"} <= set(names)
    assert not {"device", "quicksettings", "private_downloads", "huggingface_token", "data_dir"} & set(names)
    assert set(SHARED.values()) <= set(Request.model_fields)
