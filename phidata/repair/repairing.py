"""`phidata.fix`: repairs files in place, all or none of a data set, and keeps the manifest of their folder true."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from phidata.diagnostics import row_rules
from phidata.errors import UsageError
from phidata.repair.diff import Diff
from phidata.repair.file import FileRepair, take_census
from phidata.repair.line import LineRepair
from phidata.repair.outcome import Repaired, RepairedFile
from phidata.repair.record import plan_records
from phidata.storage.room import needing_room
from phidata.validation.id_census import IdCensus, RowIds
from phidata.validation.images import FileImages
from phidata.validation.inputs import MEDIA, DataFile, DataSet, Media, find_data
from phidata.validation.seen import local_slots
from phidata.validation.selection import Selection, select_codes
from phidata.validation.whole import holds_rows, not_json_lines


def fix(
    paths: str | Path | Iterable[str | Path],
    *,
    images: str | Path | None = None,
    media: Media = "exists",
    unsafe: bool = False,
    select: str | Iterable[str] = (),
    ignore: str | Iterable[str] = (),
    dry_run: bool = False,
    show: Callable[[bytes], None] | None = None,
) -> Repaired:
    """Repair jsonl files and data folders of them: what is safe, or with `unsafe` all that can be done mechanically.

    Safe repairs: byte order mark, line ends, blank lines, whole numbers as ids, separators and letter case of image
    paths, rows that are copies. Each is made only where the row means the same afterwards; `phidata explain CODE` says
    how. All other bytes stay. Doing it twice changes nothing more. With `media` "none" no image is looked for, and
    letter case is left alone. `select` and `ignore` choose by code. With `dry_run` nothing is written. `show` gets the
    changes as a unified diff, piece by piece.

    Files are written beside and renamed when all of a data set are ready, after ledger and manifest of their folder;
    the same command ends a repair that was interrupted.
    Raises UsageError and DataError as `phidata.validate` does, and DataError when the disk is full.
    """
    if media not in MEDIA:
        raise UsageError(f"media is {media!r}; it can be {', '.join(map(repr, MEDIA))}")
    wanted = select_codes(select, ignore)
    named = [paths] if isinstance(paths, (str, Path)) else list(paths)
    done: list[RepairedFile] = []
    remarks: list[str] = []
    for data_set in find_data(named, images):
        repair = _SetRepair(data_set, wanted, media, unsafe=unsafe)
        remarks += repair.remarks
        with needing_room():
            done += repair.run(show, dry_run=dry_run)
        remarks += repair.late_remarks
    return Repaired(files=tuple(done), remarks=tuple(remarks), dry_run=dry_run)


class _SetRepair:
    """The files of one data set, over which ids are unique."""

    def __init__(self, data_set: DataSet, wanted: Selection, media: Media, *, unsafe: bool) -> None:
        self._wanted = wanted
        self._unsafe = unsafe
        self._files: list[DataFile] = []
        self._images: dict[str, FileImages] = {}
        self._looks: Media = "none" if media == "none" else "exists"
        self.remarks: list[str] = []
        self.late_remarks: list[str] = []
        for file in data_set.files:
            if file.is_shard:
                self.remarks.append(f"{file.path} is a shard, which is not repaired in place; make it again")
            elif not_json_lines(file.path):
                self.remarks.append(f"{file.path} is not a file of JSON lines, and is not repaired")
            elif not holds_rows(file.path):
                self.remarks.append(f"{file.path} is not repaired: too few of its lines are JSON objects")
            else:
                self._files.append(file)

    def run(self, show: Callable[[bytes], None] | None, *, dry_run: bool) -> list[RepairedFile]:
        census = IdCensus()
        for file in self._files:
            take_census(Path(file.path), self._line_repair(file, None), census)
        ids = census.result(copies_go=row_rules.DUPLICATE_ID.code in self._wanted)
        ready: list[tuple[FileRepair, RepairedFile]] = []
        try:
            for file in self._files:
                repair = FileRepair(Path(file.path), self._line_repair(file, ids), ids, self._wanted)
                diff = Diff(file.path, show) if show else None
                if found := repair.run(diff, write=not dry_run):
                    ready.append((repair, found))
            if not dry_run:
                self._commit(ready)
        except BaseException:
            for repair, _ in ready:
                repair.discard()
            raise
        return [found for _, found in ready]

    def _commit(self, ready: list[tuple[FileRepair, RepairedFile]]) -> None:
        """Write what the folders say of the repairs, then the repairs: of those that are missing when this is cut short
        the next run finds that they are to be made, and that the manifest has them."""
        records = plan_records({repair.finish(): found for repair, found in ready})
        for record in records:
            record.write()
            self.late_remarks += record.remarks
        for repair, _ in ready:
            repair.commit()

    def _line_repair(self, file: DataFile, ids: RowIds | None) -> LineRepair:
        assert file.images is not None
        if file.images not in self._images:
            self._images[file.images] = FileImages(file.images, self._looks, local_slots())
        taken = None if ids is None else ids.taken
        return LineRepair(self._images[file.images], file.images, self._wanted, unsafe=self._unsafe, taken=taken)
