"""What is reported: the findings, the catalogue of their codes, and how they are written out."""

from phidata.diagnostics.record import Diagnostic, Severity, Summary, TokenSummary
from phidata.diagnostics.rule import Rule

__all__ = ["Diagnostic", "Rule", "Severity", "Summary", "TokenSummary"]
