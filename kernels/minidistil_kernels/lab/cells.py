"""Notes beside memory: one cell for every element that a launch can reach.

`meter.py` ticks the cells a kernel touches and counts them; `memory.py` writes down which program
touched them. Arguments that share a storage (views, one tensor passed twice) share its cells.

Not here: memory that no argument owns.
"""

import numpy as np

from minidistil_kernels.lab.events import Access, Kind, Launch


class Block:
    """The cells of one storage, one layer of them for each kind of access; all 0 at first.

    Attributes:
        unit: Bytes a cell stands for: the smallest element of the arguments in this storage, and 1
            once an access was narrower (through a pointer cast to a smaller type).
    """

    def __init__(self, bytes_in_storage: int, unit: int, dtype: type) -> None:
        self.unit = unit
        self.layers: dict[Kind, np.ndarray] = {}
        self._bytes = bytes_in_storage
        self._dtype = dtype

    def layer(self, kind: Kind) -> np.ndarray:
        """The cells of one kind of access, made when first asked for."""
        if kind not in self.layers:
            # The operating system hands out zeroed pages when they are touched: a large storage
            # of which a kernel reads little costs little.
            self.layers[kind] = np.zeros(-(-self._bytes // self.unit), self._dtype)
        return self.layers[kind]

    def split(self) -> None:
        """Make a cell of every byte, with the notes of the cell that it was part of."""
        self.layers = {kind: np.repeat(cells, self.unit) for kind, cells in self.layers.items()}
        self.unit = 1


class Cells:
    """The cells of one launch, each a `dtype`."""

    def __init__(self, launch: Launch, dtype: type) -> None:
        units: dict[int, int] = {}
        storages = [argument.tensor.untyped_storage() for argument in launch.arguments]
        for argument, storage in zip(launch.arguments, storages, strict=True):
            size = argument.tensor.element_size()
            units[storage.data_ptr()] = min(units.get(storage.data_ptr(), size), size)
        blocks = {
            storage.data_ptr(): Block(storage.nbytes(), units[storage.data_ptr()], dtype)
            for storage in storages
        }
        self.blocks = list(blocks.values())
        self._places = {
            argument: (
                blocks[storage.data_ptr()],
                argument.tensor.data_ptr() - storage.data_ptr(),
            )
            for argument, storage in zip(launch.arguments, storages, strict=True)
        }

    def at(self, access: Access) -> tuple[Block, np.ndarray]:
        """The block of an access that is in bounds, and its cells there, lane by lane."""
        assert access.argument is not None
        block, start = self._places[access.argument]
        if access.size < block.unit:
            block.split()
        index = (access.offsets + start) // block.unit
        if access.size > block.unit:
            index = (index[:, None] + np.arange(access.size // block.unit)).reshape(-1)
        return block, index
