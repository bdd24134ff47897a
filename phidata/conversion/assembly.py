"""The end of a conversion: from the journal to the jsonl files, the list of failures and the manifest."""

from __future__ import annotations

import hashlib
import os
from collections import Counter

import msgspec
from msgspec import to_builtins

from phidata.conversion.journal import Header
from phidata.conversion.listing import Listing
from phidata.conversion.outcome import Failed, ImageFile
from phidata.conversion.output import Output
from phidata.storage.folder import FAILURES, MANIFEST
from phidata.storage.manifest import FORMAT_VERSION, DataFile, ImageTree, Manifest, RowLedger, SplitLedger
from phidata.storage.sink import new_file


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `failures.jsonl`: a row of the source that is not in the output, and why."""

    id: str
    split: str
    name: str
    file: str
    reason: str


class Assembly:
    """Writes all but the images, in the order of the source, from what the journal says of every row."""

    def __init__(self, output: Output, header: Header, listing: Listing) -> None:
        self.failures: list[Failure] = []
        self._output = output
        self._header = header
        self._listing = listing
        self._images = ImageList()

    def finish(self) -> Manifest:
        """Write the jsonl files, the failures when there are any, and last the manifest; then drop the journal."""
        splits = {split: self._write_split(split) for split in self._listing.splits}
        self._write_failures()
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            name=self._header.converter,
            converter=self._header.converter,
            shape="images-jsonl",
            versions=self._header.versions,
            options=to_builtins(self._header.options),
            source=self._header.source,
            rows=self._row_ledger(splits),
            splits=splits,
            images=self._images.tree(),
        )
        os.sync()  # images take their names without waiting for the disk: one wait for all of them is enough
        with new_file(self._output.root / MANIFEST) as file:
            file.write(manifest.to_json())
        self._output.journal.remove()
        return manifest

    def _write_split(self, split: str) -> SplitLedger:
        num_written = num_failed = 0
        path = self._output.root / f"{self._header.converter}_{split}.jsonl"
        with new_file(path) as file:
            for task in self._listing.tasks:
                if task.row.split != split:
                    continue
                result = self._output.journal[task.number].result
                if isinstance(result, Failed):
                    num_failed += 1
                    row = task.row
                    failure = Failure(id=task.id, split=split, name=row.name, file=row.file, reason=result.reason)
                    self.failures.append(failure)
                else:
                    num_written += 1
                    file.write(bytes(result.line) + b"\n")
                    self._images.extend(result.images)
        num_skipped = sum(skip.split == split for skip in self._listing.skips)
        return SplitLedger(
            files=(DataFile(name=path.name, rows=num_written, bytes=path.stat().st_size, sha256=file.sha256),),
            rows_in=num_written + num_skipped + num_failed,
            written=num_written,
            skipped=num_skipped,
            failed=num_failed,
        )

    def _write_failures(self) -> None:
        if not self.failures:
            (self._output.root / FAILURES).unlink(missing_ok=True)
            return
        with new_file(self._output.root / FAILURES) as file:
            for failure in self.failures:
                file.write(msgspec.json.encode(failure) + b"\n")

    def _row_ledger(self, splits: dict[str, SplitLedger]) -> RowLedger:
        reasons = Counter(skip.reason for skip in self._listing.skips)
        return RowLedger(
            rows_in=len(self._listing.tasks) + len(self._listing.skips),
            written=sum(split.written for split in splits.values()),
            skipped=len(self._listing.skips),
            failed=len(self.failures),
            skip_reasons=dict(sorted(reasons.items())),
        )


class ImageList:
    """The running list of all images, of which the manifest keeps the hash."""

    def __init__(self) -> None:
        self._num = 0
        self._bytes = 0
        self._hash = hashlib.sha256()

    def extend(self, images: tuple[ImageFile, ...]) -> None:
        for image in images:
            self._num += 1
            self._bytes += image.num_bytes
            self._hash.update(f"{image.sha256}  {image.path}\n".encode())

    def tree(self) -> ImageTree:
        return ImageTree(num=self._num, bytes=self._bytes, sha256=self._hash.hexdigest())
