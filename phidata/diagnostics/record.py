"""One finding: what is wrong, where in which file, and what to do."""

from __future__ import annotations

from typing import Literal

import msgspec

from phidata.diagnostics.excerpt import Excerpt

Severity = Literal["error", "warning"]


class Diagnostic(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. An error makes the data unusable as it stands; a warning is something that a person should decide.

    `path` is the file as it was named. `line` and `column` count from 1 and say where the offending value starts in
    that file; columns count Unicode code points (a byte order mark is not counted, each byte that is not UTF-8 counts
    as one). `pointer` is the JSON pointer of the value in its row, `""` for the row as a whole. `message` says what was
    found and `help` what to do; `phidata explain CODE` has the long text.
    """

    code: str
    severity: Severity
    path: str
    line: int
    column: int
    pointer: str
    message: str
    help: str
    excerpt: Excerpt


class Summary(msgspec.Struct, kw_only=True):
    """What a check went through, and how much it found. `images` counts the paths in all turns, not the files."""

    rows: int = 0
    turns: int = 0
    images: int = 0
    errors: int = 0
    warnings: int = 0
