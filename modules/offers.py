"""What this installation can do, by name: the samplers, schedule types and upscalers that may be asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modules.errors import BadRequest
from modules.plugins import Plugins
from modules.request import Request

AUTOMATIC = "Automatic"


@dataclass(frozen=True)
class Slider:
    """A number that a preprocessor takes: its `name` in `Control.options`, A1111's `label`, and what it may be."""

    name: str
    label: str
    least: float
    most: float
    default: float
    step: float = 1.0


@dataclass(frozen=True)
class PreprocessorOffer:
    """What a page needs to know of a preprocessor; see `modules.controls.preprocessor.Preprocessor`."""

    name: str
    label: str
    tags: tuple[str, ...] = ()
    sliders: tuple[Slider, ...] = ()
    files: tuple[str, ...] = ()
    control: str = ""
    holes: bool = False


@dataclass(frozen=True)
class Offers:
    """Names as shown, in order, and every accepted spelling (lower case) of each; preprocessors by name."""

    samplers: tuple[str, ...]
    schedules: tuple[str, ...]  # begins with Automatic
    sampler_spellings: Mapping[str, str]
    schedule_spellings: Mapping[str, str]
    upscalers: tuple[str, ...] = ()  # without the files of models, which the catalog knows
    preprocessors: Mapping[str, PreprocessorOffer] = field(default_factory=dict, hash=False)
    captioners: tuple[str, ...] = ()  # those that need no model; `modules.model_manager.caption_files` knows the others

    def settle(self, request: Request) -> Request:
        """Return `request` with sampler and schedule by their shown names; raise `BadRequest` for unknown ones.

        Aliases count, and so does the older habit of a schedule at the end of a sampler's name
        ("DPM++ 2M Karras").
        """
        sampler, schedule = self._sampler(request.sampler)
        if schedule == AUTOMATIC:
            schedule = self._schedule(request.schedule)
        return request.model_copy(update={"sampler": sampler, "schedule": schedule})

    def _sampler(self, asked: str) -> tuple[str, str]:
        wanted = asked.strip().lower()
        if wanted in self.sampler_spellings:
            return self.sampler_spellings[wanted], AUTOMATIC
        for spelling, schedule in self.schedule_spellings.items():
            stem = wanted.removesuffix(f" {spelling}")
            if stem != wanted and stem in self.sampler_spellings:
                return self.sampler_spellings[stem], schedule
        raise BadRequest("unknown_sampler", value=asked[:60], allowed=", ".join(self.samplers))

    def _schedule(self, asked: str) -> str:
        known = self.schedule_spellings.get(asked.strip().lower())
        if known is None:
            raise BadRequest("unknown_schedule", value=asked[:60], allowed=", ".join(self.schedules))
        return known


def gather(plugins: Plugins) -> Offers:
    """Collect the names that the built-ins and extensions of this process offer."""
    samplers = list(plugins.offered("samplers", object).values())
    schedules = list(plugins.offered("schedules", object).values())
    labels = (AUTOMATIC, *(str(getattr(each, "label", _name(each))) for each in schedules))
    return Offers(
        tuple(_name(each) for each in samplers),
        labels,
        _spellings(samplers, [_name(each) for each in samplers]),
        {AUTOMATIC.lower(): AUTOMATIC} | _spellings(schedules, labels[1:]),
        tuple(plugins.offered("upscalers", object)),
        {name: _preprocessor(name, each) for name, each in plugins.offered("preprocessors", object).items()},
        tuple(name for name, each in plugins.offered("captioners", object).items() if not getattr(each, "folder", "")),
    )


def _preprocessor(name: str, offer: object) -> PreprocessorOffer:
    tags, sliders, files = (tuple(getattr(offer, each, ())) for each in ("tags", "sliders", "files"))
    label = str(getattr(offer, "label", "")) or name
    control, holes = str(getattr(offer, "control", "")), bool(getattr(offer, "holes", False))
    return PreprocessorOffer(name, label, tags, sliders, files, control, holes)


def _name(offer: object) -> str:
    return str(getattr(offer, "name", offer))


def _spellings(offers: Sequence[object], shown: Sequence[str]) -> dict[str, str]:
    known: dict[str, str] = {}
    for offer, label in zip(offers, shown, strict=True):
        for spelling in (label, _name(offer), *getattr(offer, "aliases", ())):
            known.setdefault(spelling.lower(), label)
    return known
