"""Batch norm that also trains on a batch of a single row, the last one of an epoch."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class BatchNorm1d(nn.BatchNorm1d):
    """torch's; a single row in training is normalised by the running statistics, for it has no variance."""

    def forward(self, rows: Tensor) -> Tensor:
        return (
            _by_running(self, rows)
            if self.training and rows.numel() == rows.shape[1]
            else super().forward(rows)
        )


class BatchNorm2d(nn.BatchNorm2d):
    """torch's; a single cell a map in training is normalised by the running statistics."""

    def forward(self, rows: Tensor) -> Tensor:
        return (
            _by_running(self, rows)
            if self.training and rows.numel() == rows.shape[1]
            else super().forward(rows)
        )


def _by_running(norm: nn.BatchNorm1d | nn.BatchNorm2d, rows: Tensor) -> Tensor:
    return functional.batch_norm(
        rows, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
    )
