"""The end of a conversion: from the journal to the files of each split, the ledger, the failures and the manifest."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from phidata.console import progress
from phidata.conversion.journal import Header
from phidata.conversion.listing import Listing
from phidata.conversion.outcome import Failed, Written
from phidata.conversion.output import Output
from phidata.conversion.request import Request
from phidata.conversion.worker import Task
from phidata.errors import DataError
from phidata.records import Conversation
from phidata.storage.folder import FAILURES
from phidata.storage.image_list import ImageList
from phidata.storage.ledger import LedgerLine, ledgers, write_ledger
from phidata.storage.manifest import FORMAT_VERSION, DataFile, Manifest
from phidata.storage.sink import new_file
from phidata.storage.writer import finish_folder, split_writer

NOT_CONVERTED = "can not be converted (--on-error skip)"

_decode = msgspec.json.Decoder(Conversation).decode


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
    """Writes all but the images, in the order of the source, from what the journal says of every row."""

    def __init__(self, output: Output, header: Header, listing: Listing, request: Request) -> None:
        self.failures: list[Failure] = []
        self._output = output
        self._header = header
        self._listing = listing
        self._request = request
        self._name = request.converter.about.name
        self._images = ImageList()
        self._lines: list[LedgerLine] = []

    def finish(self) -> Manifest:
        """Write the files of each split, the failures when there are any, the ledger, and last the manifest; then drop
        the journal."""
        files = {split: self._write_split(split) for split in self._listing.splits}
        self._account_for_the_rest()
        manifest = self._manifest(files)
        if manifest.rows.rows_in != self._listing.num_rows:
            raise DataError(
                f"{self._listing.num_rows} rows went in and {manifest.rows.rows_in} are accounted for: this is a "
                f"mistake in phidata, please report it"
            )
        self._write_failures()
        write_ledger(self._output.root, self._lines)
        self._output.remove_unnamed(self._images)
        finish_folder(self._output.root, manifest)
        self._output.finish()
        return manifest

    def _write_split(self, split: str) -> tuple[DataFile, ...]:
        rows = (task for task in self._listing.tasks if task.row.split == split)
        if self._request.shape == "images-jsonl":
            return self._write_lines(split, rows)
        shape, shard_bytes = self._request.shape, self._request.shard_bytes
        writer = split_writer(shape, self._output.root, name=self._name, split=split, shard_bytes=shard_bytes)
        try:
            with progress(sum(task.row.split == split for task in self._listing.tasks), f"write {split}") as bar:
                for result in self._written(split, rows):
                    row = _decode(result.line)
                    by_path = {image.path: (self._output.images / image.path).read_bytes() for image in result.images}
                    writer.add(row, [by_path[path] for path in row.images])
                    bar.update()
            return writer.finish()
        except BaseException:
            writer.discard()
            raise

    def _write_lines(self, split: str, rows: Iterator[Task]) -> tuple[DataFile, ...]:
        path = self._output.root / f"{self._name}_{split}.jsonl"
        num_rows = 0
        with new_file(path) as file:
            for result in self._written(split, rows):
                file.write(bytes(result.line) + b"\n")
                num_rows += 1
        return (DataFile(name=path.name, rows=num_rows, bytes=path.stat().st_size, sha256=file.sha256),)

    def _written(self, split: str, rows: Iterator[Task]) -> Iterator[Written]:
        """The rows that were converted; those that failed are noted down."""
        num_written = 0
        for task in rows:
            result = self._output.journal[task.number].result
            if isinstance(result, Failed):
                self._note_failure(task, result)
                continue
            num_written += 1
            try:
                for image in result.images:
                    self._images.note(image.path, sha256=image.sha256, num_bytes=image.num_bytes)
            except DataError as error:
                raise DataError(f"{task.row.place}: {error}") from error
            yield result
        if num_written:
            self._lines.append(LedgerLine(split=split, outcome="written", count=num_written))

    def _note_failure(self, task: Task, result: Failed) -> None:
        row = task.row
        failure = Failure(
            id=task.id, split=row.split, name=row.name, file=row.file, line=row.line, reason=result.reason
        )
        self.failures.append(failure)
        self._lines.append(
            LedgerLine(
                split=row.split,
                outcome="skipped" if self._request.skips_failed else "failed",
                count=1,
                reason=NOT_CONVERTED if self._request.skips_failed else result.reason,
                id=task.id,
                file=row.file,
                line=row.line,
            )
        )

    def _account_for_the_rest(self) -> None:
        for skip in self._listing.skips:
            self._lines.append(
                LedgerLine(
                    split=skip.split, outcome="skipped", count=1, reason=skip.reason, file=skip.file, line=skip.line
                )
            )
        for (split, reason), num in self._listing.left_out.items():
            self._lines.append(LedgerLine(split=split, outcome="skipped", count=num, reason=reason))

    def _manifest(self, files: dict[str, tuple[DataFile, ...]]) -> Manifest:
        rows, splits = ledgers(self._lines, files)
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
            images=self._images.tree(),
        )

    def _write_failures(self) -> None:
        if not self.failures:
            (self._output.root / FAILURES).unlink(missing_ok=True)
            return
        with new_file(self._output.root / FAILURES) as file:
            for failure in self.failures:
                file.write(msgspec.json.encode(failure) + b"\n")
