"""The Extras tab's panels: before and after side by side, copies alone, and names of files as text."""

from modules.result import Recipe
from modules.server.server import Server
from modules.server.views import Job
from modules.tasks import make_extras
from modules.ui.extras_panel import result
from modules.words import load_words
from tests.fake_upscalers import scene

WORDS = load_words()


def made(server: Server, pictures: int) -> Job:
    """A job with one flipped copy of each picture, of which so many are there."""
    names = [server.inputs.keep(scene(30 + place, 30)) for place in range(2)]
    task = make_extras({"pictures": names, "upscaler": "Lanczos", "names": ["a", "b"], "flips": ["both"]})
    id = server.jobs.add_extras(task, "local")
    for index in range(pictures):
        path = server.settings.outputs / "extras-images" / "today" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        scene().save(path)
        recipe = Recipe(
            given="as <given>",
            postprocessing={"Postprocess upscaler": "Lanczos"},
            job=id,
            index=index,
            width=9,
            height=9,
        )
        server.library.add(path, recipe, recipe.given, "local", (120, 60))
    job = server.jobs.get(id)
    assert job is not None
    return job


def test_nothing_is_shown_before_there_is_something(server: Server) -> None:
    assert "empty" in result(None, -1, WORDS) and "empty" in result(made(server, 0), -1, WORDS)


def test_a_picture_stands_beside_the_one_it_was(server: Server) -> None:
    job = made(server, 3)
    shown = result(job, 2, WORDS)
    assert f"/easel/inputs/1600/{job.task.pictures[1]}.webp" in shown  # type: ignore[union-attr]
    assert 'type="range"' in shown and "120 × 60" in shown and shown.count('class="thumb"') == 3
    assert "as &lt;given&gt;\nPostprocess upscaler: Lanczos" in shown


def test_a_flipped_copy_stands_alone(server: Server) -> None:
    shown = result(made(server, 2), 1, WORDS)
    assert 'type="range"' not in shown and "/easel/inputs/1600/" not in shown
