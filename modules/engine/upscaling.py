"""Upscalers at work: those that are offered through the hook, and networks out of the models folder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image

from modules.engine.memory import patient
from modules.engine.report import Report
from modules.errors import ExtensionError, OutOfMemory
from modules.events import Loading, Note
from modules.model_manager.catalog import Catalog, ModelFile, Stamp, stamp_of
from modules.model_manager.memory import GIB, memory
from modules.model_manager.network_file import read_network
from modules.plugins import Plugins
from modules.upscalers.networks.network import Network, Restorer, load_network, load_restorer
from modules.upscalers.tiles import Pixels, enlarge
from modules.upscalers.upscaler import Size, Tell, Upscaler

KEPT = 2  # networks that stay loaded: two upscalers may take turns
T = TypeVar("T", Network, Restorer)


class Upscaling:
    """Enlarges images by the name of an upscaler. `make_room` lets other weights go; it says whether any went."""

    def __init__(
        self,
        plugins: Plugins,
        catalog: Catalog,
        device: torch.device,
        tile: int,
        overlap: int,
        make_room: Callable[[], bool],
    ) -> None:
        self.offered = plugins.offered("upscalers", Upscaler)
        self._catalog = catalog
        self._device = device
        self._tile = tile
        self._overlap = overlap
        self._make_room = make_room
        self._kept: OrderedDict[Path, tuple[Stamp, Network | Restorer]] = OrderedDict()  # the one used last at the end

    def cut(self, tile: int, overlap: int) -> None:
        """Let networks see tiles of other sizes from now on (pixels; a tile of 0 is the whole image)."""
        self._tile, self._overlap = tile, overlap

    def enlarge(self, name: str, image: Image.Image, size: Size, tell: Tell, report: Report) -> Image.Image:
        """Return an RGB or RGBA `image` at exactly `size`, made by the upscaler of that name.

        `tell` hears of every piece. Raises `UnknownModel`, `BrokenFile` or `WrongFamily` when there is no such
        upscaler or it cannot be used, `OutOfMemory`, and what `tell` raises.
        """
        offered = self.offered.get(name)
        if offered is not None:
            made = offered.enlarge(image, size, tell)
            if made.size != size:
                raise ExtensionError(name, "upscaler_size", width=size[0], height=size[1])
            return made
        network = self._network(self._catalog.find(name, "upscaler"), report, load_network, Network)
        return enlarge(
            image,
            size,
            self._guarded(network),
            network.scale,
            tell,
            0 if network.whole else self._tile,
            self._overlap,
            partial(_tell_smaller, report),
        )

    def restorer(self, file: ModelFile, report: Report) -> Callable[[Pixels, float], Pixels]:
        """Return what makes a face anew, out of the model file of a face restorer."""
        return self._guarded(self._network(file, report, load_restorer, Restorer))

    def forget(self) -> None:
        """Let go of every network."""
        self._kept.clear()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _network(self, file: ModelFile, report: Report, load: Callable[..., T], kind: type[T]) -> T:
        """Return the network of a file as it is now; raise `OutOfMemory` when there is no room for it."""
        stamp, kept = self._kept.pop(file.path, (None, None))
        if not isinstance(kept, kind) or stamp != stamp_of(file.path):
            report.tell(Loading(model=file.name))
            kept = self._guarded(lambda: load(file.name, read_network(file.path), self._device))()
        self._kept[file.path] = (stamp_of(file.path), kept)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return kept

    def _guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        return patient(call, self._make_room, self._no_room)

    def _no_room(self) -> OutOfMemory:
        free, total = memory(self._device)
        return OutOfMemory(
            "out_of_memory_upscaling",
            device=str(self._device),
            free=f"{free / GIB:.1f}",
            total=f"{total / GIB:.1f}",
        )


def _tell_smaller(report: Report, tile: int) -> None:
    report.tell(Note(key="smaller_tiles", values={"tile": tile}))
