"""The options as they are: what people chose on the page, where each value comes from, and when it holds.

The settings of a run are frozen. What can change while it runs is told to the workers; the rest is written into
`.easel/settings.json` and waits, for the workers to begin anew or for Easel to be started again.
"""

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from modules.errors import BadRequest, SaveError
from modules.options import KEPT, OPTIONS, Holds, Option, choices_of, kind_of, option_of, row_names
from modules.prompting import WHITESPACE
from modules.request import limits
from modules.server.settings_file import SettingsFile
from modules.settings import ROOT, Settings

_DEVICE = re.compile(r"auto|cpu|[a-z]{2,8}(:\d{1,3})?")
NOWHERE = ROOT / ".nowhere"  # a folder without a settings file
Told = Callable[[Mapping[str, Any]], None]
Source = Literal["default", "file", "environment", "command_line"]


class Worker(Protocol):
    """A worker as far as settings concern it."""

    @property
    def serving(self) -> Settings:
        """The settings of the process that is at work."""
        ...

    def adopt(self, now: Mapping[str, Any], later: Mapping[str, Any]) -> None:
        """Take over `now` before the next job, and `later` with the next process."""
        ...

    def restart(self) -> None:
        """Begin anew after the job at work, if it has other settings than the next process will have."""
        ...


@dataclass(frozen=True)
class Shown:
    """An option as it is. `value` is what was chosen, `waits` what has to happen until it holds ("": it does)."""

    option: Option
    info: FieldInfo
    value: Any
    source: Source
    waits: Literal["", "worker", "start"]

    @property
    def default(self) -> Any:
        """The value where nobody chose one."""
        return self.info.default

    @property
    def fixed(self) -> bool:
        """Whether the command line or the environment says it, so that the file does not count."""
        return self.source in ("environment", "command_line")


@dataclass(frozen=True)
class Applied:
    """What came of a change: how many options have another value now, and what some of them wait for."""

    changed: int
    waits: frozenset[Holds]
    aside: str = ""  # the name under which a broken file was set aside


class Options:
    """Owner of the options. Any number of threads may use it."""

    def __init__(self, settings: Settings, workers: Sequence[Worker], told: Sequence[Told] = ()) -> None:
        self._settings = settings  # as they were at the start, and what changed live since
        self._workers = workers
        self._told = told  # what else in the server has a change take hold
        self._file = SettingsFile(settings.state / "settings.json")
        self._lock = threading.RLock()
        names = {name.upper() for name in os.environ}
        self._environment = frozenset(key for key in Settings.model_fields if f"EASEL_{key}".upper() in names)

    @property
    def now(self) -> Settings:
        """The settings that hold now in the server."""
        return self._settings

    @property
    def chosen_row(self) -> tuple[str, ...]:
        """What the row on top of the page holds after the next start."""
        return tuple(self.get("quicksettings").value)

    def all(self) -> list[Shown]:
        """Return every option."""
        with self._lock:
            found = self._file.read()
            return [self._shown(each, found) for each in OPTIONS]

    def get(self, key: str) -> Shown:
        """Return the option of that key; raise `BadRequest` when there is none."""
        return self._shown(_option(key), self._file.read())

    def kept(self) -> Iterator[tuple[str, str, Source]]:
        """Yield each setting that is no option, why it is none, and who says it; never its value."""
        found = self._file.read()
        for key, reason in KEPT.items():
            yield key, reason, self._source(key, found)

    def aside(self) -> list[str]:
        """Return the names of settings files that could not be read and lie beside the present one."""
        return self._file.aside()

    def apply(self, changes: Mapping[str, Any]) -> Applied:
        """Change options by their keys; None puts one back to its default. All of them are changed, or none.

        Raises `BadRequest` for what is no option, is not allowed, or is said elsewhere, `SaveError` when it cannot
        be written.
        """
        with self._lock:
            values = {_option(key).key: checked(key, value) for key, value in changes.items()}
            aside = self._mend()
            found = self._file.read()
            before = {key: self._shown(_option(key), found) for key in values}
            for key, shown in before.items():
                if shown.fixed:
                    raise BadRequest(f"setting_{shown.source}", field=key)
            changed = {key: value for key, value in values.items() if value != before[key].value}
            if any(key in found for key in values) or changed:
                chosen = {key: value for key, value in values.items() if value != before[key].default}
                rest = {key: value for key, value in found.items() if key not in values}
                self._file.write({**rest, **TypeAdapter(dict[str, Any]).dump_python(chosen, mode="json")})
            self._tell(changed)
            waits = {shown.waits for key in changed if (shown := self.get(key)).waits}
        return Applied(len(changed), frozenset(waits), aside)

    def restart_workers(self) -> None:
        """Have the workers begin anew, each after the job at work, where they have other settings than were chosen."""
        for worker in self._workers:
            worker.restart()

    def _tell(self, changed: Mapping[str, Any]) -> None:
        holds: dict[Holds, dict[str, Any]] = {"now": {}, "worker": {}, "start": {}}
        for key, value in changed.items():
            holds[_option(key).holds][key] = value
        self._settings = self._settings.model_copy(update=holds["now"])
        for tell in self._told:
            tell(holds["now"])
        if holds["now"] or holds["worker"]:
            for worker in self._workers:
                worker.adopt(holds["now"], holds["worker"])

    def _mend(self) -> str:
        try:
            return self._file.mend()
        except OSError as error:
            folder = str(self._file.path.parent)
            raise SaveError("settings_denied", folder=folder, reason=error.strerror or str(error)) from error

    def _source(self, key: str, found: Mapping[str, Any]) -> Source:
        if key in self._settings.given:
            return "command_line"
        if key in self._environment:
            return "environment"
        return "file" if key in found else "default"

    def _shown(self, option: Option, found: Mapping[str, Any]) -> Shown:
        info = Settings.model_fields[option.key]
        source = self._source(option.key, found)
        value: Any = info.default
        if source == "file":
            try:
                value = checked(option.key, found[option.key])
            except BadRequest:  # somebody wrote it there by hand; a start would refuse it by name
                source = "default"
        elif source != "default":
            value = getattr(self._settings, option.key)
        return Shown(option, info, value, source, self._waits(option, value))

    def _waits(self, option: Option, value: Any) -> Literal["", "worker", "start"]:
        if option.holds == "worker":
            return "worker" if any(getattr(each.serving, option.key) != value for each in self._workers) else ""
        if option.holds == "start":
            return "start" if getattr(self._settings, option.key) != value else ""
        return ""


def checked(key: str, value: Any) -> Any:
    """Return `value` as the option of that key holds it, None being its default.

    Raises `BadRequest` with a sentence that says what is allowed.
    """
    key = _option(key).key
    info = Settings.model_fields[key]
    kind, shown = kind_of(info), str(value)[:60]
    if value is None:
        return info.default
    if kind == "row":
        return _row(key, value)
    if key == "device":
        return _device(value)
    if kind in ("whole", "number") and isinstance(value, bool):
        raise _refused(key, info, shown)
    try:
        return getattr(Settings(**{"data_dir": NOWHERE, key: value}), key)  # its own validators count, too
    except ValidationError as error:
        raise _refused(key, info, shown) from error


def _option(key: str) -> Option:
    option = option_of(str(key))
    if option is None:
        raise BadRequest("no_option", value=str(key)[:60])
    return option


def _row(key: str, value: Any) -> tuple[str, ...]:
    """Return the names of the row on top, each once."""
    allowed = row_names(Settings.model_fields)
    names = value if isinstance(value, list | tuple) else [value]
    unknown = next((name for name in names if name not in allowed), None)
    if unknown is not None:
        raise BadRequest("one_of", field=key, value=str(unknown)[:60], allowed=", ".join(allowed))
    return tuple(dict.fromkeys(names))


def _device(value: Any) -> str:
    """Return the names of devices, one for each worker; whether they are there is seen when Easel is started."""
    names = [each.strip() for each in value.split(",")] if isinstance(value, str) else [""]
    if not all(_DEVICE.fullmatch(each) for each in names):
        raise BadRequest("setting_device", field="device", value=str(value)[:60])
    return ",".join(names)


def _refused(key: str, info: FieldInfo, shown: str) -> BadRequest:
    least, most, _ = limits(info.metadata)
    kind = kind_of(info)
    if kind in ("whole", "number"):
        sentence = "whole_number" if kind == "whole" else "number"
        return BadRequest(sentence, field=key, value=shown, least=least, most=most)
    if key == "keyedit_delimiters_whitespace":
        return BadRequest("some_of", field=key, value=shown, allowed=", ".join(WHITESPACE))
    if kind == "text":
        return BadRequest("bad_value", field=key, value=shown)
    allowed = ", ".join(str(each) or '""' for each in choices_of(info)) or "true, false"
    return BadRequest("one_of", field=key, value=shown, allowed=allowed)
