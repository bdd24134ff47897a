"""A check from its files to its findings, as a stream: nothing is kept but the hashes of the ids."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from msgspec.structs import replace

from phidata.diagnostics import Diagnostic
from phidata.errors import DataError
from phidata.validation.checks import Checks
from phidata.validation.id_census import NumberIds
from phidata.validation.ids import IdIndex
from phidata.validation.inputs import DataFile, DataSet
from phidata.validation.lines import line_ranges
from phidata.validation.part import RANGE_BYTES, WORKER_BYTES, Part
from phidata.validation.selection import Selection
from phidata.validation.shards import open_shard, unreadable_shard
from phidata.validation.whole import holds_rows, not_json_lines, row_count_diagnostics
from phidata.validation.workers import CheckTasks, task_checks


def run_checks(data_sets: list[DataSet], checks: Checks, wanted: Selection, *, jobs: int) -> Iterator[Part]:
    """The parts of all files in order, with line numbers that count from the start of each file.

    Findings say what a repair of the `wanted` ones would do. The rows of a data set whose ids stand twice come as a
    part of their own, behind its last file.
    """
    range_bytes = RANGE_BYTES[checks.media]
    with task_checks(checks, _useful_jobs(data_sets, jobs, WORKER_BYTES[checks.media])) as check:
        for data_set in data_sets:
            ids, numbers = IdIndex(range_bytes), NumberIds(data_set, wanted)
            others = {file.path for file in data_set.files if not (file.is_shard or holds_rows(file.path))}
            for file in data_set.files:
                if file.is_shard:
                    yield from _shard_parts(file, ids, check)
                    continue
                for part in _file_parts(file, ids, range_bytes, check):
                    part.diagnostics = [_of_file(found, others) for found in numbers.settled(part.diagnostics)]
                    yield part
            for duplicate in ids.duplicates():
                yield Part(diagnostics=[_of_file(duplicate, others)])


def _of_file(found: Diagnostic, others: Collection[str]) -> Diagnostic:
    """A finding, without a repair in one of the `others`, the files that are not repaired."""
    return replace(found, fix=None) if found.fix and found.path in others else found


def _shard_parts(file: DataFile, ids: IdIndex, check: CheckTasks) -> Iterator[Part]:
    try:
        ranges = list(open_shard(file.path).ranges())
    except DataError as error:
        yield Part(diagnostics=[unreadable_shard(file.path, error)])
        return
    num_rows = 0
    for (_, rows), parts in check((file, rows) for rows in ranges):
        ids.begin(rows, first_line=num_rows + 1)
        for part in parts:
            ids.add(part.id_hashes)
            num_rows += part.num_lines
            yield part
    yield Part(diagnostics=row_count_diagnostics(file, num_rows, num_rows))


def _file_parts(file: DataFile, ids: IdIndex, range_bytes: int, check: CheckTasks) -> Iterator[Part]:
    if unreadable := not_json_lines(file.path):
        yield Part(diagnostics=[unreadable])
        return
    num_lines = num_rows = 0
    tasks = ((file, lines) for lines in line_ranges(file.path, range_bytes))
    for (_, lines), parts in check(tasks):
        ids.begin(lines, first_line=num_lines + 1)
        num_before = num_lines
        for part in parts:
            ids.add(part.id_hashes)
            part.diagnostics = [replace(found, line=found.line + num_before) for found in part.diagnostics]
            num_lines += part.num_lines
            num_rows += part.rows
            yield part
    yield Part(diagnostics=row_count_diagnostics(file, num_lines, num_rows))


def _useful_jobs(data_sets: list[DataSet], jobs: int, worker_bytes: int) -> int:
    """No more processes than are worth their start."""
    num_useful = sum(os.path.getsize(file.path) // worker_bytes + 1 for data in data_sets for file in data.files)  # noqa: PTH202
    return max(1, min(jobs, num_useful))
