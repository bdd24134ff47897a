"""The slow path: everything there is to say about one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from phidata.diagnostics import Diagnostic, line_rules
from phidata.diagnostics.excerpt import cut_excerpt
from phidata.validation.meaning import meaning_faults
from phidata.validation.scan import Fault, Scan, scan
from phidata.validation.shape import shape_faults

_INVALID = re.compile("[\udc80-\udcff]")  # what a byte that is not UTF-8 is decoded to


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a file, read with the place of each value."""

    path: str
    number: int
    text: str
    scan: Scan
    faults: list[Fault]

    @property
    def id(self) -> str | None:
        """The row's id, also where other things are wrong with the row; None when there is none to be read."""
        value = self.scan.value.get("id") if isinstance(self.scan.value, dict) else None
        return value if isinstance(value, str) else None

    def diagnostics(self) -> list[Diagnostic]:
        """The findings of the line, from left to right."""
        ordered = sorted(self.faults, key=lambda fault: (fault.start, fault.rule.code))
        return [self.diagnostic(fault) for fault in ordered]

    def diagnostic(self, fault: Fault) -> Diagnostic:
        """A fault at its place in the file."""
        return Diagnostic(
            code=fault.rule.code,
            severity=fault.rule.severity,
            path=self.path,
            line=self.number,
            column=fault.start + 1,
            pointer="".join(f"/{_escaped(part)}" for part in fault.path),
            message=fault.message,
            help=fault.help or fault.rule.remedy,
            excerpt=cut_excerpt(self.text, fault.start, fault.end),
        )


def read_row(line: bytes, *, path: str, number: int, ended: bool = True) -> Row:
    """Read one line and find what is wrong with it. `ended` says whether a newline follows it in the file."""
    text = line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
    if not text.strip(" \t\r"):
        blank = Fault(rule=line_rules.BLANK_LINE, start=0, end=len(text), path=(), message="the line is blank")
        return Row(path=path, number=number, text=text, scan=Scan(), faults=[blank])
    result = scan(text)
    faults = [*_byte_faults(text), *result.faults]
    if result.cut_short and not ended:
        faults = [_cut_short(fault) if fault.rule is line_rules.JSON_SYNTAX else fault for fault in faults]
    if result.complete:
        faults += [*shape_faults(result), *meaning_faults(result, text)]
    return Row(path=path, number=number, text=text, scan=result, faults=faults)


def _byte_faults(text: str) -> Iterator[Fault]:
    if invalid := _INVALID.search(text):
        start = invalid.start()
        message = f"the byte 0x{ord(invalid[0]) - 0xDC00:02X} is not UTF-8{_more(len(_INVALID.findall(text)))}"
        yield Fault(rule=line_rules.INVALID_UTF8, start=start, end=start + 1, path=(), message=message)
    if "\0" in text:
        start = text.index("\0")
        message = f"a NUL byte{_more(text.count(chr(0)))}"
        yield Fault(rule=line_rules.NUL_BYTE, start=start, end=start + 1, path=(), message=message)


def _more(count: int) -> str:
    return f", the first of {count} on this line" if count > 1 else ""


def _cut_short(fault: Fault) -> Fault:
    return replace(
        fault, rule=line_rules.CUT_SHORT, message=f"the file ends in the middle of a row: {fault.message}", help=""
    )


def _escaped(part: str | int) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return str(part).replace("~", "~0").replace("/", "~1")
