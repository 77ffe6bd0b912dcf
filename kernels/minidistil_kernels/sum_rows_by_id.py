r"""The gradient of an embedding table: the rows that were looked up, summed by their id.

    dtable[v] = sum of dt over the places whose id is v, 0 for v = padding_idx

Grid: one program for each of the N sorted ids and each BLOCK_D columns. Programs at the first of a
    run of equal ids sum the run, ROWS rows at a time, and write one row of the gradient; the
    others end at once. The order of a sum is therefore fixed. Atomic additions would arrive in any
    order.
Bytes, for N rows of D elements of e bytes, ids of i bytes: reads N*D*e for the rows, and for every
    BLOCK_D columns (2*N - 1)*i + 8*N, and 8 for each run; writes D*e for each run. Rows of the
    padding_idx are left out. Before that PyTorch sorts the ids and sets the whole gradient to 0,
    the larger part: V*D*e, 47 MB for 30,522 rows of 768 in half precision.

Source: the segmented sum of Blelloch 1990, CMU-CS-90-190, with a program for each segment.
Not here: its use (`embedding_layer_norm.py`); a sparse gradient.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from minidistil_kernels.inputs import on_device_of_first

# The tile in which runs are summed. Eight rows are loaded together, so that their waits for memory
# overlap; with one warp a thread owns 8 whole columns, and no two threads need to talk.
RUN_TILE = {"ROWS": 8, "BLOCK_D": 256, "num_warps": 1}


@triton.jit
def sum_runs_kernel(
    ids_ptr, order_ptr, ends_ptr, dt_ptr, dtable_ptr, LENGTH, D, padding_idx,
    ROWS: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """A run of equal ids, BLOCK_D columns: dtable[id] = sum of dt over the run.

    `ids` are sorted; order[i] is the row of dt that ids[i] belongs to; the run of ids[i] ends
    before ends[i].
    """
    first = tl.program_id(0)
    row = tl.load(ids_ptr + first).to(tl.int64)
    previous = tl.load(ids_ptr + first - 1, mask=first > 0, other=-1)
    if (row != previous) & (row != padding_idx) & (row >= 0) & (row < LENGTH):
        offs_d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
        end = tl.load(ends_ptr + first)
        acc = tl.zeros([BLOCK_D], tl.float32)
        for start in range(first, end, ROWS):
            offs_i = start + tl.arange(0, ROWS)
            n = tl.load(order_ptr + offs_i, mask=offs_i < end, other=0)
            keep = (offs_i[:, None] < end) & (offs_d[None, :] < D)
            dt = tl.load(dt_ptr + n[:, None] * D + offs_d[None, :], mask=keep, other=0.0)
            acc += tl.sum(dt.to(tl.float32), 0)
        dtable = acc.to(dtable_ptr.dtype.element_ty)
        tl.store(dtable_ptr + row * D + offs_d, dtable, mask=offs_d < D)


@torch.library.custom_op("minidistil::sum_rows_by_id", mutates_args=())
@on_device_of_first
def sum_rows_by_id(ids: Tensor, dt: Tensor, length: int, padding_idx: int) -> Tensor:
    """The gradient of a table of `length` rows, from the gradient `dt` of the rows looked up."""
    D = dt.shape[-1]
    dtable = dt.new_zeros((length, D))
    if dt.numel():
        ids, order = ids.flatten().sort(stable=True)
        # How many distinct ids there are is never asked: the answer would have to come from the
        # GPU before the launch. Each of the N places learns where its run ends instead.
        ends = torch.searchsorted(ids, ids, right=True)
        sum_runs_kernel[(len(ids), triton.cdiv(D, RUN_TILE["BLOCK_D"]))](
            ids, order, ends, dt, dtable, length, D, padding_idx, **RUN_TILE
        )
    return dtable


@sum_rows_by_id.register_fake
def _(ids: Tensor, dt: Tensor, length: int, padding_idx: int) -> Tensor:
    return dt.new_empty((length, dt.shape[-1]))
