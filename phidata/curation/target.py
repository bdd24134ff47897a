"""The folder that a command writes: its place, shape and name, and how its rows get there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import phidata
from phidata.curation.inputs import Input
from phidata.storage.manifest import Identity
from phidata.storage.place import check_place
from phidata.storage.shape import Shape, check_data_name, check_shape
from phidata.storage.writer import DatasetWriter


@dataclass(frozen=True, kw_only=True)
class Target:
    """A folder to be written. Nothing of it is on the disk before its writer is made."""

    out: Path
    shape: Shape
    name: str
    shard_bytes: int

    def writer(
        self,
        converter: str,
        *,
        splits: Sequence[str],
        options: Mapping[str, Any],
        source: Identity,
        packages: Mapping[str, str] | None = None,
    ) -> DatasetWriter:
        """Begin the folder; `packages` are the versions of libraries that decide what is in it."""
        return DatasetWriter(
            self.out,
            name=self.name,
            converter=converter,
            versions={"phidata": phidata.__version__, **(packages or {})},
            splits=splits,
            shape=self.shape,
            options=options,
            source=source,
            shard_bytes=self.shard_bytes,
        )

    def begin(
        self, converter: str, *, splits: Sequence[str], options: Mapping[str, Any], source: Identity, dry_run: bool
    ) -> AbstractContextManager[DatasetWriter | None]:
        """Begin the folder, or nothing in a dry run, which has no writer."""
        if dry_run:
            return nullcontext()
        return self.writer(converter, splits=splits, options=options, source=source)


def plan_target(
    out: str | Path, inputs: Sequence[Input], *, to: str | None, name: str | None, shard_bytes: int
) -> Target:
    """The folder to be written: in the shape and by the name of the inputs where all have the same.

    Otherwise images-jsonl and `merged`. Raises UsageError for a shape that there is not, for an impossible name, and
    for a place inside of an input or around one.
    """
    check_place(Path(out), read=[opened.root for opened in inputs])
    shapes, names = {opened.shape for opened in inputs}, {opened.name for opened in inputs}
    shape: Shape = shapes.pop() if len(shapes) == 1 else "images-jsonl"
    return Target(
        out=Path(out),
        shape=shape if to is None else check_shape(to),
        name=check_data_name(name or (names.pop() if len(names) == 1 else "merged")),
        shard_bytes=shard_bytes,
    )
