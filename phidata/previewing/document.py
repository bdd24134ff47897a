"""The page as one HTML file: script and style by their hashes, everything from the data as escaped JSON."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

import msgspec

from phidata.previewing.blocks import Block
from phidata.storage.sink import HashedFile

# Inside a <script> the HTML parser looks for `</script` and `<!--` only; U+2028 and U+2029 were line ends to
# JavaScript once. As JSON escapes all of them mean the same.
_ESCAPES = {
    b"<": b"\\u003c",
    b">": b"\\u003e",
    b"&": b"\\u0026",
    "\u2028".encode(): b"\\u2028",
    "\u2029".encode(): b"\\u2029",
}


class Document:
    """Writes a page piece by piece; nothing of it is kept."""

    def __init__(self, file: HashedFile, about: object) -> None:
        style, script, page = _asset("page.css"), _asset("page.js"), _asset("page.html")
        policy = (
            f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
            "img-src data: file: 'self'; base-uri 'none'; form-action 'none'"
        )
        head, _, tail = page.partition(b"{{data}}")
        self._file = file
        self._num_blocks = 0
        self._tail = tail.replace(b"{{script}}", script)
        self._file.write(head.replace(b"{{policy}}", policy.encode()).replace(b"{{style}}", style))
        self._data("about", about)

    def add(self, block: Block) -> None:
        """Write the rows of a block, and beside them its pictures."""
        number = self._num_blocks
        self._data(f"rows-{number}", block.rows)
        self._data(f"thumbs-{number}", [picture.thumb for picture in block.pictures])
        if any(picture.large for picture in block.pictures):
            self._data(f"large-{number}", [picture.large for picture in block.pictures])
        self._num_blocks += 1

    def finish(self) -> None:
        """Write what comes behind the data: the script."""
        self._file.write(self._tail)

    def _data(self, name: str, value: object) -> None:
        self._file.write(f'<script type="application/json" id="{name}">'.encode())
        self._file.write(_escaped(msgspec.json.encode(value)))
        self._file.write(b"</script>\n")


def _escaped(text: bytes) -> bytes:
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _asset(name: str) -> bytes:
    return files("phidata.previewing").joinpath(name).read_bytes()


def _hash(content: bytes) -> str:
    return f"'sha256-{b64encode(sha256(content).digest()).decode()}'"
