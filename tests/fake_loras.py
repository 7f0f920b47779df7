"""LoRA files with random tensors in every format, and what each makes of a weight, worked out independently.

The expectations are plain numpy in float64, written from the formulas: sums and dense matrices, no factor is combined
cleverly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

Array = NDArray[np.float64]
Roles = dict[str, Tensor]  # what stands behind a layer's name -> tensor

RANK, ALPHA = 4, 3.0


@dataclass(frozen=True)
class Made:
    """The tensors of one layer, and what they make of its weight (and bias) at a strength."""

    roles: Roles
    weight: Callable[[float], Array]
    bias: Callable[[float], Array] | None = None


def write_lora(
    path: Path, layers: Mapping[str, Mapping[str, Tensor]], metadata: Mapping[str, str] | None = None
) -> Path:
    """Write layers by name, each with its tensors by what stands behind the name: {"lora_unet_x": {"alpha": …}}."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = {f"{name}.{role}": tensor for name, roles in layers.items() for role, tensor in roles.items()}
    save_file({key: tensor.contiguous() for key, tensor in flat.items()}, path, dict(metadata or {}) or None)
    return path


def numbers(*shape: int, scale: float = 0.5) -> Tensor:
    """Return random numbers that are the same in half precision: what a file holds is exactly what is expected."""
    return (torch.randn(shape) * scale).half().float()


def array(tensor: Tensor) -> Array:
    return tensor.detach().to(torch.float64).numpy().copy()


def _alpha() -> Tensor:
    return torch.tensor(ALPHA)


def _added(weight: Tensor, delta: Array, scale: float = 1.0) -> Callable[[float], Array]:
    whole = array(weight)
    return lambda strength: whole + strength * scale * delta.reshape(whole.shape)


def _flat(weight: Tensor) -> tuple[int, int]:
    return weight.shape[0], weight[0].numel()


def lora(weight: Tensor) -> Made:
    out, inner = _flat(weight)
    up, down = numbers(out, RANK), numbers(RANK, inner)
    delta = array(up) @ array(down)
    shaped = down.reshape(RANK, *weight.shape[1:])
    ups = up.reshape(out, RANK, *(1 for _ in weight.shape[2:]))
    roles = {"lora_up.weight": ups, "lora_down.weight": shaped, "alpha": _alpha()}
    return Made(roles, _added(weight, delta, ALPHA / RANK))


def lora_without_alpha(weight: Tensor) -> Made:
    made = lora(weight)
    roles = {name: tensor for name, tensor in made.roles.items() if name != "alpha"}
    return Made(roles, lambda strength: made.weight(strength * RANK / ALPHA))


def locon_tucker(weight: Tensor) -> Made:
    out, inner, *kernel = weight.shape
    up, mid, down = numbers(out, RANK, 1, 1), numbers(RANK, RANK, *kernel), numbers(RANK, inner, 1, 1)
    delta = np.zeros(tuple(weight.shape))
    for n in range(RANK):
        for m in range(RANK):
            outer = np.outer(array(up)[:, n, 0, 0], array(down)[m, :, 0, 0])
            delta += outer[:, :, None, None] * array(mid)[n, m][None, None]
    roles = {"lora_up.weight": up, "lora_mid.weight": mid, "lora_down.weight": down, "alpha": _alpha()}
    return Made(roles, _added(weight, delta, ALPHA / RANK))


def lora_and_rest(weight: Tensor) -> Made:
    """A factorisation with what it left over, as LyCORIS extracts it: a few single numbers."""
    made = lora(weight)
    out, inner = _flat(weight)
    where = torch.tensor([[0, out - 1, 1], [1, 0, inner - 1]])
    values = numbers(3)
    rest = np.zeros((out, inner))
    rest[where[0].numpy(), where[1].numpy()] = array(values)
    roles = made.roles | {"bias_indices": where, "bias_values": values, "bias_size": torch.tensor([out, inner])}
    whole, scaled = array(weight), rest.reshape(weight.shape) * (ALPHA / RANK)
    return Made(roles, lambda strength: made.weight(strength) + strength * scaled + 0 * whole)


def loha(weight: Tensor) -> Made:
    out, inner = _flat(weight)
    a1, b1, a2, b2 = numbers(out, RANK), numbers(RANK, inner), numbers(out, RANK), numbers(RANK, inner)
    delta = (array(a1) @ array(b1)) * (array(a2) @ array(b2))
    roles = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2, "alpha": _alpha()}
    return Made(roles, _added(weight, delta, ALPHA / RANK))


def _tucker(core: Tensor, a: Tensor, b: Tensor) -> Array:
    whole = np.zeros((a.shape[1], b.shape[1], *core.shape[2:]))
    for i in range(core.shape[0]):
        for j in range(core.shape[1]):
            whole += np.outer(array(a)[i], array(b)[j])[:, :, None, None] * array(core)[i, j][None, None]
    return whole


def loha_tucker(weight: Tensor) -> Made:
    out, inner, *kernel = weight.shape
    cores = [numbers(RANK, RANK, *kernel) for _ in range(2)]
    a, b = [numbers(RANK, out) for _ in range(2)], [numbers(RANK, inner) for _ in range(2)]
    delta = _tucker(cores[0], a[0], b[0]) * _tucker(cores[1], a[1], b[1])
    roles = {f"hada_t{i + 1}": cores[i] for i in range(2)} | {"alpha": _alpha()}
    roles |= {f"hada_w{i + 1}_a": a[i] for i in range(2)} | {f"hada_w{i + 1}_b": b[i] for i in range(2)}
    return Made(roles, _added(weight, delta, ALPHA / RANK))


def _kron(first: Array, second: Array) -> Array:
    """Kronecker's product, entry by entry; `second` may have a kernel."""
    (a, c), (b, d) = first.shape, second.shape[:2]
    whole = np.zeros((a * b, c * d, *second.shape[2:]))
    for i in range(a):
        for j in range(c):
            whole[i * b : (i + 1) * b, j * d : (j + 1) * d] = first[i, j] * second
    return whole


def lokr(weight: Tensor) -> Made:
    """The first factor whole, the second of low rank, flattened over the kernel."""
    out, inner = weight.shape[:2]
    kernel = tuple(weight.shape[2:])
    size = int(np.prod(kernel, initial=1))
    w1, a, b = numbers(4, 2), numbers(out // 4, RANK), numbers(RANK, inner // 2 * size)
    second = (array(a) @ array(b)).reshape(out // 4, inner // 2, *kernel)
    roles = {"lokr_w1": w1, "lokr_w2_a": a, "lokr_w2_b": b, "alpha": _alpha()}
    return Made(roles, _added(weight, _kron(array(w1), second), ALPHA / RANK))


def lokr_whole(weight: Tensor) -> Made:
    out, inner, *kernel = weight.shape
    w1, w2 = numbers(4, 2), numbers(out // 4, inner // 2, *kernel)
    roles = {"lokr_w1": w1, "lokr_w2": w2, "alpha": _alpha()}
    return Made(roles, _added(weight, _kron(array(w1), array(w2))))  # alpha of two whole factors says nothing


def lokr_both(weight: Tensor) -> Made:
    out, inner = weight.shape
    a1, b1, a2, b2 = numbers(4, RANK), numbers(RANK, 2), numbers(out // 4, RANK), numbers(RANK, inner // 2)
    delta = _kron(array(a1) @ array(b1), array(a2) @ array(b2))
    roles = {"lokr_w1_a": a1, "lokr_w1_b": b1, "lokr_w2_a": a2, "lokr_w2_b": b2, "alpha": _alpha()}
    return Made(roles, _added(weight, delta, ALPHA / RANK))


def lokr_tucker(weight: Tensor) -> Made:
    out, inner, *kernel = weight.shape
    w1, core = numbers(4, 2), numbers(RANK, RANK, *kernel)
    a, b = numbers(RANK, out // 4), numbers(RANK, inner // 2)
    roles = {"lokr_w1": w1, "lokr_t2": core, "lokr_w2_a": a, "lokr_w2_b": b, "alpha": _alpha()}
    return Made(roles, _added(weight, _kron(array(w1), _tucker(core, a, b)), ALPHA / RANK))


def ia3_input(weight: Tensor) -> Made:
    shape = (1, weight.shape[1], *(1 for _ in weight.shape[2:])) if weight.ndim == 4 else (weight.shape[1],)
    factors = numbers(*shape)
    along = array(factors).reshape(1, -1, *(1 for _ in weight.shape[2:]))
    return Made({"weight": factors, "on_input": torch.tensor(1)}, _added(weight, array(weight) * along))


def ia3_output(weight: Tensor) -> Made:
    shape = (1, weight.shape[0], *(1 for _ in weight.shape[2:])) if weight.ndim == 4 else (weight.shape[0],)
    factors = numbers(*shape)
    along = array(factors).reshape(-1, *(1 for _ in weight.shape[1:]))
    return Made({"weight": factors, "on_input": torch.tensor(0)}, _added(weight, array(weight) * along))


def ia3_peft(weight: Tensor) -> Made:
    factors = 1 + numbers(weight.shape[0], 1)
    return Made({"ia3_l": factors}, _added(weight, array(weight) * (array(factors) - 1)))


def glora(weight: Tensor) -> Made:
    out, inner = weight.shape[:2]
    a1, a2 = numbers(inner, RANK), numbers(RANK, inner)
    b1, b2 = numbers(out, RANK), numbers(RANK, weight[0].numel())
    turned = np.einsum("oi...,ij->oj...", array(weight), array(a1) @ array(a2))
    delta = turned + (array(b1) @ array(b2)).reshape(weight.shape)
    ones = tuple(1 for _ in weight.shape[2:])
    roles = {
        "a1.weight": a1.reshape(*a1.shape, *ones),
        "a2.weight": a2.reshape(*a2.shape, *ones),
        "b1.weight": b1.reshape(*b1.shape, *ones),
        "b2.weight": b2.reshape(RANK, *weight.shape[1:]),
        "alpha": _alpha(),
    }
    return Made(roles, _added(weight, delta, ALPHA / RANK))


def glora_old(weight: Tensor) -> Made:
    """As LyCORIS stored it first: both pairs the other way round."""
    made = glora(weight)
    swap = {"a1": "a2", "a2": "a1", "b1": "b2", "b2": "b1"}
    return Made(
        {swap.get(name[:2], name[:2]) + name[2:]: t for name, t in made.roles.items() if name != "alpha"}
        | {"alpha": _alpha()},
        made.weight,
    )


def _rotation(block: Array) -> Array:
    skew = block - block.T
    one = np.eye(len(block))
    return (one + skew) @ np.linalg.inv(one - skew)


def _turned(weight: Tensor, rotation: Array) -> Callable[[float], Array]:
    rows = array(weight).reshape(weight.shape[0], -1)
    return _added(weight, rotation @ rows - rows)


def oft(weight: Tensor) -> Made:
    """kohya's and LyCORIS': blocks along the diagonal; rows are turned by the transpose."""
    out, count = weight.shape[0], 4
    blocks = numbers(count, out // count, out // count, scale=0.1)
    whole = np.zeros((out, out))
    for each in range(count):
        at = slice(each * out // count, (each + 1) * out // count)
        whole[at, at] = _rotation(array(blocks[each])).T
    return Made({"oft_blocks": blocks, "alpha": torch.tensor(0.0)}, _turned(weight, whole))


def oft_constrained(weight: Tensor) -> Made:
    out, count = weight.shape[0], 4
    blocks = numbers(count, out // count, out // count, scale=0.5)
    skew = array(blocks) - array(blocks).transpose(0, 2, 1)
    limit = 0.01 * out
    shrink = limit / np.sqrt((skew**2).sum())
    assert shrink < 1
    whole = np.zeros((out, out))
    for each in range(count):
        at = slice(each * out // count, (each + 1) * out // count)
        whole[at, at] = _rotation(array(blocks[each]) * shrink).T
    return Made({"oft_blocks": blocks, "alpha": torch.tensor(0.01)}, _turned(weight, whole))


def oft_diag(weight: Tensor) -> Made:
    """LyCORIS' first: the rotations themselves."""
    out, count = weight.shape[0], 2
    blocks = torch.stack([torch.linalg.qr(torch.randn(out // count, out // count))[0] for _ in range(count)])
    whole = np.zeros((out, out))
    for each in range(count):
        at = slice(each * out // count, (each + 1) * out // count)
        whole[at, at] = array(blocks[each]).T
    return Made({"oft_diag": blocks}, _turned(weight, whole))


def boft(weight: Tensor) -> Made:
    """A product of butterflies, as dense matrices: mix neighbours at a distance, turn, put them back; then rescale."""
    out, size, steps = weight.shape[0], 4, 3
    blocks = numbers(steps, out // size, size, size, scale=0.2)
    rescale = 1 + numbers(out, *(1 for _ in weight.shape[1:]), scale=0.1)
    whole = np.eye(out)
    for step in range(steps):
        stride = 2**step * (size // 2)
        mixed = np.arange(out).reshape(-1, 2, stride).transpose(0, 2, 1).reshape(-1)  # c g k -> c k g
        mix = np.eye(out)[mixed]
        turn = np.zeros((out, out))
        for each in range(out // size):
            at = slice(each * size, (each + 1) * size)
            turn[at, at] = _rotation(array(blocks[step, each]))
        whole = mix.T @ turn @ mix @ whole
    whole = array(rescale).reshape(-1, 1) * whole
    return Made({"oft_blocks": blocks, "rescale": rescale, "alpha": torch.tensor(0.0)}, _turned(weight, whole))


def difference(weight: Tensor) -> Made:
    delta, bias = numbers(*weight.shape), numbers(weight.shape[0])
    made = _added(weight, array(delta))
    return Made({"diff": delta, "diff_b": bias}, made, lambda strength: strength * array(bias))


def norm(weight: Tensor) -> Made:
    delta, bias = numbers(*weight.shape), numbers(*weight.shape)
    return Made(
        {"w_norm": delta, "b_norm": bias}, _added(weight, array(delta)), lambda strength: strength * array(bias)
    )


def _dora(weight: Tensor, axis: int) -> Made:
    plain = lora(weight)
    whole = plain.weight(1.0)
    shape = [1] * weight.ndim
    shape[axis] = weight.shape[axis]
    magnitude = 1 + numbers(*shape, scale=0.2)
    others = tuple(each for each in range(weight.ndim) if each != axis)
    length = np.sqrt((whole**2).sum(axis=others, keepdims=True))
    return Made(
        plain.roles | {"dora_scale": magnitude},
        _added(weight, array(magnitude) * whole / length - array(weight)),
    )


def dora_output(weight: Tensor) -> Made:
    return _dora(weight, 0)


def dora_input(weight: Tensor) -> Made:
    return _dora(weight, 1)


Make = Callable[[Tensor], Made]
MATRIX: Mapping[str, Make] = MappingProxyType(
    {
        make.__name__: make
        for make in (
            *(lora, lora_without_alpha, lora_and_rest, loha, lokr, lokr_whole, lokr_both),
            *(ia3_input, ia3_output, ia3_peft, glora, glora_old, oft, oft_constrained, oft_diag, boft),
            *(difference, dora_output, dora_input),
        )
    }
)
KERNEL: Mapping[str, Make] = MappingProxyType(
    {
        make.__name__: make
        for make in (
            *(lora, lora_without_alpha, lora_and_rest, locon_tucker, loha, loha_tucker, lokr, lokr_whole, lokr_tucker),
            *(ia3_input, ia3_output, glora, oft, boft, difference, dora_output, dora_input),
        )
    }
)


def kohya(part: str, path: str) -> str:
    """Return the name kohya's trainer gives a module: "lora_unet_down_blocks_0_…"."""
    prefix = {
        "unet": "lora_unet",
        "text_encoder": "lora_te",
        "text_encoder_1": "lora_te1",
        "text_encoder_2": "lora_te2",
    }
    return f"{prefix[part]}_{path}".replace(".", "_")


def layers_of(network: nn.Module, *kinds: type[nn.Module]) -> dict[str, Any]:
    """Return the modules of some kinds (else linear ones and convolutions) by path."""
    wanted = kinds or (nn.Linear, nn.Conv2d)
    return {path: module for path, module in network.named_modules() if isinstance(module, wanted)}
