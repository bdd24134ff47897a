"""Folders with something hostile in them, each by the name of its lines in the table of paths or annotations.

A scene is made in an empty folder, in which the commands of its line run: sources in `src`, data folders in `data`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from .making import png

ODD = (
    *("  blanks  ", "'it's' \"quoted\" `so`", "line\nfeed", "-dash", "100%41%00", "<script>alert(1)</script>"),
    *("a:b;c&d", "$(touch x)", "*[a]?{b}", "back\\slash", "\x1b[31mred", "\u202ertl\u200f", "e\u0301", "~", "..."),
    "l" * 200,
)  # fmt: skip
LATIN = "caf\udce9"  # a name that is not UTF-8, as Python spells it
CHAT = {"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]}
LONG_BYTES = int(os.environ.get("PHIDATA_HOSTILE_BYTES", "20000000"))  # of a line; 16 MiB are the most it may have


def odd_names() -> None:
    """A source whose folder, classes and pictures have odd names, below folders with the others."""
    source = Path("src", *(name.replace("/", " ") for name in ODD[:2]))
    for number, name in enumerate(name.replace("/", " ") for name in ODD):
        picture(source / "train" / name / f"{name}.png", ("red", "green", "blue")[number % 3])
    source.rename("src/odd")


def picture(path: Path | str, colour: str = "red") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(png(colour))


def source(*names: str) -> None:
    """A source with a picture in a class, and others of these names."""
    for name in ("train/a/1.png", *names):
        picture(f"src/{name}")


def data(*images: str, file: str = "pets_train.jsonl", **changed: Any) -> None:
    """A data folder with a row, and a second one that shows these images; its picture is `a.png`."""
    picture("data/images/a.png")
    rows = [row("1", "a.png"), row("2", *images) | changed]
    Path("data", file).write_text("".join(json.dumps(one) + "\n" for one in rows), "utf-8")


def row(id_: str, *images: str) -> dict[str, Any]:
    return {"id": id_, "source": "s", "conversations": [{"images": images, "user": "u", "assistant": "a"}]}


def linked(path: str, target: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).symlink_to(target)


def piped(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


def chats(*lines: bytes, file: str = "src/train.jsonl") -> None:
    """A source of chat messages: a sound line, and these."""
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_bytes(b"".join(line + b"\n" for line in (json.dumps(CHAT).encode(), *lines)))


def rows(*lines: bytes) -> None:
    """A jsonl file with a sound row, and these lines."""
    Path("rows.jsonl").write_bytes(b"".join(line + b"\n" for line in (json.dumps(row("1")).encode(), *lines)))


def both(change: Callable[[bytes], bytes]) -> None:
    """The source of chat messages and the rows, each with a second line that is changed."""
    chats(change(json.dumps(CHAT).encode()))
    rows(change(json.dumps(row("2")).encode()))


def with_metadata(value: bytes) -> Callable[[bytes], bytes]:
    return lambda line: line[:-1] + b', "metadata": ' + value + b"}"


def with_answer(value: bytes) -> Callable[[bytes], bytes]:
    return lambda line: line.replace(b'"a"', b'"' + value + b'"')


def encoded(encoding: str) -> None:
    for path, value in (("src/train.jsonl", CHAT), ("rows.jsonl", row("1"))):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_bytes((json.dumps(value) + "\n").encode(encoding))


def table(content: bytes) -> None:
    Path("src").mkdir()
    Path("src/t.csv").write_bytes(b"q,a\nu,a\n" + content)


def several(*scenes: Callable[[], None]) -> None:
    for scene in scenes:
        scene()


DEEP = b"[" * 100_000 + b"]" * 100_000
OPEN_LINE = b'{"id": "2", "source": "' + b"a" * LONG_BYTES
SCENES: Mapping[str, Callable[[], None]] = {
    "odd-names": odd_names,
    "latin-argument": partial(data),
    "latin-image": partial(source, f"train/{LATIN}/1.png", f"train/a/{LATIN}.png"),
    "latin-table": lambda: chats(file=f"src/{LATIN}.jsonl"),
    "latin-data": partial(data, file=f"{LATIN}_train.jsonl"),
    "loop-below": lambda: several(partial(source), partial(linked, "src/train/a/up", "..")),
    "loop-picture": lambda: several(partial(source), partial(linked, "src/train/a/2.png", "2.png")),
    "loop-source": partial(linked, "src", "src"),
    "loop-out": lambda: several(partial(data), partial(linked, "out", "out")),
    "loop-image": lambda: several(partial(data, "b.png"), partial(linked, "data/images/b.png", "b.png")),
    "dangling-out": lambda: several(partial(source), partial(linked, "out", "gone/deeper")),
    "linked-out": lambda: several(partial(source), Path("real").mkdir, partial(linked, "out", "real")),
    "pipe-source": partial(piped, "src"),
    "pipe-picture": lambda: several(partial(source), partial(piped, "src/train/a/2.png")),
    "pipe-table": partial(piped, "src/train.jsonl"),
    "pipe-image": lambda: several(partial(data, "b.png"), partial(piped, "data/images/b.png")),
    "pipe-rows": lambda: several(Path("data").mkdir, partial(piped, "data/pets_train.jsonl")),
    "pipe-shard": lambda: several(Path("data").mkdir, partial(piped, "data/train-00000-of-00001.tar")),
    "pipe-manifest": lambda: several(partial(data), partial(piped, "data/manifest.json")),
    "long-name": partial(source, f"train/a/{'x' * 251}.png"),
    "long-image": partial(data, "x" * 5000 + ".png"),
    "deep-image": partial(data, "/".join(["y" * 200] * 30)),
    "image-leads-out": partial(data, "../rows.png"),
    "image-absolute": partial(data, "/etc/passwd"),
    "image-url": partial(data, "https://example.org/a.png"),
    "latin-1": lambda: both(with_answer(b"caf\xe9")),
    "utf-16": partial(encoded, "utf-16"),
    "utf-16-bare": partial(encoded, "utf-16-be"),
    "utf-32": partial(encoded, "utf-32"),
    "mark": partial(encoded, "utf-8-sig"),
    "deep-lists": lambda: both(with_metadata(b'{"a": ' + DEEP + b"}")),
    "deep-objects": lambda: both(with_metadata(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)),
    "deep-enough": lambda: both(with_metadata(b'{"a": ' + b"[" * 70 + b"]" * 70 + b"}")),
    "deep-document": lambda: several(Path("src").mkdir, lambda: _write("src/train.json", b"[" * 1_000_000)),
    "long-number": lambda: both(with_metadata(b'{"a": ' + b"9" * 2_000_000 + b"}")),
    "large-number": lambda: both(with_metadata(b'{"a": 1e999}')),
    "not-finite": lambda: both(with_metadata(b'{"a": NaN, "b": -Infinity}')),
    "nul-byte": lambda: both(with_answer(b"a\0b")),
    "half-character": lambda: both(with_answer(b"a\\ud800b")),
    "half-character-bytes": lambda: both(with_answer(b"a\xed\xa0\x80b")),
    "key-twice": lambda: both(lambda line: line[:-1] + b', "messages": [], "id": "3"}'),
    "long-line": lambda: both(with_answer(b"a" * LONG_BYTES)),
    "long-open-line": lambda: several(partial(chats, OPEN_LINE), partial(rows, OPEN_LINE)),
    "many-keys": lambda: both(with_metadata(json.dumps(dict.fromkeys(map(str, range(100_000)))).encode())),
    "csv-nul": partial(table, b"u,a\0b\n"),
    "csv-latin-1": partial(table, b"u,caf\xe9\n"),
    "csv-open-quote": partial(table, b'u,"open\nu,a\nu,a\n'),
    "csv-quote-inside": partial(table, b'u,"so" it goes\nu,so "it" goes\n'),
    "csv-long-field": partial(table, b"u," + b"a" * LONG_BYTES + b"\nu,a\n"),
    "csv-fields": partial(table, b"u\nu,a,b\n"),
}


def _write(path: str, content: bytes) -> None:
    Path(path).write_bytes(content)
