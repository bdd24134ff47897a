"""The slow path: everything there is to say about one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Literal

from phidata.diagnostics import Diagnostic, Rule, line_rules
from phidata.diagnostics.excerpt import cut_excerpt
from phidata.validation.edits import Edit, Line, edit_for
from phidata.validation.meaning import meaning_faults
from phidata.validation.scan import Fault, Scan, scan
from phidata.validation.shape import shape_faults

_INVALID = re.compile("[\udc80-\udcff]")  # what a byte that is not UTF-8 is decoded to
_SHOWN_BYTES = 400


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a file, or one row of a shard as its line would be, read with the place of each value.

    `images` is the folder below which image paths start, where that is known.
    """

    path: str
    number: int
    text: str
    scan: Scan
    faults: tuple[Fault, ...] = ()
    images: str | None = None
    in_shard: bool = False

    @property
    def id(self) -> str | None:
        """The row's id, also where other things are wrong with the row; None when there is none to be read."""
        value = self.scan.value.get("id") if isinstance(self.scan.value, dict) else None
        return value if isinstance(value, str) else None

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing on the line; NUL bytes are nothing too."""
        return not self.text.strip(" \t\r\0")

    def diagnostics(self, more: Iterable[Fault] = ()) -> list[Diagnostic]:
        """The findings of the line, and of `more` faults found elsewhere, from left to right."""
        ordered = sorted((*self.faults, *more), key=lambda fault: (fault.start, fault.rule.code))
        return [self.diagnostic(fault) for fault in ordered]

    def edits(self, more: Iterable[Fault] = ()) -> list[tuple[Fault, Edit]]:
        """What would repair the row, for each of its faults that has such a change."""
        line = Line(text=self.text, scan=self.scan, images=self.images)
        return [(fault, edit) for fault in (*self.faults, *more) if (edit := edit_for(fault, line))]

    def diagnostic(self, fault: Fault, *, fix: Literal["safe", "unsafe"] | None = None) -> Diagnostic:
        """A fault at its place in the file; `fix` where it is known to be repairable otherwise than by an edit."""
        pointer = "".join(f"/{_escaped(part)}" for part in fault.path)
        if not self.in_shard and (edit := edit_for(fault, Line(text=self.text, scan=self.scan, images=self.images))):
            fix = "safe" if edit.safe else "unsafe"
        return Diagnostic(
            code=fault.rule.code,
            severity=fault.rule.severity,
            path=self.path,
            line=self.number,
            column=fault.start + 1,
            pointer=pointer,
            message=fault.message,
            help=fault.help or fault.rule.remedy,
            excerpt=cut_excerpt(self.text, fault.start, fault.end),
            row=self.number if self.in_shard else None,
            id=self.id,
            fix=fix,
            fingerprint=self._fingerprint(fault, pointer),
        )

    def _fingerprint(self, fault: Fault, pointer: str) -> str:
        """The same wherever the row stands in the file, as long as its id and the value stay what they are."""
        about = (fault.rule.code, self.id or self.text, pointer, self.text[fault.start : fault.end])
        text = "\0".join(about).encode("utf-8", "surrogatepass")
        return blake2b(text, digest_size=8, usedforsecurity=False).hexdigest()


def find_row(line: bytes, *, path: str, number: int, images: str | None = None, in_shard: bool = False) -> Row:
    """Read one line for the places of its values, without judging them."""
    text = line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
    return Row(path=path, number=number, text=text, scan=scan(text), images=images, in_shard=in_shard)


def read_row(
    line: bytes, *, path: str, number: int, ended: bool = True, images: str | None = None, in_shard: bool = False
) -> Row:
    """Read one line and find what is wrong with it. `ended` says whether a newline follows it in the file."""
    row = find_row(line, path=path, number=number, images=images, in_shard=in_shard)
    faults = list(_byte_faults(row.text))
    if not row.is_blank:
        faults += _row_faults(row.text, row.scan, ended=ended)
    elif not faults:
        faults.append(
            Fault(rule=line_rules.BLANK_LINE, start=0, end=len(row.text), path=(), message="the line is blank")
        )
    return replace(row, faults=tuple(faults))


def line_diagnostic(
    line: bytes, rule: Rule, message: str, *, path: str, number: int, fix: Literal["safe"] | None = None
) -> Diagnostic:
    """A finding about a line that is not read as a row."""
    text = line[:_SHOWN_BYTES].decode("utf-8", "surrogateescape")
    fault = Fault(rule=rule, start=0, end=0, path=(), message=message)
    return Row(path=path, number=number, text=text, scan=Scan()).diagnostic(fault, fix=fix)


def _row_faults(text: str, result: Scan, *, ended: bool) -> Iterator[Fault]:
    for fault in result.faults:
        if fault.rule is line_rules.JSON_SYNTAX and result.cut_short and not ended:
            message = f"the file ends in the middle of a row: {fault.message}"
            yield replace(fault, rule=line_rules.CUT_SHORT, message=message, help="")
        else:
            yield fault
    if result.complete:
        yield from shape_faults(result)
        yield from meaning_faults(result, text)


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


def _escaped(part: str | int) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return str(part).replace("~", "~0").replace("/", "~1")
