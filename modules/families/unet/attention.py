"""Attention for U-Nets on a CPU, where torch's fused kernel gains nothing from bfloat16.

Plain matrix products do: they go through oneDNN. The scores are made for a slice of the queries at a time, so that
they stay in the cache and memory does not grow with the square of the picture.
"""

from __future__ import annotations

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor

SLICE = 2**22  # scores made at a time


class SlicedAttention:
    """An attention processor of diffusers (`AttnProcessor`): softmax(Q K^T / sqrt(d)) V, a slice of Q at a time."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Attend from `hidden_states` (B, L, C; or B, C, h, w) to `encoder_hidden_states` (B, K, D), or to itself."""
        residual = hidden_states
        picture = hidden_states.shape if hidden_states.ndim == 4 else None
        if picture is not None:
            hidden_states = hidden_states.flatten(2).transpose(1, 2)
        if attn.group_norm is not None:
            hidden_states = attn.group_norm(hidden_states.transpose(1, 2)).transpose(1, 2)
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states

        heads = attn.heads
        query, key, value = (
            each.reshape(*each.shape[:2], heads, -1).transpose(1, 2).flatten(0, 1)
            for each in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        found = _attend(query, key, value, attn.scale)
        found = found.reshape(-1, heads, *found.shape[1:]).transpose(1, 2).flatten(2)

        answer: Tensor = attn.to_out[0](found)
        if picture is not None:
            answer = answer.transpose(1, 2).reshape(picture)
        if attn.residual_connection:
            answer = answer + residual
        if attn.rescale_output_factor != 1:
            answer = answer / attn.rescale_output_factor
        return answer


def _attend(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Return the answers for (N, L, d) queries over (N, K, d) keys and values."""
    rows = max(64, SLICE // (key.shape[0] * key.shape[1]))
    turned = key.transpose(1, 2)
    blank = query.new_empty(())
    parts = [
        torch.bmm(torch.softmax(torch.baddbmm(blank, part, turned, beta=0, alpha=scale), dim=-1), value)
        for part in torch.split(query, rows, dim=1)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
