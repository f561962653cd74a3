"""A module that is trained beside the generator, with its own optimizer and moving average."""

from __future__ import annotations

import copy
import logging
from typing import Any

import torch
from torch import Tensor, nn

from voiceclone.distributed import ProcessGroup

logger = logging.getLogger(__name__)
CLIP = 5.0  # maximum norm of the gradient


class SidePart:
    """A module, its optimizer and its exponential moving average.

    Args:
        module: what is trained; must support a deep copy.
        learning_rate: constant after ``warmup`` steps.
        half_life: half-life of the moving average, in steps.
    """

    def __init__(
        self,
        module: nn.Module,
        process_group: ProcessGroup,
        *,
        learning_rate: float,
        half_life: float = 200.0,
        warmup: int = 50,
        betas: tuple[float, float] = (0.9, 0.99),
    ) -> None:
        self.process_group, self.rate, self.half_life, self.warmup = process_group, learning_rate, half_life, warmup
        self.module = module.to(process_group.device)
        self.averaged = copy.deepcopy(self.module).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.module.parameters(), lr=learning_rate, betas=betas, weight_decay=1e-4)
        self.steps, self.left_out = 0, 0

    def update(self, loss: Tensor) -> bool:
        """One optimizer step on a scalar. Returns False, without a step, where loss or gradient is not finite."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        return self.apply_gradients()

    def apply_gradients(self, *, scale: float = 1.0) -> bool:
        """One optimizer step with the present gradients times ``scale``. Returns False where they are not finite."""
        self.process_group.all_reduce_gradients(self.module)
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), CLIP)
        finite = bool(torch.isfinite(norm))
        if finite:
            if scale != 1.0:
                for parameter in self.module.parameters():
                    if parameter.grad is not None:
                        parameter.grad.mul_(scale)
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate * min((self.steps + 1) / max(self.warmup, 1), 1.0)
            self.optimizer.step()
            self.steps += 1
            self._average()
        else:
            self.left_out += 1
            logger.warning("%s: the gradient is not finite, step skipped", type(self.module).__name__)
        self.optimizer.zero_grad(set_to_none=True)
        return finite

    def state(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {
            "module": self.module.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
            "left_out": self.left_out,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        self.module.load_state_dict(state["module"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps, self.left_out = state["steps"], state["left_out"]

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(0.5 ** (1.0 / self.half_life), self.steps / (9.0 + self.steps))
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.module.parameters()), 1.0 - decay)
        for mean, last in zip(self.averaged.buffers(), self.module.buffers(), strict=True):
            mean.copy_(last)
