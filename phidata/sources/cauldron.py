"""Rows as all subsets of the cauldron have them: `images`, and `texts` of {user, assistant, source} about them.

https://huggingface.co/datasets/HuggingFaceM4/the_cauldron
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from phidata.conversion.converter import Converted, Option, Row
from phidata.conversion.media import Media
from phidata.errors import DataError, UsageError
from phidata.records import Turn
from phidata.sources import fields, files
from phidata.storage.annotations import kind_of
from phidata.storage.hub import HubFiles
from phidata.storage.source import Root

HUB_ID = "HuggingFaceM4/the_cauldron"
COLUMNS = ("images", "texts")
TURNS = Option(
    name="turns",
    help="Whether all that is asked about the same images is one row, or each question a row.",
    default="join",
    choices=("join", "split"),
)


def hub(subset: str) -> HubFiles:
    """Where a subset lies on the hub."""
    return HubFiles(HUB_ID, (f"{subset}/*.parquet",))


@dataclass(frozen=True, kw_only=True)
class CauldronRow(Row):
    """One row of a subset, or the one of its texts with this index."""

    text: int | None = None


def rows(root: Root, *, subset: str | None, turns: str, any_source: bool = False) -> Iterator[CauldronRow]:
    """List the rows of a subset, with `turns="split"` one for each text.

    Raises UsageError for files with other columns, and for those whose texts are from something else than the subset
    that is named, unless they may have `any_source`.
    """
    tables = files.tables(root, COLUMNS, folder=subset)
    if subset is not None and not any_source:
        _check_subset(tables[0], subset)
    names = files.RowNames()
    for source in tables:
        for line, record in source.table.rows(("texts",) if turns == "split" else ()):
            name = names.next(source.split)
            texts = record.get("texts")
            if turns == "join" or not isinstance(texts, list) or not texts:
                yield CauldronRow(split=source.split, name=name, file=source.file, line=line)
                continue
            for text in range(len(texts)):
                yield CauldronRow(split=source.split, name=f"{name}-{text}", file=source.file, line=line, text=text)


def turns(row: CauldronRow, media: Media) -> Converted:
    """The images on the first turn, one turn for each text, word for word.

    The source is that of the texts when they all have the same.
    """
    record = media.record()
    texts = fields.value(record, "texts")
    if not isinstance(texts, list) or not texts:
        raise DataError(
            f"its 'texts' is {'an empty list' if texts == [] else kind_of(texts)}, where texts are expected"
        )
    if row.text is not None:
        texts = [texts[row.text]]
    stem = row.name if row.text is None else row.name.rpartition("-")[0]  # its texts share the images
    images = fields.pictures(media, fields.value(record, "images"), name=stem)
    turns = [
        Turn(images=images if k == 0 else (), user=fields.text(text, "user"), assistant=fields.text(text, "assistant"))
        for k, text in enumerate(map(_present, texts))
    ]
    sources = {text["source"] for text in texts if isinstance(text.get("source"), str)}
    return Converted(turns=turns, source=sources.pop() if len(sources) == 1 else None)


def _present(text: Any) -> dict[str, Any]:
    if not isinstance(text, dict):
        raise DataError(f"one of its 'texts' is {kind_of(text)}, where {{user, assistant, source}} is expected")
    return text


def _check_subset(source: files.SourceTable, subset: str) -> None:
    """The texts name where they are from: `Hateful Memes` in the subset hateful_memes."""
    if subset in source.file.split("/"):
        return
    record = next((record for _, record in source.table.rows(("texts",))), {})
    texts = record.get("texts")
    found = texts[0].get("source") if isinstance(texts, list) and texts and isinstance(texts[0], dict) else None
    if isinstance(found, str) and _plain(found) != _plain(subset):
        raise UsageError(
            f"{source.file} is from {found!r}, where {subset} is expected; convert it with --from cauldron"
        )


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()
