"""Which findings are wanted, by their codes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from phidata.diagnostics.catalogue import code_prefix


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Beginnings of codes. Where a code is selected and ignored, the longer beginning decides."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def __contains__(self, code: str) -> bool:
        selected = max((len(prefix) for prefix in self.select if code.startswith(prefix)), default=-1)
        ignored = max((len(prefix) for prefix in self.ignore if code.startswith(prefix)), default=-1)
        return (selected >= 0 or not self.select) and (ignored < 0 or ignored < selected)


def select_codes(select: str | Iterable[str], ignore: str | Iterable[str]) -> Selection:
    """A selection from codes, beginnings of codes such as PHI3, and rules' names; several may stand in one text,
    separated by commas. Raises UsageError, naming the nearest, for what means no code.
    """
    return Selection(select=_prefixes(select), ignore=_prefixes(ignore))


def _prefixes(codes: str | Iterable[str]) -> tuple[str, ...]:
    texts = [codes] if isinstance(codes, str) else codes
    return tuple(code_prefix(code.strip()) for text in texts for code in text.split(",") if code.strip())
