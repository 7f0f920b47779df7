"""Small ONNX networks that take and answer what published ones do, and put things at places known beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto, checker, helper, numpy_helper, save

Arrays = Mapping[str, "np.ndarray[tuple[int, ...], np.dtype[np.float32 | np.int64]]"]
SIDE, STRIDE = 640, 8
FRAME = (288, 384)
POINTS = 133


def put_people(path: Path, *boxes: tuple[float, float, float, float]) -> Path:
    """Write a YOLOX that finds people in `boxes` (left, top, right, bottom in pixels of its square).

    It does in a picture that is white somewhere; in one that is at most grey it finds nobody.
    """
    always = np.zeros((1, 8400, 85), np.float32)
    where_light = np.zeros_like(always)
    for left, top, right, bottom in boxes:
        across, down = (left + right) / 2 / STRIDE, (top + bottom) / 2 / STRIDE
        cell = int(down) * (SIDE // STRIDE) + int(across)
        sizes = np.log((right - left) / STRIDE), np.log((bottom - top) / STRIDE)
        always[0, cell, :4] = across % 1, down % 1, *sizes
        where_light[0, cell, 4:6] = 1.0, 0.9
    nodes = [
        helper.make_node("Conv", ["images", "grey"], ["seen"]),
        helper.make_node("GlobalMaxPool", ["seen"], ["most"]),
        helper.make_node("Reshape", ["most", "flat"], ["light"]),
        helper.make_node("Mul", ["where_light", "light"], ["lit"]),
        helper.make_node("Add", ["always", "lit"], ["output"]),
    ]
    grey = np.full((1, 3, 1, 1), 1 / 3 / 255, np.float32)
    arrays = {"grey": grey, "flat": np.array([1, 1, 1]), "always": always, "where_light": where_light}
    return put_onnx(path, nodes, arrays, {"images": (1, 3, SIDE, SIDE)}, {"output": (1, 8400, 85)})


def put_joints(path: Path, places: Mapping[int, tuple[float, float]], sight: float = 0.0) -> Path:
    """Write a DWPose that is sure of points at `places` (across, down in pixels of its frame), and of no other.

    With `sight` it is that sure of all its points where the picture is lightest.
    """
    width, height = FRAME
    nodes = [helper.make_node("Conv", ["input", "grey"], ["seen"])]
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32 | np.int64]]] = {
        "grey": np.full((1, 3, 1, 1), 1 / 3, np.float32),
        "sight": np.full((1, POINTS, 1), sight, np.float32),
    }
    for axis, (name, length, across) in enumerate((("simcc_x", width, height), ("simcc_y", height, width))):
        answer = np.full((1, POINTS, length * 2), -1.0, np.float32)
        for point, place in places.items():
            answer[0, point, round(place[axis] * 2)] = 1.0
        column, row = np.array([1, length, 1]), np.array([1, 1, -1])
        arrays |= {f"{name}_always": answer, f"{name}_column": column, f"{name}_row": row}
        kernel = (across, 1) if axis == 0 else (1, across)
        nodes += [
            helper.make_node("MaxPool", ["seen"], [f"{name}_most"], kernel_shape=kernel),
            helper.make_node("Reshape", [f"{name}_most", f"{name}_column"], [f"{name}_once"]),
            helper.make_node("Concat", [f"{name}_once", f"{name}_once"], [f"{name}_twice"], axis=2),
            helper.make_node("Reshape", [f"{name}_twice", f"{name}_row"], [f"{name}_halves"]),
            helper.make_node("Mul", ["sight", f"{name}_halves"], [f"{name}_seen"]),
            helper.make_node("Add", [f"{name}_always", f"{name}_seen"], [name]),
        ]
    shapes = {"simcc_x": (1, POINTS, width * 2), "simcc_y": (1, POINTS, height * 2)}
    return put_onnx(path, nodes, arrays, {"input": (1, 3, height, width)}, shapes)


def put_onnx(
    path: Path,
    nodes: Sequence[NodeProto],
    arrays: Arrays,
    inputs: Mapping[str, Sequence[int]],
    outputs: Mapping[str, Sequence[int]],
) -> Path:
    """Write the network of `nodes` and constant `arrays`; return its path."""
    first, last = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in each.items()]
        for each in (inputs, outputs)
    )
    constants = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(list(nodes), "network", first, last, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7)
    checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(model, str(path))
    return path


def put_tagger(path: Path, tags: int, red: int, side: int = 448) -> Path:
    """Write a tagger that is as sure of the tag numbered `red` as its picture (BGR) is red, and of no other."""
    weights = np.zeros((3, tags), np.float32)
    weights[2, red] = 1 / 255
    nodes = [
        helper.make_node(
            "Transpose",
            [
                "input",
            ],
            ["seen"],
            perm=(0, 3, 1, 2),
        ),
        helper.make_node("GlobalAveragePool", ["seen"], ["mean"]),
        helper.make_node("Reshape", ["mean", "flat"], ["colour"]),
        helper.make_node("MatMul", ["colour", "weights"], ["predictions_sigmoid"]),
    ]
    arrays = {"flat": np.array([1, 3]), "weights": weights}
    return put_onnx(path, nodes, arrays, {"input": (1, side, side, 3)}, {"predictions_sigmoid": (1, tags)})
