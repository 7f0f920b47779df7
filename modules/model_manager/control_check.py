"""Whether the controls of a request can be used with its checkpoint: asked before it is queued, by headers alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from modules.controls.control import Control as Kind
from modules.controls.control import Sees, Sight
from modules.controls.preprocessor import settled
from modules.errors import BadRequest, WrongFamily
from modules.model_manager.catalog import Catalog, ModelFile
from modules.model_manager.control_kinds import built_in_controls, control_of
from modules.model_manager.header import read_header
from modules.offers import Offers, PreprocessorOffer
from modules.request import Control, Request

KIND = "controlnet"
NOTHING = ("", "none")


def checked_controls(
    request: Request,
    checkpoint: ModelFile,
    catalog: Catalog,
    offers: Offers,
    there: Callable[[str], bool],
    kinds: Mapping[str, Kind] | None = None,
) -> Request:
    """Return `request` with the names of its controls as the catalog and the preprocessors have them.

    `there` tells whether there is a picture of a name. Raises `BadRequest` and `UnknownModel` for what is not there or
    not allowed (an image encoder, too), and `WrongFamily` for a model that does not go with the checkpoint.
    """
    if not request.controls:
        return request
    kinds = kinds or built_in_controls()
    units = [_checked(unit, request, catalog, offers.preprocessors, there) for unit in request.controls]
    for unit in units:
        if unit.model and unit.weight:
            sees = check_fit(catalog.find(unit.model, KIND), checkpoint, kinds)
            if sees is not None:
                catalog.image_encoder(sees, unit.model)
    return request.model_copy(update={"controls": tuple(units)})


def check_fit(file: ModelFile, checkpoint: ModelFile, kinds: Mapping[str, Kind]) -> Sight | None:
    """Return the image encoder that a control's file wants; None when it wants none.

    Raises `WrongFamily` when it does not go with a checkpoint: another family, or other widths.
    """
    if file.family and checkpoint.family and file.family != checkpoint.family:
        values = {"family": file.family, "model": checkpoint.name, "model_family": checkpoint.family}
        raise WrongFamily("control_family", name=file.name, **values)
    header = read_header(file.path)
    kind = control_of(header, kinds)
    differ = kind.misfit(header, read_header(checkpoint.path).configs.get("unet", {}))
    if differ is not None:
        values = {"model": checkpoint.name, "found": differ[0], "wanted": differ[1]}
        raise WrongFamily("control_widths", name=file.name, family=file.family, **values)
    return kind.sight(header) if isinstance(kind, Sees) else None


def find_preprocessor(name: str, known: Mapping[str, PreprocessorOffer]) -> PreprocessorOffer:
    """Return the preprocessor of that name or label, in any case; empty: the one that does nothing.

    Raises `BadRequest` with the names there are.
    """
    wanted = name.strip().lower() or NOTHING[1]
    for offer in known.values():
        if wanted in (offer.name.lower(), offer.label.lower()):
            return offer
    raise BadRequest("unknown_preprocessor", value=name[:60], allowed=", ".join(known) or "-")


def _checked(
    unit: Control,
    request: Request,
    catalog: Catalog,
    preprocessors: Mapping[str, PreprocessorOffer],
    there: Callable[[str], bool],
) -> Control:
    offer = find_preprocessor(unit.preprocessor, preprocessors)
    settled(offer.name, offer.sliders, unit.options)
    _see_pictures([unit.image or (request.init.image if request.init else ""), unit.mask or "-"], there)
    if offer.holes and not unit.mask and request.mask is None:
        raise BadRequest("control_no_mask", preprocessor=offer.name)
    model = "" if unit.model.lower() in NOTHING else catalog.find(unit.model, KIND).name
    if not model and not offer.control:
        raise BadRequest("control_no_model", preprocessor=offer.name)
    if unit.start > unit.end:
        raise BadRequest("control_range", start=unit.start, end=unit.end)
    return unit.model_copy(update={"preprocessor": offer.name, "model": "" if offer.control else model})


def _see_pictures(names: Sequence[str], there: Callable[[str], bool]) -> None:
    for name in names:
        if not name:
            raise BadRequest("control_no_picture")
        if name != "-" and not there(name):
            raise BadRequest("picture_gone", value=name[:12])
