"""Fit the polynomials of kernels/cpu/simd/polynomials.py and print them.

    .venv/bin/python scripts/fit_polynomials.py > kernels/cpu/simd/polynomials.py

Each is the best one in the sense of Chebyshev: Remez' exchange in 50-digit arithmetic finds the
coefficients whose largest weighted error is as small as it can be, and that error is printed beside
them. The coefficients are then rounded to the type that they are used in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal as D
from decimal import getcontext

getcontext().prec = 50
Function = Callable[[D], D]
PI = D("3.14159265358979323846264338327950288419716939937510")
LN2 = D(2).ln()
GRID = 600


def solved(rows: Sequence[Sequence[D]]) -> list[D]:
    """Solve the linear equations whose rows end with their right side."""
    a = [list(row) for row in rows]
    n = len(a)
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(a[r][i]))
        a[i], a[pivot] = a[pivot], a[i]
        for r in range(n):
            if r != i:
                factor = a[r][i] / a[i][i]
                a[r] = [x - factor * y for x, y in zip(a[r], a[i], strict=True)]
    return [a[i][n] / a[i][i] for i in range(n)]


def cosine(x: D) -> D:
    """Return cos(x) by its series."""
    term = total = D(1)
    k = 0
    while abs(term) > D(10) ** -49:
        k += 2
        term *= -x * x / (k * (k - 1))
        total += term
    return total


def extremes(error: Function, low: D, high: D, count: int) -> list[D]:
    """Return ``count`` points where the error is largest, of alternating sign."""
    points = [low + (high - low) * (1 - cosine(PI * k / GRID)) / 2 for k in range(GRID + 1)]
    best: list[tuple[D, D]] = []
    for x in points:
        e = error(x)
        if best and (e > 0) == (best[-1][1] > 0):
            if abs(e) > abs(best[-1][1]):
                best[-1] = (x, e)
        else:
            best.append((x, e))
    while len(best) > count:
        del best[0 if abs(best[0][1]) < abs(best[-1][1]) else -1]
    if len(best) < count:
        raise ArithmeticError(f"the error has {len(best)} extremes where {count} were expected")
    return [x for x, _ in best]


def polynomial(f: Function, weight: Function, low: D, high: D, degree: int) -> tuple[list[D], D]:
    """Return coefficients, lowest power first, and the largest weighted error."""
    count = degree + 2
    points = [
        low + (high - low) * (1 - cosine(PI * k / (count - 1))) / 2 * D("0.998") + D("1e-9")
        for k in range(count)
    ]
    c: list[D] = []
    for _ in range(6):
        *c, level = solved(
            [
                [*(x**k for k in range(degree + 1)), (-1) ** i / weight(x), f(x)]
                for i, x in enumerate(points)
            ]
        )
        points = extremes(lambda x, c=c: (value(c, x) - f(x)) * weight(x), low, high, count)  # type: ignore[misc]
    return c, abs(level)


def value(coefficients: Sequence[D], x: D) -> D:
    """Return the polynomial at ``x``."""
    total = D(0)
    for c in reversed(coefficients):
        total = total * x + c
    return total


def expm1(x: D) -> D:
    """Return ``exp(x) - 1``."""
    return x.exp() - 1


def report(name: str, what: str, coefficients: Sequence[D], error: D) -> None:
    """Print one tuple of the generated file."""
    print(f"\n# {what}; relative error {error:.1e}")
    print(f"{name} = (")
    for c in coefficients:
        print(f"    {float(c)!r},")
    print(")")


def main() -> None:
    """Print the file."""
    print('"""Polynomials, lowest power first. Written by scripts/fit_polynomials.py."""')
    half = LN2 / 2 * D("1.001")
    tiny = D("1e-12")
    for bits, degree in ((32, 4), (64, 9)):
        c, error = polynomial(
            lambda x: (expm1(x) - x) / (x * x) if abs(x) > tiny else D("0.5"),
            lambda x: abs(x * x / expm1(x)) if abs(x) > tiny else tiny,
            -half, half, degree,
        )  # fmt: skip
        report(f"EXP_{bits}", "exp(x) = 1 + x + x**2 P(x), for abs(x) <= log(2) / 2", c, error)
    most = ((D(2).sqrt() - 1) / (D(2).sqrt() + 1)) ** 2 * D("1.001")
    for bits, degree in ((32, 2), (64, 6)):
        c, error = polynomial(
            lambda z: ((1 + z.sqrt()) / (1 - z.sqrt())).ln() / z.sqrt() / z - 2 / z,
            lambda z: z / 2,
            most / 10**6, most, degree,
        )  # fmt: skip
        report(
            f"LOG_{bits}",
            "log(1 + f) = 2 s + s**3 P(s**2), s = f / (2 + f), sqrt(1/2) < 1 + f < sqrt(2)",
            c,
            error,
        )


if __name__ == "__main__":
    main()
