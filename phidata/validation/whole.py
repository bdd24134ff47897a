"""What concerns a file as a whole: that it is JSON Lines at all, and that it has rows."""

from __future__ import annotations

import re

from phidata.diagnostics import Diagnostic, Rule, line_rules
from phidata.validation.inputs import DataFile
from phidata.validation.lines import BYTE_ORDER_MARK
from phidata.validation.row import line_diagnostic

_HEAD_BYTES = 1 << 16
_OBJECT = re.compile(rb"(\xef\xbb\xbf)*[ \t]*\{\s*[\"}]")
_SIGNATURES = {
    b"\x1f\x8b": "compressed by gzip",
    b"PK\x03\x04": "a zip archive",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ\0": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"RIFF": "an AVI or WebP file",
    b"%PDF": "a PDF document",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"{\0": "UTF-16 text",
    b"\0{": "UTF-16 text",
}


def not_json_lines(path: str) -> Diagnostic | None:
    """The finding for a file that is something else than lines of JSON, seen from its beginning."""
    with open(path, "rb") as file:  # noqa: PTH123
        head = file.read(_HEAD_BYTES)
    kind = next((kind for signature, kind in _SIGNATURES.items() if head.startswith(signature)), "")
    if not kind and _is_one_document(head.removeprefix(BYTE_ORDER_MARK)):
        kind = "one JSON document over several lines"
    if not kind:
        return None
    first = head.split(b"\n", 1)[0]
    return line_diagnostic(first, line_rules.NOT_JSON_LINES, f"this file is {kind}", path=path, number=1)


def holds_rows(path: str) -> bool:
    """Whether a third of the first lines of a file begin as JSON objects do, blank lines aside. Another file is of a
    kind of its own, and what would be a repair of rows could spoil it."""
    with open(path, "rb") as file:  # noqa: PTH123
        head = file.read(_HEAD_BYTES)
        lines = head.split(b"\n")
        if len(lines) > 1 and file.read(1):
            lines.pop()  # cut off
    filled = [line for line in lines if line.strip()]
    num_objects = sum(_OBJECT.match(line) is not None for line in filled)
    return num_objects > 0 and 3 * num_objects >= len(filled)


def row_count_diagnostics(file: DataFile, num_lines: int, num_rows: int) -> list[Diagnostic]:
    """The findings, at the end of a file, about how many rows it has."""
    found: list[tuple[Rule, str]] = []
    if num_lines == 0:
        found.append((line_rules.NO_ROWS, "this file is empty"))
    if file.num_rows is not None and file.num_rows != num_rows:
        message = f"this file has {num_rows:,} rows, the manifest says {file.num_rows:,}"
        found.append((line_rules.ROW_COUNT, message))
    number = max(num_lines, 1)
    return [line_diagnostic(b"", rule, message, path=file.path, number=number) for rule, message in found]


def _is_one_document(head: bytes) -> bool:
    """Whether the first line opens a list or an object that it does not close, as indented JSON does."""
    first, newline, _ = head.lstrip().partition(b"\n")
    first = first.strip()
    return bool(newline) and (first in (b"{", b"[") or (first.startswith(b"[") and first.endswith(b",")))
