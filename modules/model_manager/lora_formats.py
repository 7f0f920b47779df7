"""What each format of a LoRA file does to a weight W, in float32.

`roles` are the tensors of one layer by role, as `lora_keys` names them. What comes back is what is added to W at
strength 1; IA3, GLoRA, OFT and DoRA need W itself for that. Sources: LoRA (Hu et al. 2021), LoHa and LoKr (Yeh et al.
2023, LyCORIS), DoRA (Liu et al. 2024), IA3 (Liu et al. 2022), GLoRA (Chavan et al. 2023), OFT (Qiu et al. 2023), BOFT
(Liu et al. 2023).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

Roles = Mapping[str, Tensor]


def low_rank(roles: Roles, dim: int | None = None) -> tuple[Tensor, Tensor, float] | None:
    """Return (up, down, scale), whose product is the change; None when it is more than that.

    `up` is (outputs, rank), `down` (rank, inputs * kernel); only the first `dim` ranks count, if given.
    """
    if not roles.keys() <= {"up", "down", "alpha", "scale"} or "up" not in roles or "down" not in roles:
        return None
    up, down = _matrix(roles["up"]), _matrix(roles["down"])
    return up[:, :dim], down[:dim], _scale(roles, down.shape[0])


def change(roles: Roles, weight: Tensor, dim: int | None = None) -> Tensor | None:
    """Return what is added to `weight` at strength 1, in its shape; None when `roles` say nothing about it.

    Raises `ValueError` or `RuntimeError` when the shapes do not fit.
    """
    found = _change(roles, weight, dim)
    if found is None:
        return None
    found = _fitted(found, weight)
    if "bias_indices" in roles and "bias_values" in roles:  # what a factorisation left over
        found = found + _sparse(roles, weight) * _scale(roles, _rank(roles))
    return _decomposed(found, weight, roles["dora_scale"]) if "dora_scale" in roles else found


def bias_change(roles: Roles) -> Tensor | None:
    """Return what is added to the layer's bias at strength 1, or None."""
    for role in ("diff_b", "b_norm"):
        if role in roles:
            return roles[role]
    return roles["up_bias"] * _scale(roles, _rank(roles)) if "up_bias" in roles else None


def _change(roles: Roles, weight: Tensor, dim: int | None) -> Tensor | None:
    if "up" in roles and "down" in roles:
        return _lora(roles, weight, dim)
    if "hada_w1_a" in roles:
        return _loha(roles, weight)
    if any(role.startswith("lokr_w") for role in roles):
        return _lokr(roles, weight)
    if "a1" in roles and "b1" in roles:
        return _glora(roles, weight)
    if "ia3" in roles or "ia3_l" in roles:
        return _ia3(roles, weight)
    if "oft_blocks" in roles or "oft_diag" in roles:
        return _oft(roles, weight)
    return roles.get("diff", roles.get("w_norm"))


def _lora(roles: Roles, weight: Tensor, dim: int | None) -> Tensor:
    up, down = _matrix(roles["up"]), _matrix(roles["down"])
    _check(weight, up.shape[0], down.shape[1], *roles["mid"].shape[2:] if "mid" in roles else ())
    scale = _scale(roles, down.shape[0])
    if "mid" in roles:
        return scale * torch.einsum("n m ..., i n, m j -> i j ...", roles["mid"], up, down)
    return ((scale * up[:, :dim]) @ down[:dim]).reshape(up.shape[0], *roles["down"].shape[1:])


def _loha(roles: Roles, weight: Tensor) -> Tensor:
    for i in (1, 2):
        core, a, b = roles.get(f"hada_t{i}"), roles[f"hada_w{i}_a"], _matrix(roles[f"hada_w{i}_b"])
        _check(weight, a.shape[0 if core is None else 1], b.shape[1], *() if core is None else core.shape[2:])
    first, second = (
        _tucker(roles[f"hada_t{i}"], roles[f"hada_w{i}_a"], roles[f"hada_w{i}_b"])
        if f"hada_t{i}" in roles
        else roles[f"hada_w{i}_a"] @ _matrix(roles[f"hada_w{i}_b"])
        for i in (1, 2)
    )
    return _scale(roles, roles["hada_w1_b"].shape[0]) * first * second


def _lokr(roles: Roles, weight: Tensor) -> Tensor:
    first, second = _factor(roles, 1, weight), _factor(roles, 2, weight)
    _check(weight, first.numel(), second.numel())
    first = first.reshape(*first.shape, *(1 for _ in range(second.ndim - first.ndim)))
    return _scale(roles, _rank(roles)) * torch.kron(first, second.contiguous())


def _factor(roles: Roles, number: int, weight: Tensor) -> Tensor:
    """Return one factor of Kronecker's product: whole, or made of two or three."""
    whole = roles.get(f"lokr_w{number}")
    if whole is not None:
        return whole
    core, a, b = roles.get(f"lokr_t{number}"), roles[f"lokr_w{number}_a"], _matrix(roles[f"lokr_w{number}_b"])
    _check(weight, a.shape[0 if core is None else 1], b.shape[1], *() if core is None else core.shape[2:])
    return a @ b if core is None else _tucker(core, a, b)


def _glora(roles: Roles, weight: Tensor) -> Tensor:
    """Return W A + B; LyCORIS once stored A and B the other way round, which their shapes tell."""
    a1, a2, b1, b2 = (_matrix(roles[role]) for role in ("a1", "a2", "b1", "b2"))
    now = a1.shape[1] == a2.shape[0] == b1.shape[1] == b2.shape[0] and a1.shape[0] == a2.shape[1]
    once = a1.shape[0] == a2.shape[1] == b1.shape[0] == b2.shape[1] and b2.shape[0] == weight.shape[0]
    if not now and once:
        a1, a2, b1, b2 = a2, a1, b2, b1
    rank = a1.shape[1]
    _check(weight, b1.shape[0], b2.shape[1], *roles["bm"].shape[2:] if "bm" in roles else ())
    added = torch.einsum("n m ..., i n, m j -> i j ...", roles["bm"], b1, b2) if "bm" in roles else b1 @ b2
    turned = torch.einsum("o i ..., i r, r j -> o j ...", weight, a1, a2)
    return _scale(roles, rank) * (turned + added.reshape(weight.shape))


def _ia3(roles: Roles, weight: Tensor) -> Tensor:
    factors = roles["ia3"] if "ia3" in roles else roles["ia3_l"] - 1
    on_input = bool(roles["on_input"]) if "on_input" in roles else factors.ndim > 1 and factors.shape[0] == 1
    shape = [1] * weight.ndim
    shape[1 if on_input else 0] = factors.numel()
    return weight * factors.reshape(shape)


def _oft(roles: Roles, weight: Tensor) -> Tensor:
    """Return R W - W for an orthogonal R: blocks along the diagonal, or (4-D) a product of butterflies."""
    blocks = roles.get("oft_diag", roles.get("oft_blocks", weight))
    if blocks.ndim not in (3, 4) or blocks.shape[-3] * blocks.shape[-1] != weight.shape[0]:
        raise ValueError(f"{tuple(blocks.shape)} does not turn {weight.shape[0]} outputs")
    if "oft_diag" in roles:
        rotation = blocks
    else:
        rotation = _cayley(blocks, float(roles.get("alpha", torch.tensor(0.0))) * weight.shape[0])
    turned = _butterfly(rotation, weight) if rotation.ndim == 4 else _blocks(rotation, weight)
    if "rescale" in roles:
        turned = turned * roles["rescale"].reshape(-1, *(1 for _ in range(weight.ndim - 1)))
    return turned - weight


def _cayley(blocks: Tensor, constraint: float) -> Tensor:
    """Return orthogonal matrices (..., n, n) for any: (I + Q)(I - Q)^-1 of their skew-symmetric part Q."""
    skew = blocks - blocks.transpose(-1, -2)
    if constraint > 0:
        norm = float(skew.norm()) + 1e-8
        skew = skew * min(1.0, constraint / norm)
    one = torch.eye(blocks.shape[-1], device=blocks.device)
    inverse: Tensor = torch.linalg.inv(one - skew)
    return (one + skew) @ inverse


def _blocks(rotation: Tensor, weight: Tensor) -> Tensor:
    count, size, _ = rotation.shape
    rows = weight.reshape(count, size, -1)
    return torch.einsum("k n m, k n p -> k m p", rotation, rows).reshape(weight.shape)


def _butterfly(rotations: Tensor, weight: Tensor) -> Tensor:
    size = rotations.shape[-1]
    rows = weight.reshape(weight.shape[0], -1)
    for step, rotation in enumerate(rotations):
        stride = 2**step * (size // 2)
        mixed = rows.reshape(-1, 2, stride, rows.shape[-1]).transpose(1, 2).reshape(-1, size, rows.shape[-1])
        mixed = torch.einsum("b i j, b j p -> b i p", rotation, mixed)
        rows = mixed.reshape(-1, stride, 2, rows.shape[-1]).transpose(1, 2).reshape(rows.shape)
    return rows.reshape(weight.shape)


def _decomposed(added: Tensor, weight: Tensor, magnitude: Tensor) -> Tensor:
    """Return what DoRA adds: W + `added` brought to `magnitude` along each output, or along each input."""
    whole = weight + added
    by_output = magnitude.ndim == 1 or magnitude.shape[0] == weight.shape[0]
    axis = 0 if by_output else 1
    others = [each for each in range(weight.ndim) if each != axis]
    shape = [-1 if each == axis else 1 for each in range(weight.ndim)]
    norm: Tensor = torch.linalg.vector_norm(whole, dim=others, keepdim=True) + torch.finfo(whole.dtype).eps
    return whole * (magnitude.reshape(shape) / norm) - weight


def _fitted(added: Tensor, weight: Tensor) -> Tensor:
    """Return `added` in the shape of `weight`.

    A change of a network with fewer input channels leaves the further ones of an inpainting model as they are.
    """
    missing = weight.shape[1] - added.shape[1] if added.ndim == weight.ndim == 4 else 0
    if missing > 0 and added.shape[0] == weight.shape[0] and added.shape[2:] == weight.shape[2:]:
        return torch.nn.functional.pad(added, (0, 0, 0, 0, 0, missing))
    return added.reshape(weight.shape)


def _tucker(core: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return sum over i, j of core[i, j] * a[i, :] * b[j, :]: (outputs, inputs, *kernel)."""
    return torch.einsum("i j ..., i p, j r -> p r ...", core, a, b)


def _sparse(roles: Roles, like: Tensor) -> Tensor:
    """Return a few numbers at their places in a matrix like `like`, 0 elsewhere; places outside of it are an error."""
    whole = torch.zeros_like(like).reshape(like.shape[0], -1)
    rows, columns = roles["bias_indices"].long()
    return whole.index_put((rows, columns), roles["bias_values"].to(whole), accumulate=True).reshape(like.shape)


def _rank(roles: Roles) -> int | None:
    """Return the rank of the factorisation, which alpha is measured by; None when nothing is factorised."""
    for role in ("down", "hada_w1_b", "lokr_w2_b", "lokr_w1_b"):
        if role in roles:
            return int(roles[role].shape[0])
    return None


def _scale(roles: Roles, rank: int | None) -> float:
    """Return alpha / rank; 1 without alpha."""
    if "scale" in roles:
        return float(roles["scale"])
    if "alpha" not in roles or not rank:
        return 1.0
    alpha = float(roles["alpha"])
    return alpha / rank if math.isfinite(alpha) else 1.0


def _check(weight: Tensor, *sides: int) -> None:
    """Refuse factors whose product would be larger than the weight before it is made: files are not to be trusted."""
    if math.prod(sides) > weight.numel():
        raise ValueError(f"{sides} is more than {tuple(weight.shape)}")


def _matrix(tensor: Tensor) -> Tensor:
    return tensor.reshape(tensor.shape[0], -1)
