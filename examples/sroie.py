"""Receipts with their key fields (SROIE, https://rrc.cvc.uab.es/?ch=13): `000.jpg` and beside it `000.json`.

{"company": "YONGFATT ENTERPRISE", "date": "25/12/2018",
 "address": "NO 122.124. JALAN DEDAP 13 81100 JOHOR BAHRU", "total": "80.90"}
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phidata.conversion import About, Media, Option, Root, Row, Settings, Skip, Turn, read_json
from phidata.errors import DataError, UsageError

FIELDS = ("company", "date", "address", "total")


@dataclass(frozen=True, kw_only=True)
class Receipt(Row):
    """One receipt."""

    json: Path
    fields: tuple[str, ...]


class Sroie:
    about = About(
        name="sroie",
        kind="receipts with key fields",
        source="a folder of .jpg with a .json beside each",
        options=(Option(name="fields", help="What is asked for.", choices=FIELDS, default=FIELDS, multiple=True),),
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[Receipt | Skip]:
        """One row for each receipt; a file without its other half is skipped by name."""
        pictures = {file: file.rpartition(".")[0] for file in root.files(".jpg")}
        documents = {file.rpartition(".")[0]: file for file in root.files(".json")}
        if not set(pictures.values()) & set(documents):
            raise UsageError(f"{root.name} has no .jpg with a .json beside it; this converter reads receipts of both")
        for file, stem in pictures.items():
            if stem not in documents:
                yield Skip(file=file, split="train", reason="no .json beside the picture")
                continue
            yield Receipt(
                split="train",
                name=f"train/{stem}",
                file=file,
                json=root.path / documents[stem],
                fields=settings["fields"],
            )
        for stem in sorted(documents.keys() - set(pictures.values())):
            yield Skip(file=documents[stem], split="train", reason="no picture beside the .json")

    def convert(self, row: Receipt, media: Media) -> tuple[Turn, ...]:
        """A turn for each field that is there, the picture on the first."""
        receipt = read_json(row.json)
        if not isinstance(receipt, dict):
            raise DataError("the .json is not an object of fields")
        asked = [field for field in FIELDS if field in row.fields and field in receipt]
        if not asked:
            raise DataError(f"the .json has none of the fields {', '.join(row.fields)}")
        image = media.image(row.file)
        return tuple(
            Turn(
                images=(image,) if number == 0 else (),
                user=f"What is the {field} of this receipt?",
                assistant=receipt[field],
            )
            for number, field in enumerate(asked)
        )


converter = Sroie()
