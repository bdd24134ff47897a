"""What a conversion was asked to do, checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple

import msgspec
from msgspec import to_builtins

from phidata.conversion.converter import About, Converter, Row, Settings, find_converter, full_settings
from phidata.conversion.options import DEFAULT_FRAMES, Options
from phidata.conversion.selection import Selection
from phidata.errors import UsageError
from phidata.storage.hub import HubFile, HubFiles, is_repo_id
from phidata.storage.shape import Shape, check_shape
from phidata.storage.source import Root, Source, find_source, opened

IDS = ("count", "source")
ON_ERROR = ("fail", "skip")


class ImageFolder(NamedTuple):
    """Where image paths start, and what stands before each of them in the source besides, such as `data/`."""

    path: Path
    prefix: str

    def __str__(self) -> str:
        return f"{self.prefix}={self.path}" if self.prefix else str(self.path)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One conversion: of what, by whom, which rows, and how they are written."""

    name: str
    converter: Converter[Row]
    settings: Mapping[str, Any]
    source: Source
    images: ImageFolder | None
    shape: Shape
    shard_bytes: int
    selection: Selection
    ids: str
    options: Options
    on_error: str

    @contextmanager
    def opened(self, unpack_to: Path) -> Iterator[Root]:
        """The source to read, with the image folder; an archive is unpacked for the time of the block."""
        with opened(self.source, unpack_to) as root:
            if self.images is not None:
                root = replace(root, images=self.images.path, images_prefix=self.images.prefix)
            yield root

    @property
    def skips_failed(self) -> bool:
        """Whether rows that can not be converted count as skipped."""
        return self.on_error == "skip"

    def recorded_options(self) -> dict[str, Any]:
        """Everything that decides what is written, by its name: the manifest's `options`, as JSON gives them back."""
        options: dict[str, Any] = to_builtins(self.options)
        if not (self.options.fps or self.options.keyframes):
            options["num_frames"] = self.options.num_frames or DEFAULT_FRAMES
        options |= to_builtins(self.selection)
        options |= {"ids": self.ids, "on_error": self.on_error}
        if self.shape != "images-jsonl":
            options["shard_bytes"] = self.shard_bytes
        if self.settings:
            options["settings"] = self.settings
        recorded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(options))
        return recorded


def requested(
    name: str,
    *,
    source: str | Path | None,
    settings: Mapping[str, Any],
    images: str | Path | None,
    shape: str,
    shard_bytes: int,
    selection: Selection,
    ids: str,
    options: Options,
    on_error: str,
    scratch: str | Path | None = None,
) -> Request:
    """Check what is asked for; a source in a store is fetched to `scratch`. Raises UsageError for what can not be, and
    what `find_source` raises."""
    converter = find_converter(name)
    complete = full_settings(converter.about, settings)
    for option, value, choices in (("ids", ids, IDS), ("on_error", on_error, ON_ERROR)):
        if value not in choices:
            raise UsageError(f"{option} is {value!r}; it is one of {', '.join(choices)}")
    if shard_bytes < 1:
        raise UsageError(f"shard_bytes is {shard_bytes}; it is the size of a shard in bytes")
    return Request(
        name=name,
        converter=converter,
        settings=complete,
        source=find_source(source, hub_places(converter.about, complete, source), scratch=scratch),
        images=None if images is None else _image_folder(str(images)),
        shape=check_shape(shape),
        shard_bytes=shard_bytes,
        selection=selection,
        ids=ids,
        options=options,
        on_error=on_error,
    )


def _image_folder(text: str) -> ImageFolder:
    """Read `DIR` or `PREFIX=DIR`."""
    prefix, equals, folder = text.partition("=")
    if not equals or Path(text).is_dir():
        prefix, folder = "", text
    if not Path(folder).is_dir():
        raise UsageError(f"no image folder {folder}; give --images the folder below which the image paths start")
    return ImageFolder(Path(folder).resolve(), f"{prefix.rstrip('/')}/" if prefix else "")


def hub_places(about: About, settings: Settings, source: str | Path | None) -> list[HubFile | HubFiles]:
    """The places on the hub that a converter knows, with the settings that their patterns name; none for what is here.

    Raises UsageError when such a setting was not given.
    """
    if source is not None and (Path(source).exists() or not is_repo_id(str(source))):
        return []
    return [_filled_in(place, settings) for place in about.hub]


def _filled_in(place: HubFile | HubFiles, settings: Settings) -> HubFile | HubFiles:
    if isinstance(place, HubFile):
        return place
    for pattern in place.patterns:
        for _, name, _, _ in Formatter().parse(pattern):
            if name and settings[name] is None:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} has to say which files of {place.repo_id} are read, or pass --source")
    return HubFiles(place.repo_id, tuple(pattern.format_map(settings) for pattern in place.patterns))
