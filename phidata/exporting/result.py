"""What an export comes to: what was written, and what was refused."""

from __future__ import annotations

from collections.abc import Sequence

import click
import msgspec

from phidata.errors import DataError
from phidata.loading import ConversationData

MAX_SHOWN = 20  # refused rows on standard error; all of them are in the result


class Unfit(Exception):
    """A row does not fit into a format: a short code that stays the same, and the reason in words."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is not exported, and why: `number` is its place in its split, from 0."""

    split: str
    number: int
    id: str
    place: str
    code: str
    reason: str


class ExportedSplit(msgspec.Struct, frozen=True, kw_only=True):
    """One split: its file (of shards the first), how many rows it had, and how many were written."""

    file: str
    rows: int
    written: int
    refused: int


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What was written: rows of each split = written + refused, and the images."""

    to: str
    out: str
    splits: dict[str, ExportedSplit]
    refused: tuple[Refusal, ...]
    num_images: int
    num_linked: int
    image_bytes: int


def refusal_of(split: str, rows: ConversationData, number: int, unfit: Unfit) -> Refusal:
    """The refusal of one row."""
    id = rows[number].id
    place = rows.where(number).removesuffix(f": row {id!r}")
    return Refusal(split=split, number=number, id=id, place=place, code=unfit.code, reason=unfit.reason)


def report(refused: Sequence[Refusal], to: str, num_rows: int, *, skip_refused: bool) -> None:
    """Name the refused rows on standard error. Raises DataError when there are any that may not be skipped."""
    for refusal in refused[:MAX_SHOWN]:
        click.echo(f"refused: {refusal.place}: row {refusal.id!r}: {refusal.code}: {refusal.reason}", err=True)
    if len(refused) > MAX_SHOWN:
        click.echo(f"refused: {len(refused) - MAX_SHOWN} more", err=True)
    if refused and not skip_refused:
        raise DataError(
            f"{to} can not hold {len(refused)} of {num_rows} rows, and nothing is written; change these rows, or pass "
            f"--skip-refused to write the others"
        )


def counted(file: str, rows: int, refused: int) -> ExportedSplit:
    """The counts of one split."""
    return ExportedSplit(file=file, rows=rows, written=rows - refused, refused=refused)
