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
    as one). In a shard, which has no lines, `row` is the number of the row from 1; then `line` is the same number, and
    `column` a place in the row as it would stand in a jsonl file. `pointer` is the JSON pointer of the value in its
    row, `""` for the row as a whole. `message` says what was found and `help` what to do; `phidata explain CODE` has
    the long text. `id` is the row's, where it has one. `fix` says how the finding can be repaired, None when it can
    not. `fingerprint` names the finding by its code and by what it is about, not by its place in the file.
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
    row: int | None = None
    id: str | None = None
    fix: Literal["safe", "unsafe"] | None = None
    fingerprint: str = ""


class Summary(msgspec.Struct, kw_only=True):
    """What a check went through, and how much it found.

    `images` counts the paths in all turns, not the files. `fixable` findings are repaired by `--fix`,
    `unsafely_fixable` ones only by `--unsafe-fixes`. `accepted` findings stand in the baseline and count nowhere else.
    """

    rows: int = 0
    turns: int = 0
    images: int = 0
    errors: int = 0
    warnings: int = 0
    fixable: int = 0
    unsafely_fixable: int = 0
    accepted: int = 0


class TokenSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of all rows of a check: the sum, some ranks of their order, and how many are over `max_length`.

    `exact` says whether texts were counted by the tokenizer or estimated. Rows that are not right, or of which an image
    can not be opened, are `not_counted`.
    """

    model: str
    num_crops: int
    max_length: int | None
    exact: bool
    rows: int
    not_counted: int
    total: int
    smallest: int
    median: int
    p90: int
    p99: int
    largest: int
    over_limit: int
