"""What was found: a certificate that prints as a report."""

from __future__ import annotations

from dataclasses import dataclass

from minigrad.kernels.certificate.case import Case
from minigrad.kernels.certificate.subject import Subject


class CertificateError(AssertionError):
    """A loop does not have a property that it must have. The message is the certificate."""


@dataclass(frozen=True)
class Failure:
    """The smallest case that was found in which a property does not hold.

    Attributes
    ----------
    subject : Subject
    case : Case
    text : str
        What was different.
    """

    subject: Subject
    case: Case
    text: str

    def __str__(self) -> str:
        lines = [*self.text.splitlines(), f"certify({self.subject.written}, cases=[{self.case}])"]
        return "\n".join(f"    {line}" for line in lines)


@dataclass(frozen=True)
class Finding:
    """What was found about one property.

    Attributes
    ----------
    name : str
    cases : int
        In how many it was checked.
    largest : float
        The largest error in those where it holds.
    skipped : str
        Why it was not checked in any case, or an empty string.
    failure : Failure or None
    """

    name: str
    cases: int
    largest: float
    skipped: str
    failure: Failure | None

    def __str__(self) -> str:
        if self.failure is not None:
            return f"  {self.name:<40}FAILS\n{self.failure}"
        if not self.cases:
            return f"  {self.name:<40}not checked ({self.skipped or 'no cases'})"
        error = f"error {self.largest:.0e}" if self.largest else "exact"
        return f"  {self.name:<40}{self.cases:>3} cases   {error}"


@dataclass(frozen=True)
class Certificate:
    """What `minigrad.kernels.certify` found; true if nothing is wrong. Print it for a report.

    Parameters
    ----------
    subject : Subject
        What was checked.
    findings : tuple of Finding
        One for each property.

    Examples
    --------
    >>> from minigrad.kernels import Case, certify
    >>> certificate = certify(nn.cells.mingru, 2, 3, cases=[Case(steps=2, rows=1)])
    >>> bool(certificate)
    True
    """

    subject: Subject
    findings: tuple[Finding, ...]

    def __bool__(self) -> bool:
        return all(finding.failure is None for finding in self.findings)

    def __str__(self) -> str:
        way = f"interpreted, because {self.subject.refusal}" if self.subject.refusal else "compiled"
        return "\n".join([f"certify({self.subject.written}): {way}", *map(str, self.findings)])

    def check(self) -> None:
        """Raise an error with the report if something is wrong.

        Raises
        ------
        CertificateError
            If something is wrong.
        """
        if not self:
            raise CertificateError(str(self))
