"""Feature-wise linear modulation (Perez et al. 2018)."""

from __future__ import annotations

from torch import Tensor, nn


class Film(nn.Module):
    """``(1 + gamma) x + beta`` with gamma and beta computed from the style.

    Both are initialized to 0, so that features initially pass unchanged.
    """

    def __init__(self, style_dim: int, dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(style_dim, 2 * dim)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Features ``(B, L, dim)`` under a style ``(B, style_dim)``."""
        gamma, beta = self.project(style).unsqueeze(1).chunk(2, dim=-1)
        return (1 + gamma) * x + beta
