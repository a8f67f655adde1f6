"""Checks of what every loop must hold to, for the user's own step.

`certify` runs the properties of `property` in the cases of `case`, and prints a report. Each property is
checked by running the loop as a user would, so it knows nothing of how a loop is compiled.
"""

from minigrad.kernels.certificate.case import Case as Case
from minigrad.kernels.certificate.certify import certify as certify
from minigrad.kernels.certificate.report import Certificate as Certificate
from minigrad.kernels.certificate.report import CertificateError as CertificateError
