"""The real engine on the starter model, killed in mid-picture: the picture comes all the same, and the same one."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from modules.commands.rooms import builtins
from modules.plugins import make_plugins
from modules.server.server import Server
from modules.settings import Settings
from tests.fakes import ask
from tests.serving import until

pytestmark = pytest.mark.faults
ROOT = Path(__file__).parents[2]
PATIENCE = 300.0  # seconds; the worker reads torch twice


def test_a_kill_in_mid_picture_changes_no_pixel(tmp_path: Path) -> None:
    place = Path("models", "Stable-diffusion", "starter")
    shutil.copytree(ROOT / place, tmp_path / place)
    settings = Settings(data_dir=tmp_path, device="cpu")
    server = Server(settings, make_plugins("ui", builtins("ui"), None))
    server.start()
    try:
        wanted = ask("a red circle on a blue background", steps=8, seed=1)
        whole = server.submit(wanted)
        killed = server.submit(wanted.model_copy(update={"batch_count": 2, "seed": 0}))
        until(lambda: len(server.library.of_job(killed)) == 1, PATIENCE)
        until(lambda: server.jobs.queue()[0].progress.step > 1, PATIENCE)
        os.kill(server.workers[0].pid, signal.SIGKILL)
        until(lambda: not server.jobs.queue(), PATIENCE)
        job = server.jobs.get(killed)
        assert job is not None and job.status == "done" and len(job.pictures) == 2
        first, again = (Image.open(each.path) for each in (server.library.of_job(whole)[0], job.pictures[1]))
        assert job.pictures[1].recipe.seed == 1
        assert ImageChops.difference(first, again).getbbox() is None
        assert [each.event.kind for each in server.feed.since(0, killed)].count("started") == 2
    finally:
        server.stop()
