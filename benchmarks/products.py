"""Compare the packed products with NumPy's, on one thread: billions of operations in a second.

OPENBLAS_NUM_THREADS=1 python benchmarks/products.py
"""

import argparse
import time

import numpy as np
from numba import njit

from minigrad.kernels.cpu.gemm.pack import pack, packed_size
from minigrad.kernels.cpu.gemm.product import rows_product
from minigrad.kernels.cpu.gemm.weight_gradients import is_narrow, scratch_size, weight_gradient

# rows, common size, columns: a step of the time loop, and all steps at once
PRODUCTS = [
    (1, 128, 512), (4, 128, 512), (8, 64, 64), (8, 128, 512), (32, 128, 512),
    (32, 512, 2048), (10, 650, 2600), (4096, 64, 256), (4096, 512, 2048),
]  # fmt: skip
# rows to sum over, and the shape of the weights
GRADIENTS = [(4096, 64, 64), (4096, 512, 128), (4096, 2048, 512), (700, 2600, 650), (50176, 512, 1)]


@njit
def repeat(count, real, n, a, packed, K, M, c):
    """Call the product from compiled code, as the time loop does."""
    for _ in range(count):
        rows_product(real, n, a, K, packed, K, M, 0, 0, c, M)


def aligned(*shape, dtype):
    """Return random numbers that begin at a multiple of 64 bytes."""
    count = int(np.prod(shape))
    buffer = np.random.default_rng(0).normal(size=count + 64).astype(dtype)
    skipped = -buffer.ctypes.data % 64 // buffer.itemsize
    return buffer[skipped : skipped + count].reshape(shape)


def fastest(seconds, *functions):
    """Run the functions in turn; return the shortest time of each."""
    best = [np.inf] * len(functions)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for i, function in enumerate(functions):
            start = time.perf_counter()
            function()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def report(name, operations, times):
    ours, numpy = (operations / seconds / 1e9 for seconds in times)
    print(f"{name:32} {ours:8.0f} {numpy:8.0f} {ours / numpy:8.2f}")


def product(n, K, M, dtype, seconds):
    a, b, c = (aligned(*shape, dtype=dtype) for shape in [(n, K), (K, M), (n, M)])
    packed = aligned(packed_size(dtype, K, M), dtype=dtype)
    pack(dtype, K, M, b.ctypes.data, M, 1, packed.ctypes.data)
    count = max(1, 10**7 // (n * K * M))

    def ours():
        repeat(count, dtype, n, a.ctypes.data, packed.ctypes.data, K, M, c.ctypes.data)

    def numpy():
        for _ in range(count):
            np.matmul(a, b, out=c)

    ours()
    operations = 2 * n * K * M * count
    report(f"({n}, {K}) @ ({K}, {M})", operations, fastest(seconds, ours, numpy))


def gradient(R, Ma, Kb, dtype, seconds):
    a, b, c = (aligned(*shape, dtype=dtype) for shape in [(R, Ma), (R, Kb), (Ma, Kb)])
    found = aligned(*((Kb, Ma) if is_narrow(Kb) else (Ma, Kb)), dtype=dtype)
    scratch = aligned(scratch_size(dtype, Kb), dtype=dtype)
    sizes = (R, a.ctypes.data, Ma, Ma, b.ctypes.data, Kb, Kb, found.ctypes.data, 0)

    def ours():
        weight_gradient(dtype, 0, Ma, *sizes, scratch.ctypes.data)

    def numpy():
        np.matmul(a.T, b, out=c)

    ours()
    report(f"({R}, {Ma})^T @ ({R}, {Kb})", 2 * R * Ma * Kb, fastest(seconds, ours, numpy))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="for each line")
    seconds = parser.parse_args().seconds
    for dtype in (np.float32, np.float64):
        print(f"{dtype.__name__:32} {'ours':>8} {'NumPy':>8} {'ratio':>8}")
        for shape in PRODUCTS:
            product(*shape, dtype, seconds)
        for shape in GRADIENTS:
            gradient(*shape, dtype, seconds)


if __name__ == "__main__":
    main()
