"""What changed bytes are given to: readers of every format, each told whether it took them, refused them, or failed."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pyarrow as pa

import phidata
from phidata.errors import DataError, PhidataError
from phidata.storage.annotations import json_records
from phidata.storage.archive import unpack
from phidata.storage.folder import MANIFEST
from phidata.storage.ledger import LEDGER
from phidata.storage.shape import SHAPES, Shape
from tests.converters.sources import converted
from tests.converters.test_bad_sources import KINDS, Kind
from tests.storage.conftest import ROWS, numbered, write_folder

from .archives import tar
from .making import FORMATS, member, png, zipped
from .mutating import mutated, mutated_json

Mutate = Callable[[bytes, Random], bytes]
Read = Callable[[Path, bytes], bool]
"""Reads changed bytes in an empty folder: whether all was taken. What is refused raises PhidataError."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One kind of bytes, sound as they are made, and who reads them."""

    name: str
    what: str
    data: Callable[[], bytes]
    mutate: Mutate
    read: Read


def targets() -> list[Target]:
    """All of them, in the order of the page."""
    return [
        Target(name="rows", what="jsonl through validate and load", data=_rows, mutate=mutated_json, read=_check),
        Target(name="repair", what="jsonl through fix, twice", data=_rows, mutate=mutated_json, read=_fix),
        *(_annotations(kind) for kind in (*KINDS, *MORE) if not kind.main.endswith((".avi", ".jpg"))),
        *(_record(name) for name in (MANIFEST, LEDGER)),
        *(_shard(shape) for shape in SHAPES if shape != "images-jsonl"),
        *(_archive(name) for name in (*FORMATS, "zip")),
    ]


def _rows() -> bytes:
    """Four rows with all that a row can have."""
    more = {
        "id": "é",
        "source": "s",
        "conversations": [{"images": [], "user": "u", "assistant": "a", "answers": ["a"]}],
    }
    lines = [*(phidata_json(row) for row in (*ROWS, *numbered(2))), json.dumps(more | {"metadata": {"a": [1, None]}})]
    return "".join(f"{line}\n" for line in lines).encode()


def phidata_json(row: phidata.Conversation) -> str:
    import msgspec

    return msgspec.json.encode(row).decode()


def _check(folder: Path, data: bytes) -> bool:
    """Validate the rows and load them: what validation calls sound can be loaded, what can not be is an error."""
    path = folder / "rows.jsonl"
    path.write_bytes(data)
    report = phidata.validate(path, media="none")
    broken = _unreadable(path)
    if broken is not None and report.ok:
        raise AssertionError(f"validate finds no error, load says: {broken}")
    return report.ok


def _unreadable(path: Path) -> str | None:
    try:
        data = phidata.load(path)
        for number in range(len(data)):
            _ = data[number]
        list(data)
    except DataError as error:
        return str(error)
    return None


def _fix(folder: Path, data: bytes) -> bool:
    """Repair the rows; a second repair has nothing left to do."""
    path = folder / "rows.jsonl"
    path.write_bytes(data)
    phidata.fix(path, media="none", unsafe=True)
    once = path.read_bytes()
    phidata.fix(path, media="none", unsafe=True)
    assert path.read_bytes() == once, "a second repair changes something"
    return phidata.validate(path, media="none").ok


def _arrow_table(folder: Path, *, stream: bool = False) -> None:
    """A table in Arrow's form with columns of every kind of value."""
    folder.mkdir(parents=True)
    rows = [
        {"q": "Who?", "a": "A", "more": [{"x": [1, None], "y": b"\0"}], "flag": True, "at": 1.5},
        {"q": "u", "a": "b"},
    ]
    table = pa.Table.from_pylist(rows).append_column("kind", pa.array(["x", "x"]).dictionary_encode())
    open_new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with open_new(str(folder / "t.arrow"), table.schema) as file:
        file.write_table(table)


def _caption_tar(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "a.tar").write_bytes(
        b"".join(member(f"{number}.{kind}", data) for number in "12" for kind, data in (("png", png()), ("txt", b"A")))
        + bytes(1024)
    )


_MAPPED = {"map": ("user=q", "assistant=a", "metadata.more=flag")}
MORE = (
    Kind("table", _arrow_table, "t.arrow", "", None, _MAPPED),
    Kind("table", lambda folder: _arrow_table(folder, stream=True), "t.arrow", " (stream)", None, _MAPPED),
    Kind("captions", _caption_tar, "a.tar", "", None),
)


def _annotations(kind: Kind) -> Target:
    return Target(
        name=f"{kind.name}: {kind.main}{kind.medium if kind in MORE else ''}",
        what=f"{kind.main} of a source through convert --from {kind.name}",
        data=lambda: _main(kind),
        mutate=mutated_json if kind.main.endswith((".json", ".jsonl")) else mutated,
        read=lambda folder, data: _convert(kind, folder, data),
    )


def _main(kind: Kind) -> bytes:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        kind.make(Path(folder) / "source")
        return (Path(folder) / "source" / kind.main).read_bytes()


def _convert(kind: Kind, folder: Path, data: bytes) -> bool:
    """Convert the source with the changed file in it; every record of a file of JSON lines is accounted for."""
    source = folder / "source"
    kind.make(source)
    (source / kind.main).write_bytes(data)
    told = converted(kind.name, source, **kind.settings)
    if kind.main.endswith(".jsonl"):
        num_records = sum(1 for _ in json_records(source / kind.main))
        assert len(told) == num_records, f"{num_records} records went in, {len(told)} came out"
    return not any(isinstance(row, str) and row.startswith("failed") for row in told)


def _record(name: str) -> Target:
    """The manifest or the ledger of a data folder."""
    return Target(
        name=name,
        what=f"{name} of a data folder through load, validate, verify, stats, merge, split, fix",
        data=lambda: (_folder("images-jsonl") / name).read_bytes(),
        mutate=mutated_json,
        read=lambda folder, data: _all_readers(folder, name, data),
    )


def _folder(shape: Shape) -> Path:
    """A data folder, made once."""
    if shape not in _MADE:
        from tempfile import mkdtemp

        out = Path(mkdtemp()) / "data"
        write_folder(out, shape, [*ROWS, *numbered(3)])
        _MADE[shape] = out
    return _MADE[shape]


_MADE: dict[str, Path] = {}


def _all_readers(folder: Path, name: str, data: bytes) -> bool:
    out = folder / "data"
    shutil.copytree(_folder("images-jsonl"), out)
    (out / name).write_bytes(data)
    readers: Sequence[Callable[[], object]] = (
        lambda: list(phidata.load(out)),
        lambda: phidata.validate(out, media="exists"),
        lambda: phidata.verify(out),
        lambda: phidata.stats(out),
        lambda: phidata.merge([out], out=folder / "merged"),
        lambda: phidata.split(out, out=folder / "split", splits={"train": 1, "val": 1}, by="id"),
        lambda: phidata.fix(out, media="none"),
    )
    taken = [_is_taken(reader) for reader in readers]
    return all(taken)


def _is_taken(reader: Callable[[], object]) -> bool:
    try:
        with redirect_stderr(io.StringIO()):
            found = reader()
    except PhidataError:
        return False
    return not isinstance(found, phidata.Verification) or found.ok


def _shard(shape: Shape) -> Target:
    return Target(
        name=shape,
        what=f"a shard of the shape {shape} through load and validate",
        data=lambda: _shard_of(_folder(shape)).read_bytes(),
        mutate=mutated,
        read=lambda folder, data: _read_shard(folder / f"x{_shard_of(_folder(shape)).suffix}", data),
    )


def _shard_of(folder: Path) -> Path:
    [shard] = [path for path in folder.rglob("train-*") if path.is_file()]
    return shard


def _read_shard(path: Path, data: bytes) -> bool:
    path.write_bytes(data)
    report = phidata.validate(path, media="none")
    try:
        rows = phidata.load(path)
        for number in range(len(rows)):
            rows.image_bytes(number)
        list(rows)
    except DataError:
        return False
    return report.ok


def _archive(name: str) -> Target:
    return Target(
        name=f"archive: {name}",
        what=f"a {name} through the unpacking of convert",
        data=lambda: _packed(name),
        mutate=mutated,
        read=_unpacked,
    )


def _packed(name: str) -> bytes:
    more = {"train/b/3.txt": b"three" * 100, "train/ü/4.png": png("green")}
    return zipped(more | {"x" * 120: b""}) if name == "zip" else FORMATS[name](tar(*map(member, more, more.values())))


def _unpacked(folder: Path, data: bytes) -> bool:
    """Unpack an archive below the folder, and nowhere else."""
    (folder / "archive").write_bytes(data)
    unpack(folder / "archive", folder / "inside" / "inside")
    assert {path.name for path in folder.iterdir()} == {"archive", "inside"}
    assert [path.name for path in (folder / "inside").iterdir()] == ["inside"]
    return True
