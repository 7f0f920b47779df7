"""Every door of the extension system, with its signature.

Three shapes and a listener. An *offer* returns a list, is asked once at start, and two offers of one name are an
error. A *ring* is asked once per job and returns `inner -> outer` (the same shape as what it wraps), or None to stay
out: before, after, instead, retry and clean-up in one shape. A *patch* returns a context manager, entered before a
batch and left after it whatever happens. A *listener* is told.

Built-ins come through the same doors: a file of `modules/sampling/` could move to `extensions/` unchanged.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pluggy

from modules.request import Request, Shot

PROJECT = "easel"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Named(Protocol):
    """What every offer has."""

    @property
    def name(self) -> str:
        """The name a request uses."""
        ...


class JobView(Protocol):
    """What a ring may read of the job at work; nothing of it can be changed."""

    @property
    def request(self) -> Request:
        """The request after planning; its seed is drawn."""
        ...

    @property
    def shots(self) -> Sequence[Shot]:
        """The pictures of the batch at work."""
        ...

    @property
    def extras(self) -> Mapping[str, Mapping[str, Any]]:
        """The extensions' values by extension name."""
        ...


Ring = Callable[[Callable[..., Any]], Callable[..., Any]]


class Hooks:
    """The specifications pluggy checks implementations against."""

    # offers to the engine (asked in the worker and, as far as they do without torch, in the web process)

    @hookspec
    def samplers(self) -> Sequence[Named]:  # type: ignore[empty-body]
        """Offer samplers (`modules.sampling.sampler.Sampler`): functions of a denoiser."""

    @hookspec
    def schedules(self) -> Sequence[Named]:  # type: ignore[empty-body]
        """Offer noise schedules (`modules.sampling.schedules.Schedule`): n -> n + 1 falling sigmas, ending at 0."""

    @hookspec
    def families(self) -> Sequence[Named]:  # type: ignore[empty-body]
        """Offer model families (`modules.families.family.Family`): detect, load, encode, predict, decode."""

    @hookspec
    def controls(self) -> Sequence[Named]:  # type: ignore[empty-body]
        """Offer controls: what turns a hint image into a ring around `predict`."""

    @hookspec
    def preprocessors(self) -> Sequence[Named]:  # type: ignore[empty-body]
        """Offer preprocessors: an image in, a hint image of the same size out."""

    @hookspec
    def upscalers(self) -> Sequence[Named]:  # type: ignore[empty-body]
        """Offer upscalers (`modules.upscalers.upscaler.Upscaler`): an image in, one of exactly the asked size out."""

    @hookspec
    def captioners(self) -> Sequence[Named]:  # type: ignore[empty-body]
        """Offer captioners (`modules.captioners.captioner.Captioner`): a picture in, a sentence or tags out."""

    @hookspec
    def scripts(self) -> Sequence[Named]:  # type: ignore[empty-body]
        """Offer scripts: one request in, several requests out (plots, loops)."""

    # offers to the web process

    @hookspec
    def fields(self, tab: str) -> Sequence[Named]:  # type: ignore[empty-body]
        """Offer fields (`modules.ui.fields.Field`) for the tab named `tab`; values arrive in `request.extras`."""

    @hookspec
    def tabs(self) -> Sequence[Named]:  # type: ignore[empty-body]
        """Offer tabs (`modules.ui.tab.Tab`) of the page."""

    @hookspec
    def completions(self) -> Sequence[Named]:  # type: ignore[empty-body]
        """Offer names that prompts are completed with (`modules.prompts.completion.Completion`), as wildcards are."""

    @hookspec
    def routes(self, server: object) -> Sequence[Any]:  # type: ignore[empty-body]
        """Offer HTTP routers (FastAPI `APIRouter`); `server` is the running `modules.server.server.Server`."""

    # rings, outermost last registered; each is asked once per job

    @hookspec
    def around_plan(self, request: Request) -> Ring | None:
        """Wrap `plan(request) -> tuple[Shot, ...]`: which pictures are made, with which words and seeds."""

    @hookspec
    def around_encode(self, job: JobView) -> Ring | None:
        """Wrap `encode(texts: tuple[str, ...]) -> Conditioning`: words to what the network reads.

        The first text is the prompt, those after it are negative prompts. Asked for each text that is said at some step
        and for each of the prompts that AND joins, once.
        """

    @hookspec
    def around_predict(self, job: JobView) -> Ring | None:
        """Wrap `predict(x, sigma, conditioning) -> x0`: one network call under one conditioning.

        Where a picture is made in tiles that become one at every step, it is one call for each of them.
        """

    @hookspec
    def around_denoise(self, job: JobView) -> Ring | None:
        """Wrap `denoise(x, sigma) -> x0`: the guided guess of the clean latents, once per network step."""

    @hookspec
    def around_decode(self, job: JobView) -> Ring | None:
        """Wrap `decode(latents) -> list[PIL.Image.Image]`: latents to pictures."""

    @hookspec
    def around_save(self, job: JobView) -> Ring | None:
        """Wrap `save(picture: Picture) -> Path`: a finished picture to its file."""

    # patches and listeners

    @hookspec
    def patch(self, job: JobView, model: object) -> AbstractContextManager[object] | None:
        """Change `model` for one batch: return a context manager that undoes it exactly, or None.

        Where a refiner or a second pass needs another checkpoint, that is asked about when its turn comes, and the one
        before is as it was by then.
        """

    @hookspec
    def finished(self, job: JobView, pictures: Sequence[object]) -> None:
        """Hear that a batch is done and saved."""
