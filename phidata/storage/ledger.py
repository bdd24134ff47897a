"""`ledger.jsonl`: what became of every row that went into a data folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args

import msgspec

from phidata.errors import DataError
from phidata.regular import check_regular
from phidata.storage.manifest import DataFile, RowLedger, SplitLedger
from phidata.storage.sink import new_file

LEDGER = "ledger.jsonl"

Outcome = Literal["written", "skipped", "failed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`count` rows that fared alike; `id`, `file` and `line` where one row is meant. `split` is None for rows that
    belong to none. A skipped and a failed row has its `reason`. A row that is left out for the sake of another names
    it as its `twin` of `twin_split`; `distance` is that of their images, None for the same ones."""

    split: str | None
    outcome: Outcome
    count: int
    reason: str | None = None
    id: str | None = None
    file: str | None = None
    line: int | None = None
    twin: str | None = None
    twin_split: str | None = None
    distance: int | None = None


def write_ledger(root: Path, lines: Iterable[LedgerLine]) -> None:
    """Write the ledger of a data folder, in the order of the lines."""
    with new_file(root / LEDGER) as file:
        for line in lines:
            file.write(msgspec.json.encode(line) + b"\n")


def read_ledger(root: Path) -> Iterator[LedgerLine]:
    """Read it line by line. Raises DataError, which names the line, for what is no ledger."""
    decode = msgspec.json.Decoder(LedgerLine).decode
    path = root / LEDGER
    try:
        with check_regular(path).open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                    raise DataError(
                        f"{path}:{number}: this is not a line of a ledger ({error}); make the folder again"
                    ) from error
    except FileNotFoundError as error:
        raise DataError(
            f"no {LEDGER} in {root}, which tells what became of every row; make the folder again"
        ) from error


def sums(lines: Iterable[LedgerLine]) -> Counter[tuple[str | None, Outcome]]:
    """How many rows of which split fared how."""
    total: Counter[tuple[str | None, Outcome]] = Counter()
    for line in lines:
        total[line.split, line.outcome] += line.count
    return total


def ledgers(
    lines: Iterable[LedgerLine], files: Mapping[str, tuple[DataFile, ...]]
) -> tuple[RowLedger, dict[str, SplitLedger]]:
    """What the manifest says of the rows: of all together, and of each split, in the order of `files`."""
    counts: Counter[tuple[str | None, Outcome]] = Counter()
    total: Counter[Outcome] = Counter()
    reasons: Counter[str] = Counter()
    for line in lines:
        counts[line.split, line.outcome] += line.count
        total[line.outcome] += line.count
        if line.outcome == "skipped":
            reasons[line.reason or ""] += line.count
    rows = RowLedger(
        rows_in=total.total(),
        written=total["written"],
        skipped=total["skipped"],
        failed=total["failed"],
        skip_reasons=dict(sorted(reasons.items())),
    )
    splits = {
        split: SplitLedger(
            files=files[split],
            rows_in=sum(counts[split, outcome] for outcome in OUTCOMES),
            written=counts[split, "written"],
            skipped=counts[split, "skipped"],
            failed=counts[split, "failed"],
        )
        for split in files
    }
    return rows, splits
