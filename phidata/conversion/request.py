"""What a conversion was asked to do, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from phidata.conversion.converter import Converter, Row, find_converter, full_settings
from phidata.conversion.options import DEFAULT_FRAMES, Options
from phidata.conversion.selection import Selection
from phidata.errors import UsageError
from phidata.storage.hub import HubFile, HubFiles
from phidata.storage.shape import Shape, check_shape
from phidata.storage.source import Source, find_source

IDS = ("count", "source")
ON_ERROR = ("fail", "skip")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One conversion: of what, by whom, which rows, and how they are written."""

    name: str
    converter: Converter[Row]
    settings: Mapping[str, Any]
    source: Source
    images: Path | None
    shape: Shape
    shard_bytes: int
    selection: Selection
    ids: str
    options: Options
    on_error: str

    @property
    def skips_failed(self) -> bool:
        """Whether rows that can not be converted count as skipped."""
        return self.on_error == "skip"

    def recorded_options(self) -> dict[str, Any]:
        """Everything that decides what is written, by its name: the manifest's `options`."""
        options: dict[str, Any] = to_builtins(self.options)
        if not (self.options.fps or self.options.keyframes):
            options["num_frames"] = self.options.num_frames or DEFAULT_FRAMES
        options |= to_builtins(self.selection)
        options |= {"ids": self.ids, "on_error": self.on_error}
        if self.shape != "images-jsonl":
            options["shard_bytes"] = self.shard_bytes
        if self.settings:
            options["settings"] = to_builtins(self.settings)
        return options


def requested(
    name: str,
    *,
    source: str | Path | None,
    settings: Mapping[str, Any],
    images: str | Path | None,
    shape: str,
    shard_bytes: int,
    splits: Mapping[str, str],
    limit: int | None,
    sample: int | None,
    seed: int,
    ids: str,
    options: Options,
    on_error: str,
) -> Request:
    """Check what is asked for. Raises UsageError for what can not be, and what `find_source` raises."""
    converter = find_converter(name)
    complete = full_settings(converter.about, settings)
    for option, value, choices in (("ids", ids, IDS), ("on_error", on_error, ON_ERROR)):
        if value not in choices:
            raise UsageError(f"{option} is {value!r}; it is one of {', '.join(choices)}")
    if shard_bytes < 1:
        raise UsageError(f"shard_bytes is {shard_bytes}; it is the size of a shard in bytes")
    if images is not None and not Path(images).is_dir():
        raise UsageError(f"no image folder {images}; give --images the folder below which the image paths start")
    return Request(
        name=name,
        converter=converter,
        settings=complete,
        source=find_source(source, [_filled_in(place, complete) for place in converter.about.hub]),
        images=Path(images).resolve() if images is not None else None,
        shape=check_shape(shape),
        shard_bytes=shard_bytes,
        selection=Selection(splits=splits, limit=limit, sample=sample, seed=seed),
        ids=ids,
        options=options,
        on_error=on_error,
    )


def _filled_in(place: HubFile | HubFiles, settings: Mapping[str, Any]) -> HubFile | HubFiles:
    """A place on the hub with the settings that its patterns name."""
    if isinstance(place, HubFile):
        return place
    return HubFiles(place.repo_id, tuple(pattern.format_map(settings) for pattern in place.patterns))
