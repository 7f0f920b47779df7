"""Networks in ONNX files that look at pictures, through OpenCV: what is in the file is data, and computed as such."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from modules.errors import BrokenFile

Floats = NDArray[np.float32]


class Onnx:
    """The network of one file. It is computed on the CPU, whatever else there is."""

    def __init__(self, path: Path) -> None:
        """Read it; raise `BrokenFile` for what is no ONNX file, or has a part that OpenCV does not know."""
        self.file = path.name
        try:
            # From memory: a file cannot name others beside it, and any letters may be in its path.
            self._net = cv2.dnn.readNetFromONNX(np.frombuffer(path.read_bytes(), np.uint8))
        except (cv2.error, OSError) as error:
            raise BrokenFile("not_onnx", file=self.file) from error
        if self._net.empty():
            raise BrokenFile("not_onnx", file=self.file)

    def __call__(self, seen: Floats, *wanted: tuple[int, ...]) -> list[Floats]:
        """Return its answers to `seen`, one for each of the shapes `wanted`; two of a shape are in the file's order.

        Raises `BrokenFile` when it takes no such input, or answers otherwise.
        """
        try:
            self._net.setInput(np.ascontiguousarray(seen, np.float32))
            told = self._net.forward(self._net.getUnconnectedOutLayersNames())
            found = [np.asarray(each, np.float32) for each in told]
        except cv2.error as error:
            raise BrokenFile("onnx_refused", file=self.file, shape=list(seen.shape)) from error
        answers: list[Floats] = []
        for shape in wanted:
            place = next((at for at, each in enumerate(found) if each.shape == shape), None)
            if place is None:
                shapes = ", ".join(str(list(each.shape)) for each in found) or "-"
                raise BrokenFile("onnx_answer", file=self.file, shapes=shapes, wanted=list(shape))
            answers.append(found.pop(place))
        return answers
