"""What one diagnostic code stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from phidata.diagnostics.record import Severity

Fixable = Literal["safe", "unsafe", "no"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One kind of finding. Codes are stable: a code keeps its meaning for ever and is never used again.

    `name` is the code in words, `title` says what the finding is, `explanation` why it matters, `remedy` what to do.
    `example` is a line, or a path in it, that breaks the rule; it is empty where a line can not show it. `fixable` says
    whether `phidata validate` can repair it, by `--fix` (safe) or only by `--unsafe-fixes`, and `repair` how and when.
    `source` is where a rule about another program was read.
    """

    code: str
    name: str
    severity: Severity = "error"
    title: str
    explanation: str
    remedy: str
    example: str = ""
    fixable: Fixable = "no"
    repair: str = ""
    source: str = ""
