"""`doctor`: what is here, and what looks wrong with it. Looks only; it changes nothing."""

import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import make_url

from modules.commands.rooms import builtins
from modules.engine.threads import prepare_environment
from modules.errors import EaselError
from modules.library.database import MIGRATIONS
from modules.model_manager.catalog import Catalog
from modules.model_manager.kinds import KINDS
from modules.plugins import make_plugins
from modules.settings import ROOT, Settings
from modules.setup.requirements import Project, installed_here, read_project
from modules.words import Words

SHOWN = ("gradio", "diffusers", "transformers", "torch", "torchvision", "safetensors", "pydantic", "SQLAlchemy")
GB = 1e9
LITTLE_MEMORY, LITTLE_DISK = 2 * GB, 1 * GB


@dataclass
class Findings:
    """What was found: lines to print, and the problems among them again."""

    words: Words
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def fact(self, key: str, **values: object) -> None:
        """Note a fact."""
        self.lines.append("  " + self.words.say(f"cli.doctor_{key}", **values))

    def title(self, key: str) -> None:
        """Begin a section."""
        self.lines.append(self.words.say(f"cli.doctor_{key}"))

    def wrong(self, sentence: str) -> None:
        """Note what looks wrong."""
        self.lines.append(f"  ! {sentence}")
        self.problems.append(sentence)

    def fault(self, key: str, **values: object) -> None:
        """Note what looks wrong, by key."""
        self.wrong(self.words.say(f"cli.doctor_{key}", **values))


def examine(settings: Settings, words: Words, say: Callable[[str], None]) -> int:
    """Print what is here and what looks wrong; return 1 when something does, otherwise 0."""
    findings = Findings(words)
    for look in (_versions, _device, _folders, _database, _models, _extensions):
        look(settings, findings)
        for line in findings.lines:
            say(line)
        findings.lines.clear()
    if not findings.problems:
        say(words.say("cli.doctor_well"))
        return 0
    say(words.say("cli.doctor_unwell", count=len(findings.problems)))
    for problem in findings.problems:
        say(f"  ! {problem}")
    return 1


def _versions(settings: Settings, findings: Findings) -> None:
    findings.title("versions")
    findings.fact("python", version=platform.python_version(), path=sys.executable, system=platform.platform())
    for name in ("easel-studio", *SHOWN):
        findings.lines.append(f"  {name} {installed_here(name) or '-'}")
    file = ROOT / "pyproject.toml"
    if file.is_file():
        project = read_project(file)
        for requirement in project.requirements[""]:
            if not Project(project.python, {"": (requirement,)}).satisfied([""], installed_here):
                findings.fault("missing", requirement=requirement)


def _device(settings: Settings, findings: Findings) -> None:
    findings.title("device")
    memory = psutil.virtual_memory()
    findings.fact("cores", cores=psutil.cpu_count(logical=False) or os.cpu_count(), threads=os.cpu_count())
    findings.fact("memory", free=_gb(memory.available), total=_gb(memory.total))
    if memory.available < LITTLE_MEMORY:
        findings.fault("little_memory", free=_gb(memory.available))
    prepare_environment()
    try:
        import torch

        from modules.engine import device as devices
        from modules.model_manager.memory import memory as memory_of
    except (ImportError, OSError) as error:
        findings.fault("no_torch", reason=str(error))
        return
    for wanted in settings.device.split(","):
        try:
            device = devices.choose_device(settings.model_copy(update={"device": wanted.strip()}))
        except EaselError as error:
            findings.wrong(error.say(findings.words))
            continue
        free, total = memory_of(device)
        name = devices.describe(device)
        findings.fact("uses", device=device, name=name, free=_gb(free), total=_gb(total))
    if torch.version.cuda and not torch.cuda.is_available():
        findings.fact("no_gpu")


def _folders(settings: Settings, findings: Findings) -> None:
    findings.title("folders")
    for folder in dict.fromkeys((settings.data_dir, settings.state, settings.outputs, settings.models)):
        existing = next(each for each in (folder, *folder.parents) if each.exists())
        free = shutil.disk_usage(existing).free
        findings.fact("folder", folder=folder, free=_gb(free))
        if folder != settings.models and not os.access(existing, os.W_OK):
            findings.fault("not_writable", folder=folder)
        if folder == settings.outputs and free < LITTLE_DISK:
            findings.fault("little_disk", folder=folder, free=_gb(free))


def _database(settings: Settings, findings: Findings) -> None:
    findings.title("database")
    url = make_url(settings.database_url)
    if url.get_backend_name() != "sqlite":
        findings.fact("database_elsewhere", where=url.render_as_string())
        return
    file = Path(url.database or "")
    if not file.is_file():
        findings.fact("database_new", where=file)
        return
    findings.fact("database_file", where=file, size=f"{file.stat().st_size / 1e6:.1f}")
    try:
        # rw and not ro: reading a database in WAL mode may have to make the index file beside it again
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=5)) as connection:
            _ask(connection, findings)
    except sqlite3.Error as error:
        findings.fault("database_unreadable", where=file, reason=error)


def _ask(connection: sqlite3.Connection, findings: Findings) -> None:
    answer = connection.execute("PRAGMA integrity_check(3)").fetchall()
    if answer != [("ok",)]:
        findings.fault("database_broken", reason="; ".join(str(row[0]) for row in answer))
        return
    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    newest = ScriptDirectory.from_config(configuration).get_current_head()
    (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("-",)
    findings.fact("schema", revision=revision, newest=newest)
    jobs = connection.execute("SELECT status, count(*) FROM jobs GROUP BY status ORDER BY status").fetchall()
    findings.fact("jobs", jobs=", ".join(f"{status} {count}" for status, count in jobs) or "-")
    (pictures,) = connection.execute("SELECT count(*) FROM pictures").fetchone()
    findings.fact("pictures", count=pictures)
    aside = dict(jobs).get("set_aside", 0)
    if aside:
        findings.fault("set_aside", count=aside)


def _models(settings: Settings, findings: Findings) -> None:
    findings.title("models")
    catalog = Catalog(settings)
    files = catalog.checkpoints()
    for file in files:
        findings.lines.append(f"  {file.title}  {file.family or '-'}  {file.path}")
        if fault := file.fault():
            findings.fault("broken_model", name=file.name, reason=fault.say(findings.words))
    if not files:
        findings.fault("no_models", folder=catalog.home("checkpoint"))
    for kind in [each for each in KINDS if each != "checkpoint"]:
        if files := catalog.files(kind):
            broken = sum(bool(file.problem) for file in files)
            findings.fact("files", folder=catalog.home(kind).name, count=len(files), broken=broken)


def _extensions(settings: Settings, findings: Findings) -> None:
    findings.title("extensions")
    halves = [make_plugins(side, builtins(side), settings.extensions).extensions for side in ("engine", "ui")]
    for both in zip(*halves, strict=True):
        findings.lines.append(f"  {both[0].name} {both[0].version}")
        for half in both:
            if half.problem:
                findings.fault("broken_extension", name=half.name, reason=half.problem.strip().splitlines()[-1])
    if not halves[0]:
        findings.fact("none")


def _gb(size: float) -> str:
    return f"{size / GB:.1f}"
