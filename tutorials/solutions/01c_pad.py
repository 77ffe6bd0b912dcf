"""Padding: rows of one length, and the mask that remembers it.

A tensor is a rectangle, and texts have different lengths. Short rows are filled up with pad_id to
the length S of the longest, and a mask tells the model what to leave out:

    attention_mask[b, s] = 1 where a token of row b stands, 0 where padding stands

Padding goes to the right of a row, or to its left. Take the mask from the lengths, not from the
ids: pad_id can be a token of a text as well, and then it is real. The lists that are given must not
be changed.

Arguments: rows, B >= 1 lists of ids, any of them empty; side, "right" or "left".
The result is input_ids and attention_mask, both (B, S) and int64.
Source: Devlin et al. 2018, arXiv 1810.04805 (its code); minidistil/tokenization/rows.py.
"""

import torch


def pad(
    rows: list[list[int]], pad_id: int = 0, side: str = "right"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Make one batch of rows: input_ids and attention_mask."""
    ids, mask = [], []
    # answer
    longest = max(len(row) for row in rows)
    for row in rows:
        fill = longest - len(row)
        before, after = (0, fill) if side == "right" else (fill, 0)
        ids.append([pad_id] * before + row + [pad_id] * after)
        mask.append([0] * before + [1] * len(row) + [0] * after)
    # end
    return torch.tensor(ids, dtype=torch.int64), torch.tensor(mask, dtype=torch.int64)
