"""minigrad.kernels: turns a step function into a loop. It uses the engine and knows no layer."""

if __name__ != "minigrad.kernels":
    raise ImportError(
        f"the folder kernels/ is the package 'minigrad.kernels' and was imported as {__name__!r}: "
        "write 'from minigrad import kernels' (install minigrad first: pip install -e .)"
    )

from typing import TYPE_CHECKING, Any

from minigrad.kernels.cell import CellFunction as CellFunction
from minigrad.kernels.cell import cell as cell
from minigrad.kernels.explain import explain as explain
from minigrad.kernels.frontend.gates import Affine as Affine
from minigrad.kernels.scan import scan as scan

if TYPE_CHECKING:
    from minigrad.kernels.certificate import Case as Case
    from minigrad.kernels.certificate import Certificate as Certificate
    from minigrad.kernels.certificate import CertificateError as CertificateError
    from minigrad.kernels.certificate import certify as certify


def __getattr__(name: str) -> Any:
    if name in ("Case", "Certificate", "CertificateError", "certify"):  # used in tests only
        from minigrad.kernels import certificate

        return getattr(certificate, name)
    raise AttributeError(f"module 'minigrad.kernels' has no attribute {name!r}")
