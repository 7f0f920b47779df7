"""OpenCLIP's text encoder as it was published (Ilharco et al. 2021), to compare with."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, 1, batch_first=True)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 2 * width))
        self.mlp.add_module("gelu", nn.GELU())
        self.mlp.add_module("c_proj", nn.Linear(2 * width, width))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
        said: Tensor = x + self.mlp(self.ln_2(x))
        return said


class OpenClip(nn.Module):
    """Its weights have the names that SD 2 and SDXL files use."""

    def __init__(self, width: int, layers: int, projected: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(49408, width)
        self.positional_embedding = nn.Parameter(torch.randn(77, width) / 10)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(Block(width) for _ in range(layers))
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.randn(width, projected))
        for norm in (each for each in self.modules() if isinstance(each, nn.LayerNorm)):
            nn.init.normal_(norm.weight, 1, 0.3)
            nn.init.normal_(norm.bias, 0.2, 0.3)

    def layers(self, ids: Tensor) -> list[Tensor]:
        """Return what each layer says, the last one last."""
        x = self.token_embedding(ids) + self.positional_embedding
        mask = torch.full((77, 77), float("-inf")).triu(1)
        said = []
        for block in self.transformer.get_submodule("resblocks").children():
            x = block(x, mask)
            said.append(x)
        return said

    def whole(self, ids: Tensor) -> Tensor:
        """Return each text in one vector: at its end token, the highest id."""
        last = self.ln_final(self.layers(ids)[-1])
        pooled: Tensor = last[torch.arange(len(ids)), ids.argmax(-1)] @ self.text_projection
        return pooled


def ids_of(tokens: list[int]) -> Tensor:
    """Return the row OpenCLIP's tokenizer makes of `tokens`: begin, end, and zeros behind."""
    row = [49406, *tokens, 49407]
    return torch.tensor([[*row, *[0] * (77 - len(row))]])
