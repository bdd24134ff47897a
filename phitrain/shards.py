"""Safetensors files, tensor by tensor: neither reading nor writing ever holds more than one of them.

Format: https://github.com/huggingface/safetensors#format. Files are read by plain reads, since the pages of a mapped
file count as memory of the process.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from phidata.errors import DataError, UsageError

SHARD_BYTES = 5_000_000_000  # as published: the full size in bfloat16 is two shards
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
DTYPES |= {"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8}
DTYPES |= {"BOOL": torch.bool}
CODES = {dtype: code for code, dtype in DTYPES.items()}
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One tensor of a file, before or without its values."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the values of a tensor lie: `start` counts bytes from the beginning of the file."""

    path: Path
    entry: Entry
    start: int


def entries_of(shapes: Mapping[str, Sequence[int]], dtype: torch.dtype) -> list[Entry]:
    """An entry a name, all of one type."""
    return [Entry(name=name, dtype=dtype, shape=tuple(shape)) for name, shape in shapes.items()]


def size_of(text: str) -> int:
    """Bytes of a size such as 5GB, 500MB or 2GiB. Raises UsageError for what is none."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2].upper() not in UNITS or float(found[1]) <= 0:
        raise UsageError(f"{text!r} is not a size; give a number with KB, MB or GB, for example 5GB")
    return int(float(found[1]) * UNITS[found[2].upper()])


def plan_shards(entries: Sequence[Entry], max_bytes: int) -> list[list[Entry]]:
    """The entries in their order, in runs of at most `max_bytes`; a tensor that is larger is a run of its own."""
    shards: list[list[Entry]] = [[]]
    filled = 0
    for entry in entries:
        if shards[-1] and filled + entry.num_bytes > max_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(entry)
        filled += entry.num_bytes
    return shards


def write_shards(
    folder: Path,
    entries: Sequence[Entry],
    tensors: Iterable[tuple[str, Tensor]],
    *,
    stem: str = "model",
    max_bytes: int = SHARD_BYTES,
) -> list[Path]:
    """Write `tensors`, which may come in any order, as `stem`.safetensors, or as shards with an index; the paths.

    Each is cast to the type of its entry. Raises DataError for a value that does not fit the type, AssertionError for
    a tensor that is unknown, of another shape, given twice or not at all.
    """
    plan = plan_shards(entries, max_bytes)
    paths = [folder / _shard_name(stem, at, len(plan)) for at in range(len(plan))]
    places = [place for path, shard in zip(paths, plan, strict=True) for place in _begin(path, shard)]
    if len(paths) > 1:
        paths.append(_write_index(folder, stem, places))
    missing = {place.entry.name: place for place in places}
    for name, tensor in tensors:
        assert name in missing, f"{name} is not a tensor of these files, or was already written"
        _write_values(missing.pop(name), tensor)
        del tensor  # or there would be two while the next one is read
    assert not missing, f"{len(missing)} tensors were not given: {', '.join(sorted(missing)[:8])}"
    return paths


class Stored:
    """The tensors of some safetensors files by name, to be read one at a time."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Reads the headers. Raises DataError for a file that is damaged, cut off or not of this format."""
        self._places = {place.entry.name: place for file in files for place in _read_header(file)}

    @property
    def entries(self) -> dict[str, Entry]:
        return {name: place.entry for name, place in self._places.items()}

    def read(self, name: str) -> Tensor:
        """One tensor, in memory of its own."""
        entry = self._places[name].entry
        tensor = torch.empty(entry.shape, dtype=entry.dtype)
        self.read_into(name, tensor)
        return tensor

    def read_into(self, name: str, target: Tensor) -> None:
        """Give a tensor of the same shape the values, in its own type; without a copy where that is the file's."""
        place = self._places[name]
        if target.device.type != "cpu" or target.dtype != place.entry.dtype or not target.is_contiguous():
            target.copy_(self.read(name))
            return
        with place.path.open("rb") as file:
            file.seek(place.start)
            if file.readinto(target.view(-1).view(torch.uint8).numpy().data) != place.entry.num_bytes:
                raise DataError(f"{place.path} ends within tensor {name}; copy the file there again")


def weight_files(folder: Path, stem: str = "model") -> list[Path]:
    """The safetensors files of a folder: the one file, or those that the index names.

    Raises UsageError where there is neither, or a shard is missing.
    """
    whole, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if not index.is_file():
        raise UsageError(f"{folder} has no weights: expected {whole.name} or {index.name}; copy the files there")
    try:
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{index} is not an index of weights ({error}); copy the file there again") from error
    files = [folder / name for name in names]
    for file in files:
        if not file.is_file() or file.parent != folder:
            raise UsageError(f"{folder} lacks {file.name}, which {index.name} names; copy the file there")
    return files


def _shard_name(stem: str, at: int, num: int) -> str:
    return f"{stem}.safetensors" if num == 1 else f"{stem}-{at + 1:05d}-of-{num:05d}.safetensors"


def _begin(path: Path, entries: Sequence[Entry]) -> list[Place]:
    """Write the header, leave room for the values, and say where each goes."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}  # without it the library does not load the file
    offset = 0
    for entry in entries:
        offsets = [offset, offset := offset + entry.num_bytes]
        header[entry.name] = {"dtype": CODES[entry.dtype], "shape": list(entry.shape), "data_offsets": offsets}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the values are aligned
    first = 8 + len(text)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(first + offset)
    starts = (first + header[entry.name]["data_offsets"][0] for entry in entries)
    return [Place(path=path, entry=entry, start=start) for entry, start in zip(entries, starts, strict=True)]


def _write_values(place: Place, tensor: Tensor) -> None:
    entry = place.entry
    assert tuple(tensor.shape) == entry.shape, (
        f"{entry.name} has shape {tuple(tensor.shape)}, expected {entry.shape}: a partitioned tensor must be gathered"
    )
    values = tensor.detach().to("cpu", entry.dtype)
    if entry.dtype == torch.float16 and not bool(values.isfinite().all()) and bool(tensor.isfinite().all()):
        raise DataError(f"{entry.name} has values beyond the range of fp16 (65504); use bf16 or fp32")
    with place.path.open("r+b") as file:
        file.seek(place.start)
        file.write(values.contiguous().flatten().view(torch.uint8).numpy().data)


def _write_index(folder: Path, stem: str, places: Sequence[Place]) -> Path:
    names = {place.entry.name: place.path.name for place in places}
    index = {"metadata": {"total_size": sum(place.entry.num_bytes for place in places)}, "weight_map": names}
    path = folder / f"{stem}.safetensors.index.json"
    path.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", "utf-8")
    return path


def _read_header(path: Path) -> list[Place]:
    try:
        with path.open("rb") as file:
            header, first = _header(file)
        places = [_place(path, name, found, first) for name, found in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a safetensors file ({error}); copy it there again") from error
    _check_extent(path, first, places)
    return places


def _header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The header, and where the values begin."""
    length = int.from_bytes(file.read(8), "little")
    if length > 100_000_000:  # the format's own limit
        raise ValueError(f"a header of {length} bytes")
    header: dict[str, Any] = json.loads(file.read(length))
    return header, 8 + length


def _place(path: Path, name: str, found: Mapping[str, Any], first: int) -> Place:
    entry = Entry(name=name, dtype=DTYPES[found["dtype"]], shape=tuple(map(int, found["shape"])))
    start, end = found["data_offsets"]
    if end - start != entry.num_bytes:
        raise ValueError(f"tensor {name} takes {end - start} bytes, its shape {entry.num_bytes}")
    return Place(path=path, entry=entry, start=first + start)


def _check_extent(path: Path, first: int, places: Sequence[Place]) -> None:
    """Values lie one behind the other, from the header to the end of the file."""
    spans = sorted((place.start, place.start + place.entry.num_bytes) for place in places)
    ends = [(first, first), *spans, (path.stat().st_size, 0)]
    for (_, end), (start, _) in pairwise(ends):
        if end != start:
            raise DataError(f"{path} is damaged or cut off: values end at byte {end}, then byte {start} follows")
