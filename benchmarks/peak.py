"""The machine's floating-point peak: what our own microkernel reaches on a product in the caches."""

import threading
import time

import numpy as np
from numba import njit

from minigrad.kernels.cpu.gemm.pack import pack, packed_size
from minigrad.kernels.cpu.gemm.product import rows_product

ROWS, COMMON, COLUMNS = 48, 256, 96
REPEATS = 4000  # about 40 ms


@njit(nogil=True)
def _repeat(count, a, packed, c):
    for _ in range(count):
        rows_product(np.float32, ROWS, a, COMMON, packed, COMMON, COLUMNS, 0, 0, c, COLUMNS)


class Peak:
    """Multiplications and additions in a second, float32, on all threads at once."""

    def __init__(self, threads):
        shapes = (ROWS, COMMON), (COMMON, COLUMNS), (ROWS, COLUMNS)
        self.operands = [[_aligned(*shape) for shape in shapes] for _ in range(threads)]
        self.packed = [_aligned(packed_size(np.float32, COMMON, COLUMNS)) for _ in self.operands]
        for (_, b, _), packed in zip(self.operands, self.packed, strict=True):
            addresses = b.ctypes.data, COLUMNS, 1, packed.ctypes.data
            pack(np.float32, COMMON, COLUMNS, *addresses)
        self._seconds(1)  # compiles

    def measure(self):
        return 2 * ROWS * COMMON * COLUMNS * REPEATS * len(self.packed) / self._seconds(REPEATS)

    def _seconds(self, count):
        team = [
            threading.Thread(
                target=_repeat, args=(count, a.ctypes.data, packed.ctypes.data, c.ctypes.data)
            )
            for (a, _, c), packed in zip(self.operands, self.packed, strict=True)
        ]
        start = time.perf_counter()
        for thread in team:
            thread.start()
        for thread in team:
            thread.join()
        return time.perf_counter() - start


def _aligned(*shape):
    """Return random numbers that begin at a multiple of 64 bytes."""
    count = int(np.prod(shape))
    buffer = np.random.default_rng(0).normal(size=count + 16).astype(np.float32)
    skipped = -buffer.ctypes.data % 64 // buffer.itemsize
    return buffer[skipped : skipped + count].reshape(shape)
