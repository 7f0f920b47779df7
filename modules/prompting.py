"""How prompts are typed, counted and filled in on the page: the part of the settings that says so, by A1111's keys."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

WHITESPACE: Mapping[str, str] = MappingProxyType({"Tab": "\t", "Carriage Return": "\r", "Line Feed": "\n"})
Names = Annotated[str, BeforeValidator(lambda given: ", ".join(given) if isinstance(given, list | tuple) else given)]
"""Names with commas between them; A1111 keeps such as a list."""
Whitespace = Annotated[Names, AfterValidator(lambda given: _whitespace(given))]


class Prompting(BaseModel):
    """What helps with a prompt before anything is made of it."""

    model_config = ConfigDict(frozen=True)

    disable_token_counters: bool = False  # say nothing of how many tokens a prompt takes
    include_styles_into_token_counters: bool = True  # count those of the styles that are chosen, too

    # Ctrl with up and down, and Alt with left and right.
    keyedit_precision_attention: float = Field(default=0.1, ge=0.01, le=0.2)  # by how much a weight changes
    keyedit_precision_extra: float = Field(default=0.05, ge=0.01, le=0.2)  # and that of a tag
    keyedit_delimiters: str = Field(default=".,\\/!?%^*;:{}=`~()", max_length=200)  # end a word, as a space does
    keyedit_delimiters_whitespace: Whitespace = Field(default=", ".join(WHITESPACE), max_length=200)
    keyedit_move: bool = True  # Alt moves parts of a list

    # What a click on a card of the models browser writes.
    extra_networks_default_multiplier: float = Field(default=1.0, ge=0, le=2)  # where a file has no weight of its own
    extra_networks_add_text_separator: str = Field(default=" ", max_length=20)  # between it and what is there
    lora_preferred_name: Literal["Filename", "Alias from file"] = "Filename"

    # What a text or a picture leaves as it is when it fills a form.
    infotext_skip_pasting: Names = Field(default="", max_length=2000)  # entries of a "parameters" text
    disable_weights_auto_swap: bool = False  # the checkpoint
    send_seed: bool = True  # a picture that is sent to another tab brings its seed
    send_size: bool = True  # and its size

    # What a browser begins with, until somebody chooses something else there.
    notification_audio: bool = False  # a sound when pictures are done
    notification_volume: int = Field(default=60, ge=0, le=100)
    prevent_screen_sleep_during_generation: bool = True


def _whitespace(given: str) -> str:
    """Return `given` as it is written; refuse what is none of the kinds there are."""
    names = [each.strip() for each in given.split(",") if each.strip()]
    if not WHITESPACE.keys() >= {*names}:
        raise ValueError(f"one or more of {', '.join(WHITESPACE)}")
    return ", ".join(names)
