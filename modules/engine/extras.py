"""What is done to finished pictures in turn: enlarged, faces restored, split, cut, described, flipped, saved."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import TypeVar

from PIL import Image, ImageOps

from modules.engine.captions import Captions
from modules.engine.report import Report, Skipped
from modules.engine.upscaling import Upscaling
from modules.errors import BadRequest, Cancelled, EaselError, OutOfMemory
from modules.events import Note, Step
from modules.images import infotext, metadata
from modules.images.enlarging import checked_size, chosen_size, covering, enlarged, piece_boxes
from modules.images.focus import Point, around, focal_point
from modules.images.inputs import Inputs
from modules.model_manager.catalog import Catalog
from modules.model_manager.extras_task import RESTORERS, restorer_file
from modules.request import LARGEST_SEED
from modules.result import CAPTION, Picture, Recipe
from modules.tasks import NO_UPSCALER, Extras
from modules.upscalers.networks.faces import Box, find_faces, restored
from modules.upscalers.upscaler import Tell

T = TypeVar("T")
Operation = Callable[[Image.Image, Tell], Image.Image]


class Postprocessor:
    """Does what an `Extras` task asks for, with the upscalers of one worker."""

    def __init__(self, catalog: Catalog, inputs: Inputs, upscaling: Upscaling, captions: Captions) -> None:
        self._catalog = catalog
        self._inputs = inputs
        self._upscaling = upscaling
        self._captions = captions

    def process(
        self,
        task: Extras,
        report: Report,
        save: Callable[[Picture, str], T],
        job: str = "",
        done: Collection[int] = (),
    ) -> Iterator[tuple[Picture, T]]:
        """Make the pictures of a settled `task`; yield each with what `save` returned for it and its name.

        Pictures whose index is in `done` exist already. One that is gone, damaged or too large is told of and left out.
        Raises `ModelError` and `Cancelled`, and where there is no other picture what is wrong with it; pictures yielded
        before stay.
        """
        made = 0
        fault: BadRequest | OutOfMemory | None = None
        for place in range(len(task.pictures)):
            places = task.places(place)
            if all(each in done for each in places):
                continue
            meter = _Meter(report, places, task.images)
            try:
                pieces = self._made(task, place, meter, report)
            except Skipped:
                report.tell(Note(key="skipped", values={"first": places[0] + 1, "last": places[-1] + 1}))
                made += 1
                continue
            except (BadRequest, OutOfMemory) as error:
                fault = error
                report.tell(_left_out(task.name_of(place) or str(place + 1), error))
                continue
            made += 1
            for index in places:
                piece, copy = divmod(index - places[0], task.each)
                image, recipe = pieces[piece]
                flip = ("", *task.flips)[copy]
                if index not in done:
                    notes = recipe.postprocessing | ({"Flip": flip} if flip else {})
                    mine = recipe.model_copy(update={"postprocessing": notes, "job": job, "index": index})
                    picture = Picture(flipped(image, flip), mine)
                    number = str(piece + 1) if len(pieces) > 1 else ""
                    yield picture, save(picture, "-".join(each for each in (task.name_of(place), number, flip) if each))
        if fault is not None and not made and not done:
            raise fault

    def _made(self, task: Extras, place: int, meter: _Meter, report: Report) -> list[tuple[Image.Image, Recipe]]:
        """Return one picture, or each piece of it, with everything done to it but flipping, and its recipe."""
        name = task.pictures[place]
        image = self._inputs.open(name)
        checked_size(image.size, task)
        operations = list(self._operations(task, meter.first, report))
        for part, operation in enumerate(operations):
            image = operation(image, meter.part(part, len(operations)))
        found = metadata.read(self._inputs.file(name))
        given, before, _ = found if found is not None else ("", None, (0, 0))
        pieces = split(image, task, task.pieces_of(place))
        made = []
        for number, piece in enumerate(pieces, start=1):
            notes = described(task)
            if len(pieces) > 1:
                notes["Split oversized images"] = f"{number}/{len(pieces)}"
            cut = self._finished(task, place, piece, notes, report)
            made.append((cut, recipe_of(notes or {"Postprocess upscaler": NO_UPSCALER}, given, before, cut.size)))
        return made

    def _finished(
        self, task: Extras, place: int, image: Image.Image, notes: dict[str, str], report: Report
    ) -> Image.Image:
        """Return a picture, or a piece of one, cut to a size near to its shape and described; put that into `notes`."""
        if task.auto_crop is not None and (size := chosen_size(image.size, task.auto_crop)) is not None:
            image = _cut(
                image.resize(covering(image.size, size), Image.Resampling.LANCZOS), size, self._focus(task, image)
            )
            notes["Auto-sized crop"] = f"{size[0]}x{size[1]}"
        elif task.auto_crop is not None:
            report.tell(Note(key="crop_unfit", values={"name": task.name_of(place) or task.pictures[place][:12]}))
        if task.caption:
            notes[CAPTION] = self._captions.say(task.caption, image, report)
        return image

    def _operations(self, task: Extras, place: int, report: Report) -> Iterator[Operation]:
        faces: list[Operation] = []
        finder = _Finder(place, report)
        for which, weight in (("gfpgan", 0.0), ("codeformer", task.codeformer_weight)):
            if visibility := getattr(task, which):
                faces.append(partial(self._restore, which, visibility, weight, finder, report))
        if task.faces_first:
            yield from faces
        if task.enlarges:
            yield partial(self._enlarge, task, report)
        if not task.faces_first:
            yield from faces

    def _enlarge(self, task: Extras, report: Report, image: Image.Image, tell: Tell) -> Image.Image:
        whole, cut = enlarged(image.size, task)
        two = task.second != NO_UPSCALER
        made = self._upscaling.enlarge(task.upscaler, image, whole, _half(tell, 0) if two else tell, report)
        if two:
            other = self._upscaling.enlarge(task.second, image, whole, _half(tell, 1), report)
            made = Image.blend(made, other, task.second_visibility)
        return made if whole == cut else _cut(made, cut, self._focus(task, image))

    def _focus(self, task: Extras, image: Image.Image) -> Point:
        """Return the point that stays in a picture that is cut."""
        if not task.focus:
            return 0.5, 0.5
        middles = [(box.left + box.side / 2, box.top + box.side / 2) for box in find_faces(image)]
        return focal_point(image, [(across / image.width, down / image.height) for across, down in middles])

    def _restore(
        self,
        which: str,
        visibility: float,
        weight: float,
        finder: _Finder,
        report: Report,
        image: Image.Image,
        tell: Tell,
    ) -> Image.Image:
        file = restorer_file(self._catalog, which)
        if file is None:  # it was there when the job was added
            folder = self._catalog.home("face").with_name(RESTORERS[which])
            raise BadRequest("face_missing", restorer=RESTORERS[which], folder=str(folder))
        faces = finder.faces(image)
        if not faces:
            tell(1, 1)
            return image
        restore = self._upscaling.restorer(file, report)
        done = iter(range(1, len(faces) + 1))
        return restored(
            image, faces, lambda face: restore(face, weight), visibility, lambda: tell(next(done), len(faces))
        )


class _Finder:
    """Looks for faces once for both restorers; tells when there are none."""

    def __init__(self, place: int, report: Report) -> None:
        self._place = place
        self._report = report
        self._size = (0, 0)
        self._faces: list[Box] = []

    def faces(self, image: Image.Image) -> list[Box]:
        if self._size != image.size:
            self._size, self._faces = image.size, find_faces(image)
            if not self._faces:
                self._report.tell(Note(key="no_faces", values={"image": self._place + 1}))
        return self._faces


class _Meter:
    """Tells how far a picture is, and hears what a person wants, at every piece of every operation."""

    def __init__(self, report: Report, places: range, images: int) -> None:
        self.first = places[0]
        self._report = report
        self._places = places
        self._images = images

    def part(self, part: int, parts: int) -> Tell:
        """Return what hears of the pieces of one operation of `parts`."""
        self._heed()

        def tell(done: int, pieces: int) -> None:
            self._heed()
            step, steps = part * pieces + done, parts * pieces
            batch = len(self._places)
            self._report.tell(Step(image=self.first, batch=batch, images=self._images, step=step, steps=steps))

        return tell

    def _heed(self) -> None:
        wanted = self._report.wanted()
        if wanted == "stop":
            raise Cancelled("cancelled")
        if wanted == "skip":
            raise Skipped("skipped")


def _half(tell: Tell, which: int) -> Tell:
    """Return what hears of one of two works of the same kind."""
    return lambda done, pieces: tell(which * pieces + done, 2 * pieces)


def flipped(image: Image.Image, how: str) -> Image.Image:
    """Return a copy that is flipped "horizontal", "vertical" or "both" ways; the image itself for ""."""
    if how in ("horizontal", "both"):
        image = ImageOps.mirror(image)
    return ImageOps.flip(image) if how in ("vertical", "both") else image


def split(image: Image.Image, task: Extras, count: int) -> list[Image.Image]:
    """Return the `count` pieces of the task's width and height that a picture is split into; itself for one."""
    if count == 1:
        return [image]
    piece = task.width or image.width, task.height or image.height
    whole = covering(image.size, piece)
    if image.size != whole:
        image = image.resize(whole, Image.Resampling.LANCZOS)
    return [image.crop(box) for box in piece_boxes(whole, piece, count)]


def _cut(image: Image.Image, size: tuple[int, int], point: Point) -> Image.Image:
    return image if image.size == size else image.crop(around(image.size, size, point))


def _left_out(name: str, error: EaselError) -> Note:
    about = dict(json.loads(json.dumps(dict(error.values), default=str)))
    return Note(key="left_out", values={"name": name, "error": error.key, "about": about})


def recipe_of(done: dict[str, str], given: str, before: Recipe | None, size: tuple[int, int]) -> Recipe:
    """Return the recipe of a picture: what it said of itself, and what was `done` to it, under A1111's names."""
    update = {"given": given, "postprocessing": done, "job": "", "index": 0}
    if before is not None:
        return before.model_copy(update=update)
    fields = infotext.read(given)
    seed = fields.get("Seed", "")
    known = int(seed) if seed.isascii() and seed.isdigit() and len(seed) < 21 else -1
    return Recipe(
        prompt=fields["Prompt"],
        negative_prompt=fields["Negative prompt"],
        seed=min(known, LARGEST_SEED),
        width=size[0],
        height=size[1],
    ).model_copy(update=update)


def described(task: Extras) -> dict[str, str]:
    """Return what a task does to a picture, in order, as A1111 writes it."""
    faces: dict[str, str] = {}
    if task.gfpgan:
        faces["GFPGAN visibility"] = f"{task.gfpgan:.3g}"
    if task.codeformer:
        faces["CodeFormer visibility"] = f"{task.codeformer:.3g}"
        faces["CodeFormer weight"] = f"{task.codeformer_weight:.3g}"
    size: dict[str, str] = {}
    if task.enlarges:
        if task.width is None and task.height is None:
            size["Postprocess upscale by"] = f"{task.scale:.4g}"
            if task.longest:
                size["Max side length"] = str(task.longest)
        else:
            size["Postprocess upscale to"] = f"{task.width or '-'}x{task.height or '-'}"
            if task.crop and task.width and task.height:
                size["Postprocess crop to"] = f"{task.width}x{task.height}"
                if task.focus:
                    size["Auto focal point crop"] = "True"
        size["Postprocess upscaler"] = task.upscaler
        if task.second != NO_UPSCALER:
            size["Postprocess upscaler 2"] = task.second
            size["Postprocess upscaler 2 visibility"] = f"{task.second_visibility:.3g}"
    return faces | size if task.faces_first else size | faces
