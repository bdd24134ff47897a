"""What one diagnostic code stands for."""

from __future__ import annotations

from dataclasses import dataclass

from phidata.diagnostics.record import Severity


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One kind of finding. Codes are stable: a code keeps its meaning for ever and is never used again.

    `name` is the code in words, `title` says what the finding is, `explanation` why it matters, `remedy` what to do.
    `example` is a line, or a path in it, that breaks the rule; it is empty where a line can not show it.
    """

    code: str
    name: str
    severity: Severity = "error"
    title: str
    explanation: str
    remedy: str
    example: str = ""
