"""The nearest pixel outside a hole, for every pixel."""

from __future__ import annotations

import torch
from torch import Tensor


def nearest_known(hole: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns [H, W] of the pixel outside the hole (bool [H, W]) that is nearest to each; its own where it is outside.

    Jump flooding (Rong & Tan 2006) with one more round at distance 1: exact but for single pixels between far corners.
    """
    height, width = hole.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    far = 4 * (height + width)
    best_rows, best_columns = torch.where(hole, -far, rows), torch.where(hole, -far, columns)
    best = (best_rows - rows) ** 2 + (best_columns - columns) ** 2
    jump = 1 << max(0, (max(height, width) - 1).bit_length() - 1)
    while jump:
        for down in (-jump, 0, jump):
            for right in (-jump, 0, jump):
                if down == right == 0:
                    continue
                at = ((rows + down).clamp(0, height - 1), (columns + right).clamp(0, width - 1))
                their_rows, their_columns = best_rows[at], best_columns[at]
                distance = (their_rows - rows) ** 2 + (their_columns - columns) ** 2
                closer = distance < best
                best = torch.where(closer, distance, best)
                best_rows = torch.where(closer, their_rows, best_rows)
                best_columns = torch.where(closer, their_columns, best_columns)
        jump //= 2
    return best_rows.clamp(0, height - 1), best_columns.clamp(0, width - 1)
