"""The cauldron: fifty vision-language sets in one form. https://huggingface.co/datasets/HuggingFaceM4/the_cauldron

A row of any subset, in Parquet files below a folder that is called like the subset:

    images: [{bytes: …, path: null}]
    texts: [{user: "Which flower is yellow?\\nShort answer.", assistant: "Daisy.", source: "ai2d"}, {user: …}]

becomes a row with the images on the first turn and a turn for each text, word for word; with --turns split a row for
each text, all with the images.
"""

from __future__ import annotations

from collections.abc import Iterator

from phidata.conversion import About, Converted, Converter, Media, Option, Root, Settings
from phidata.errors import UsageError
from phidata.sources import cauldron

SUBSET = Option(name="subset", help="Which subset to read, such as ai2d; of a folder with one subset that one.")


class Cauldron:
    """Any subset, as it stands; rows name as their source what the texts name."""

    about = About(
        name="cauldron",
        kind="conversations about images",
        source="Parquet files with images and texts, of one subset or in a folder for each subset",
        hub=(cauldron.hub("{subset}"),),
        licence="each subset its own; see the data set's page",
        options=(SUBSET, cauldron.TURNS),
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[cauldron.CauldronRow]:
        if settings["subset"] is None and root.patterns:
            raise UsageError(f"{root.name} has fifty subsets; say which to read, such as --subset ai2d")
        return cauldron.rows(root, subset=settings["subset"], turns=settings["turns"], any_source=True)

    def convert(self, row: cauldron.CauldronRow, media: Media) -> Converted:
        return cauldron.turns(row, media)


converter: Converter[cauldron.CauldronRow] = Cauldron()
