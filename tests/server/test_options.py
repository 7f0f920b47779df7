"""What people chose: where it is kept, what it may be, what counts more, and when it holds."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modules.errors import BadRequest
from modules.options import OPTIONS
from modules.server.options import Options, checked
from modules.settings import Settings
from tests.fakes import ask
from tests.serving import running, until


@dataclass
class FakeWorker:
    """Remembers what it was told."""

    serving: Settings
    told: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    restarted: int = 0

    def adopt(self, now: Mapping[str, Any], later: Mapping[str, Any]) -> None:
        self.told.append((dict(now), dict(later)))

    def restart(self) -> None:
        self.restarted += 1


def make(folder: Path, **given: Any) -> tuple[Options, FakeWorker]:
    settings = Settings.of_command_line({"data_dir": folder, **given})
    worker = FakeWorker(settings)
    return Options(settings, [worker]), worker


def kept(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / ".easel" / "settings.json").read_text(encoding="utf-8")))


def test_what_is_chosen_is_in_the_file_and_holds_after_the_next_start(tmp_path: Path) -> None:
    options, _ = make(tmp_path)
    applied = options.apply({"theme": "dark", "max_deaths": "5", "quicksettings": ["sd_vae", "preview_every"]})
    assert applied.changed == 3 and applied.waits == {"start"}
    assert kept(tmp_path) == {"theme": "dark", "max_deaths": 5, "quicksettings": ["sd_vae", "preview_every"]}
    again = Settings(data_dir=tmp_path)
    assert (again.theme, again.max_deaths, again.quicksettings) == ("dark", 5, ("sd_vae", "preview_every"))
    shown = options.get("theme")
    assert (shown.value, shown.source, shown.waits, options.now.theme) == ("dark", "file", "start", "")


def test_what_can_change_live_is_told_to_the_workers_at_once(tmp_path: Path) -> None:
    options, worker = make(tmp_path)
    applied = options.apply({"preview_every": 7, "dtype": "bf16", "port": 8000})
    assert worker.told == [({"preview_every": 7}, {"dtype": "bf16"})]
    assert options.now.preview_every == 7 and options.now.dtype == "auto"
    assert applied.waits == {"worker", "start"} and options.get("preview_every").waits == ""
    worker.serving = worker.serving.model_copy(update={"dtype": "bf16"})
    assert options.get("dtype").waits == ""
    options.apply({"preview_every": 7})
    assert len(worker.told) == 1, "nothing changed"


def test_back_to_the_default_leaves_the_file_and_what_else_is_in_it(tmp_path: Path) -> None:
    options, _ = make(tmp_path)
    file = tmp_path / ".easel" / "settings.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"preview_every": 9, "outputs_dir": "/elsewhere", "from_the_future": [1, 2]}))
    assert options.get("preview_every").value == 9
    options.apply({"preview_every": None})
    assert kept(tmp_path) == {"outputs_dir": "/elsewhere", "from_the_future": [1, 2]}
    assert (options.get("preview_every").value, options.get("preview_every").source) == (1, "default")


def test_the_command_line_and_the_environment_count_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_MAX_DEATHS", "4")
    options, _ = make(tmp_path, port=1234)
    assert (options.get("port").source, options.get("port").value) == ("command_line", 1234)
    assert (options.get("max_deaths").source, options.get("max_deaths").value) == ("environment", 4)
    for key, name in (("port", "setting_command_line"), ("max_deaths", "setting_environment")):
        with pytest.raises(BadRequest) as refused:
            options.apply({"theme": "dark", key: 7})
        assert refused.value.key == name
    assert not (tmp_path / ".easel" / "settings.json").exists(), "all of them, or none"
    sources = {key: source for key, _, source in options.kept()}
    assert (sources["data_dir"], sources["civitai_token"]) == ("command_line", "default")


@pytest.mark.parametrize("broken", ["{", "[1, 2]", "\x00\x01", "[" * 100_000, '{"port": 1e999, ', "ÿ"])
def test_a_broken_file_is_set_aside_and_nothing_of_it_is_lost(tmp_path: Path, broken: str) -> None:
    options, _ = make(tmp_path)
    file = tmp_path / ".easel" / "settings.json"
    file.parent.mkdir()
    file.write_bytes(broken.encode("latin-1"))
    assert options.get("theme").value == ""
    applied = options.apply({"theme": "light"})
    assert options.aside() == [applied.aside] and applied.aside.startswith("settings-broken-")
    assert (file.parent / applied.aside).read_bytes() == broken.encode("latin-1")
    assert kept(tmp_path) == {"theme": "light"}
    assert options.apply({"theme": "dark"}).aside == ""


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("preview_every", "many", "0 to 150"),
        ("preview_every", -1, "0 to 150"),
        ("preview_every", 2.5, "0 to 150"),
        ("preview_every", True, "0 to 150"),
        ("memory_reserve", float("nan"), "0 to 1024"),
        ("memory_reserve", float("inf"), "0 to 1024"),
        ("memory_reserve", "1e400", "0 to 1024"),
        ("port", 10**30, "0 to 65535"),
        ("hashing", "perhaps", "true, false"),
        ("theme", "blue", '"", dark, light'),
        ("dtype", ["fp16"], "auto, fp32"),
        ("device", "cuda:1; rm -rf /", "cuda:1"),
        ("device", {"a": 1}, "auto, cpu"),
        ("quicksettings", ["sd_vae", "everything"], "sd_model_checkpoint"),
        ("quicksettings", [["sd_vae"]], "sd_model_checkpoint"),
        ("huggingface_token", "mine", "no setting that the page can change"),
        ("outputs_dir", "/etc", "no setting that the page can change"),
        ("host", "0.0.0.0", "no setting that the page can change"),
        ("private_downloads", True, "no setting that the page can change"),
        ("__class__", 1, "no setting that the page can change"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(tmp_path: Path, key: str, value: object, says: str) -> None:
    options, worker = make(tmp_path)
    with pytest.raises(BadRequest) as refused:
        options.apply({"theme": "dark", key: value})
    assert says in str(refused.value)
    assert not (tmp_path / ".easel" / "settings.json").exists() and not worker.told


def test_a_value_in_the_file_that_cannot_be_is_shown_as_the_default(tmp_path: Path) -> None:
    options, _ = make(tmp_path)
    (tmp_path / ".easel").mkdir()
    (tmp_path / ".easel" / "settings.json").write_text('{"preview_every": "often"}')
    assert options.get("preview_every").value == 1


def test_every_default_is_allowed_and_is_the_default() -> None:
    for option in OPTIONS:
        default = Settings.model_fields[option.key].default
        assert checked(option.key, default) == checked(option.key, None) == default


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    options, _ = make(tmp_path)
    keys = ["preview_every", "upscale_tile", "upscale_overlap", "models_in_memory", "max_deaths", "controlnet_units"]
    threads = [threading.Thread(target=options.apply, args=({key: 7},)) for key in keys]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert kept(tmp_path) == dict.fromkeys(keys, 7)


def test_a_worker_hears_of_it_before_its_next_job_and_begins_anew_when_asked_to(tmp_path: Path) -> None:
    """The worker tells which settings it has; a change that it needs a new process for waits until it is restarted."""

    def told() -> dict[str, Any]:
        job = server.submit(ask("which settings?", steps=1))
        until(lambda: server.jobs.get(job).status == "done")  # type: ignore[union-attr]
        notes = server.jobs.get(job).notes  # type: ignore[union-attr]
        return next(dict(values) for key, values in notes if key == "settings")

    with running(tmp_path) as server:
        assert told() == {"preview_every": 1, "dtype": "auto"}
        first = server.workers[0].pid
        server.options.apply({"preview_every": 4, "dtype": "fp32"})
        assert told() == {"preview_every": 4, "dtype": "auto"}
        assert server.workers[0].pid == first and server.options.get("dtype").waits == "worker"
        server.options.restart_workers()
        until(lambda: server.workers[0].pid != first)
        assert told() == {"preview_every": 4, "dtype": "fp32"}
        assert server.options.get("dtype").waits == ""
        second = server.workers[0].pid
        server.options.restart_workers()
        assert told() and server.workers[0].pid == second, "there was nothing to begin anew for"


def test_a_worker_that_is_to_begin_anew_finishes_its_job_first(tmp_path: Path) -> None:
    with running(tmp_path, seconds=0.05) as server:
        job = server.submit(ask("a circle", steps=12))
        until(lambda: server.jobs.get(job).status == "running")  # type: ignore[union-attr]
        first = server.workers[0].pid
        server.options.apply({"dtype": "fp32"})
        server.options.restart_workers()
        until(lambda: server.workers[0].pid != first)
        done = server.jobs.get(job)
        assert done is not None and (done.status, done.attempts, len(done.pictures)) == ("done", 0, 1)
