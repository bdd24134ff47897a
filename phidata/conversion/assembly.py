"""The end of a conversion: from the parts to the files of each split, the ledger, the failures and the manifest."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

import msgspec

from phidata.conversion.image_census import ImageCensus, TwoImagesError
from phidata.conversion.journal import Header
from phidata.conversion.listing import Listing, Range
from phidata.conversion.outcome import Failed, ImageFile, Written
from phidata.conversion.output import Output
from phidata.conversion.parts import Entry, damaged, part_path, read_entries
from phidata.conversion.request import Request
from phidata.conversion.sharding import Sharding, Tally
from phidata.conversion.task import Task
from phidata.errors import DataError
from phidata.storage.folder import FAILURES
from phidata.storage.ledger import LEDGER, LedgerLine, ledgers, read_ledger
from phidata.storage.manifest import FORMAT_VERSION, DataFile, ImageTree, Manifest
from phidata.storage.sink import HashedFile, new_file
from phidata.storage.splits import finish_folder
from phidata.storage.unnamed import UnnamedFile

NOT_CONVERTED = "can not be converted (--on-error skip)"
MAX_SHOWN = 20  # failures that are told; the file has all of them


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of `failures.jsonl`: a row of the source that is not in the output, and why."""

    id: str
    split: str
    name: str
    file: str
    reason: str
    line: int | None = None

    @property
    def place(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


class Assembly:
    """Writes all but the images, in the order of the source, from what the parts say of every row."""

    def __init__(self, output: Output, header: Header, listing: Listing, request: Request) -> None:
        self.failures: list[Failure] = []  # the first of them
        self._output = output
        self._header = header
        self._listing = listing
        self._request = request
        self._name = request.converter.about.name
        self._inline = output.images is None

    def finish(self) -> Manifest:
        """Write the ledger and the failures when there are any, the files of each split, and last the manifest; then
        drop the journal."""
        sharding = Sharding(self._output, self._listing, self._request) if self._inline else None
        tally = sharding.tally() if sharding else None
        if tally is None:
            tally = self._account()
        if sharding is not None:
            sharding.begin(tally)
            files = {split: sharding.write(split) for split in self._listing.splits}
        else:
            files = {split: self._write_lines(split) for split in self._listing.splits}
        manifest = self._manifest(files, tally.images)
        if manifest.rows.rows_in != self._listing.num_rows:
            raise DataError(
                f"{self._listing.num_rows} rows went in and {manifest.rows.rows_in} are accounted for: this is a "
                f"mistake in phidata, please report it"
            )
        finish_folder(self._output.root, manifest)
        self._output.journal.remove()
        return manifest

    def _account(self) -> Tally:
        """Write ledger and failures, count the rows that were written of each range, and list the images."""
        census = ImageCensus(self._output.journal.listing / "census")
        try:
            with new_file(self._output.root / LEDGER) as ledger, _Failures(self._output) as failures:
                written = self._account_for_rows(ledger, failures, census)
                self._account_for_the_rest(ledger)
            images = self._tree(census)
            for path in census.unnamed(self._output.images, images.num) if self._output.images else ():
                path.unlink()  # of a row that failed after an earlier run had begun it
        finally:
            census.close()
        return Tally(written=written, images=images)

    def _account_for_rows(self, ledger: HashedFile, failures: _Failures, census: ImageCensus) -> list[int]:
        written = [0] * len(self._listing.ranges)
        for split in self._listing.splits:
            num_written = 0
            for rows in self._listing.of_split(split):
                failed: dict[int, Failed] = {}
                for entry in self._all_entries(rows):
                    if isinstance(entry.result, Failed):
                        failed[entry.number] = entry.result
                        continue
                    written[rows.number] += 1
                    for image in entry.result.images:
                        census.note(image)
                num_written += written[rows.number]
                self._note_failures(rows, failed, ledger, failures)
            if num_written:
                _put(ledger, LedgerLine(split=split, outcome="written", count=num_written))
        return written

    def _note_failures(self, rows: Range, failed: dict[int, Failed], ledger: HashedFile, failures: _Failures) -> None:
        if not failed:
            return
        for task in self._listing.tasks(rows):
            if task.number in failed:
                failure = _failure(task, failed[task.number])
                failures.add(failure)
                if len(self.failures) < MAX_SHOWN:
                    self.failures.append(failure)
                _put(ledger, self._line_of(failure))

    def _line_of(self, failure: Failure) -> LedgerLine:
        skipped = self._request.skips_failed
        return LedgerLine(
            split=failure.split,
            outcome="skipped" if skipped else "failed",
            count=1,
            reason=NOT_CONVERTED if skipped else failure.reason,
            id=failure.id,
            file=failure.file,
            line=failure.line,
        )

    def _account_for_the_rest(self, ledger: HashedFile) -> None:
        for skip in self._listing.skips:
            line = LedgerLine(
                split=skip.split, outcome="skipped", count=1, reason=skip.reason, file=skip.file, line=skip.line
            )
            _put(ledger, line)
        for (split, reason), num in self._listing.left_out.items():
            _put(ledger, LedgerLine(split=split, outcome="skipped", count=num, reason=reason))

    def _tree(self, census: ImageCensus) -> ImageTree:
        try:
            return census.tree()
        except TwoImagesError as error:
            path = str(error)
            raise DataError(
                f"{self._second_place(path)}: two different images are called {path!r}; give one of them another path"
            ) from error

    def _second_place(self, path: str) -> str:
        """Where the row stands that names another image by the same path than a row before."""
        first: ImageFile | None = None
        for split in self._listing.splits:
            for rows in self._listing.of_split(split):
                for entry in self._entries(rows):
                    for image in entry.result.images if isinstance(entry.result, Written) else ():
                        if image.path == path and image != (first := first or image):
                            tasks = self._listing.tasks(rows)
                            return next(task.row.place for task in tasks if task.number == entry.number)
        raise AssertionError(path)

    def _entries(self, rows: Range) -> Iterator[Entry]:
        return read_entries(part_path(self._output.journal.parts, rows.number), inline=self._inline)

    def _all_entries(self, rows: Range) -> Iterator[Entry]:
        """Raises DataError when a row of the range is missing."""
        num_entries = 0
        for entry in self._entries(rows):
            num_entries += 1
            yield entry
        if num_entries != rows.num_rows:
            raise damaged(part_path(self._output.journal.parts, rows.number))

    def _write_lines(self, split: str) -> tuple[DataFile, ...]:
        path = self._output.root / f"{self._name}_{split}.jsonl"
        num_rows = 0
        with new_file(path) as file:
            for rows in self._listing.of_split(split):
                for entry in self._entries(rows):
                    if isinstance(entry.result, Written):
                        file.write(bytes(entry.result.line) + b"\n")
                        num_rows += 1
        return (DataFile(name=path.name, rows=num_rows, bytes=path.stat().st_size, sha256=file.sha256),)

    def _manifest(self, files: dict[str, tuple[DataFile, ...]], images: ImageTree) -> Manifest:
        rows, splits = ledgers(read_ledger(self._output.root), files)
        return Manifest(
            format_version=FORMAT_VERSION,
            name=self._name,
            converter=self._header.converter,
            shape=self._request.shape,
            versions=self._header.versions,
            options={**self._header.options, "splits": dict(self._listing.expressions)},
            source=self._header.source,
            rows=rows,
            splits=splits,
            images=images,
        )


class _Failures:
    """`failures.jsonl`, begun with the first failure; there is none without any."""

    def __init__(self, output: Output) -> None:
        self._path = output.root / FAILURES
        self._file: UnnamedFile | None = None

    def __enter__(self) -> _Failures:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is None:
            self._path.unlink(missing_ok=True)
        elif error is None:
            self._file.take_name(self._path)
        else:
            self._file.discard()

    def add(self, failure: Failure) -> None:
        self._file = self._file or UnnamedFile(self._path.parent)
        self._file.write(msgspec.json.encode(failure) + b"\n")


def _failure(task: Task, failed: Failed) -> Failure:
    row = task.row
    return Failure(id=task.id, split=row.split, name=row.name, file=row.file, line=row.line, reason=failed.reason)


def _put(ledger: HashedFile, line: LedgerLine) -> None:
    ledger.write(msgspec.json.encode(line) + b"\n")
