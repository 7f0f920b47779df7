"""The prompt language on the whole route, with a tiny model: which words each network call hears."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from modules.engine.engine import Engine
from modules.events import Note
from modules.families.family import Conditioning
from modules.hooks import JobView, Ring, hookimpl
from modules.images import infotext
from modules.request import Request, Shot
from tests.engine.test_engine import digests, make
from tests.fake_models import engine_on
from tests.fakes import RecordingReport


class Ears:
    """An extension that writes down what is encoded, and which prompts each network call hears, by level."""

    def __init__(self) -> None:
        self.encoded: list[tuple[str, ...]] = []
        self.heard: list[tuple[float, list[str]]] = []
        self._texts: list[tuple[str, Tensor]] = []

    @hookimpl
    def around_encode(self, job: JobView) -> Ring:
        def ring(inner: Any) -> Any:
            def encode(texts: tuple[str, ...]) -> Conditioning:
                self.encoded.append(texts)
                said: Conditioning = inner(texts)
                self._texts += list(zip(texts, said.context, strict=True))
                return said

            return encode

        return ring

    @hookimpl
    def around_predict(self, job: JobView) -> Ring:
        def ring(inner: Any) -> Any:
            def predict(x: Tensor, sigma: float, conditioning: Conditioning) -> Any:
                self.heard.append((sigma, [self._text(row) for row in conditioning.context]))
                return inner(x, sigma, conditioning)

            return predict

        return ring

    def _text(self, row: Tensor) -> str:
        return next(text for text, context in self._texts if torch.equal(context, row))


class Different:
    """An extension that gives every picture of a request words of its own."""

    def __init__(self, *prompts: str) -> None:
        self.prompts = prompts

    @hookimpl
    def around_plan(self, request: Request) -> Ring:
        def ring(plan: Any) -> Any:
            def planned(request: Request) -> tuple[Shot, ...]:
                shots: tuple[Shot, ...] = plan(request)
                return tuple(shot.model_copy(update={"prompt": self.prompts[shot.index]}) for shot in shots)

            return planned

        return ring


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def listening(root: Any, ears: Ears) -> Engine:
    return engine_on(root, ears)


def test_each_step_hears_its_text_and_each_text_is_encoded_once(listening: Engine, ears: Ears) -> None:
    make(listening, prompt="[red|blue] circle", negative_prompt="[:no:2]", steps=5, sampler="Euler")
    words = [heard for _, heard in ears.heard]
    red, blue = "red circle", "blue circle"
    assert words == [[red, ""], [red, ""], [blue, ""], [red, "no"], [blue, "no"]]
    assert len(ears.encoded) == len(set(ears.encoded)), "nothing is encoded twice"
    assert {text for texts in ears.encoded for text in texts} == {red, blue, "", "no"}


@pytest.mark.parametrize(("sampler", "calls"), [("Heun", 1), ("DPM2", 2), ("DPM++ SDE", 2), ("PLMS", 1), ("UniPC", 1)])
def test_the_step_counts_and_not_the_calls_within_it(listening: Engine, ears: Ears, sampler: str, calls: int) -> None:
    """Three steps (and one, as A1111 counts) of six with a, at however many levels a sampler looks within a step."""
    make(listening, prompt="[a:b:3]", steps=6, sampler=sampler, schedule="Uniform", cfg_scale=1)
    levels = sorted({sigma for sigma, _ in ears.heard}, reverse=True)
    texts = [next(heard[0] for sigma, heard in ears.heard if sigma == level) for level in levels]
    assert len(levels) == 6 * calls - (calls - 1), "the last step to 0 has no middle"
    assert texts == ["a"] * 4 * calls + ["b"] * (len(levels) - 4 * calls)


def test_over_a_picture_the_timeline_begins_with_the_first_step_taken(listening: Engine, ears: Ears) -> None:
    name = listening.inputs.keep(Image.new("RGB", (64, 64), "gray"))
    begin = {"image": name, "denoising_strength": 0.6}
    make(listening, prompt="[a:b:2]", steps=5, sampler="Euler", cfg_scale=1, init=begin, width=64, height=64)
    assert [heard for _, heard in ears.heard] == [["a"], ["a"], ["a"], ["b"]]


def test_pictures_of_a_batch_have_words_of_their_own(root: Any) -> None:
    prompts = ("[a:b:1] tree", "a AND b:0.5", "[c|d] " + "flower " * 90)
    together = make(engine_on(root, Different(*prompts)), batch_size=3, steps=4)
    alone = [make(engine_on(root), prompt=prompt, seed=7 + place, steps=4)[0] for place, prompt in enumerate(prompts)]
    assert digests(together) == digests(alone)
    assert len(set(digests(alone))) == 3


def test_each_prompt_is_a_row_of_the_call(listening: Engine, ears: Ears) -> None:
    make(listening, prompt="a AND [b:c:0.5]:0.3", negative_prompt="n", steps=2, sampler="Euler")
    assert [heard for _, heard in ears.heard] == [["a", " b", "n"], ["a", " b", "n"]]
    ears.heard.clear()
    make(listening, prompt="a:0.5", negative_prompt="n", steps=1, sampler="Euler", cfg_scale=1)
    assert [heard for _, heard in ears.heard] == [["a", "n"]], "a weight needs something to be measured from"


def test_prompts_of_different_lengths_are_as_if_filled_up(engine: Engine) -> None:
    """A chunk of nothing behind a prompt is what BREAK leaves: written out it is the same picture."""
    long = "flower " * 100
    made = make(engine, prompt=f"a AND {long}", steps=2)
    assert digests(made) == digests(make(engine, prompt=f"a BREAK BREAK AND {long}", steps=2))
    assert digests(made) != digests(make(engine, prompt=long, steps=2))


def test_texts_of_different_lengths_may_take_turns(engine: Engine) -> None:
    long = "flower " * 100
    made = digests(make(engine, prompt=f"[a|{long}]", steps=4))
    assert made == digests(make(engine, prompt=f"[a BREAK BREAK|{long}]", steps=4)), "the shorter one is filled up"
    assert made not in [digests(make(engine, prompt=prompt, steps=4)) for prompt in ("a", long)]


@pytest.mark.parametrize("emphasis", ["None", "Ignore", "No norm"])
def test_emphasis_is_read_as_asked_and_written_down(engine: Engine, emphasis: str) -> None:
    prompt = "a (red:1.5) circle"
    (picture,) = make(engine, prompt=prompt, emphasis=emphasis)
    same = digests([picture]) == digests(make(engine, prompt="a red circle"))
    assert same == (emphasis == "Ignore")
    assert digests([picture]) != digests(make(engine, prompt=prompt))
    assert infotext.read(infotext.write(picture.recipe))["Emphasis"] == emphasis
    (plain,) = make(engine, prompt="a red circle", emphasis=emphasis)
    assert digests([plain]) == digests(make(engine, prompt="a red circle"))
    assert "Emphasis" not in infotext.read(infotext.write(plain.recipe))


def test_comments_are_not_heard_and_stay_in_the_recipe(listening: Engine, ears: Ears) -> None:
    prompt = "# a note (of mine\na circle # and not <lora:absent:1> a square"
    (picture,) = make(listening, prompt=prompt, negative_prompt="dark # [a:b:1]")
    assert {tuple(heard) for _, heard in ears.heard} == {("a circle", "dark ")}
    assert (picture.recipe.prompt, picture.recipe.negative_prompt) == (prompt, "dark # [a:b:1]")
    assert infotext.read(infotext.write(picture.recipe))["Prompt"] == prompt


@pytest.mark.parametrize("old", [False, True])
def test_a_second_pass_hears_what_its_timeline_says(listening: Engine, ears: Ears, old: bool) -> None:
    hires = {"upscaler": "Latent", "scale": 1.5, "denoising_strength": 1.0}
    (picture,) = make(listening, prompt="[a:b:0.5]", steps=4, sampler="Euler", hires=hires, old_timelines=old)
    said = "".join(heard[0] for _, heard in ears.heard)
    assert said == "aaab" + ("aaab" if old else "bbbb"), "what is said first is said for a step longer"
    assert ("Old prompt editing timelines: True" in infotext.write(picture.recipe)) is old


def test_old_emphasis_raises_all_that_follows_and_reads_one_chunk(engine: Engine) -> None:
    def old(prompt: str) -> list[str]:
        return digests(make(engine, prompt=prompt, encoding={"old_emphasis": True}))

    assert old("a (red) circle") == digests(make(engine, prompt="a (red) circle"))
    assert old("a (red circle") == digests(make(engine, prompt="a (red circle"))
    assert old("a red) circle") == digests(make(engine, prompt="a red (circle:0.9090909090909091)"))
    assert old("a (red:1.5) circle") != digests(make(engine, prompt="a (red:1.5) circle"))
    assert old("flower " * 75 + "tree") == digests(make(engine, prompt="flower " * 75))
    report = RecordingReport()
    make(engine, report, prompt="flower " * 80, encoding={"old_emphasis": True})
    assert Note(key="words_cut", values={"count": 5}) in report.events
    (picture,) = make(engine, prompt="a (red) circle", encoding={"old_emphasis": True})
    assert infotext.read(infotext.write(picture.recipe))["Old emphasis"] == "True"


def test_how_far_back_a_full_chunk_is_cut_changes_a_long_prompt_alone(engine: Engine) -> None:
    long = "red, " + "green " * 70 + ", " + "blue " * 10
    made = digests(make(engine, prompt=long))
    assert made == digests(make(engine, prompt=long, encoding={"comma_backtrack": 5}))
    assert made != digests(make(engine, prompt=long, encoding={"comma_backtrack": 0}))
    assert digests(make(engine, prompt="red, green")) == digests(
        make(engine, prompt="red, green", encoding={"comma_backtrack": 0})
    )


def test_comments_are_words_where_there_are_to_be_none(listening: Engine, ears: Ears) -> None:
    (picture,) = make(listening, prompt="a circle # red", negative_prompt="# x", encoding={"comments": False})
    assert {tuple(heard) for _, heard in ears.heard} == {("a circle # red", "# x")}
    assert infotext.read(infotext.write(picture.recipe))["Prompt comments"] == "False"
