"""From a data set to a page: which rows, what is wrong with them, their pictures, one file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import get_args
from urllib.parse import quote

import msgspec

from phidata.console import progress
from phidata.diagnostics.catalogue import RULES
from phidata.diagnostics.excerpt import printable
from phidata.errors import DataError, UsageError
from phidata.previewing.blocks import BLOCK_ROWS, BlockMaker
from phidata.previewing.choice import Place, check_codes
from phidata.previewing.document import Document
from phidata.previewing.place import check_place, remove_unfinished
from phidata.previewing.shown import ShownData
from phidata.previewing.thumbnails import choose_sides
from phidata.statistics import RowTokens
from phidata.storage.room import needing_room
from phidata.storage.sink import new_file
from phidata.validation import Media


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page that has been written: `rows` of the `rows_in_data` rows are on it, with that many images and findings."""

    path: Path
    rows: int
    rows_in_data: int
    images: int
    findings: int
    bytes: int


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a page says about itself. Its `rows` were drawn from `candidates`, if those are more. Where images are files
    near the page, `images` is the way to their folder."""

    name: str
    shape: str
    rows: int
    candidates: int
    blocks: int
    block_rows: int
    seed: int
    only: tuple[str, ...]
    titles: dict[str, str]
    exact_tokens: bool
    images: str | None


def preview(
    path: str | Path,
    out: str | Path = "preview.html",
    *,
    split: str | None = None,
    sample: int | None = None,
    seed: int = 0,
    only: Sequence[str] = (),
    images: str | Path | None = None,
    media: Media = "header",
) -> Page:
    """Write one HTML file that shows a data folder of any shape, or one file of it, in a browser without a network.

    All rows are on it, or `sample` of them drawn with `seed`; unasked never more than 10 000. `only` keeps the rows
    with a finding of these codes, or of codes that begin so. `media` says how closely images are checked. Images that
    lie below the page's folder are linked for their full size; of others the page carries a larger copy, as far as
    its size allows. A page of that name is replaced when the new one is whole; no other file is.

    Raises UsageError for a path without data, an unknown split or code, when there is no row to show, and when the page
    can not be written there.
    """
    if media not in get_args(Media):
        raise UsageError(f"media is {media!r}; it can be {', '.join(map(repr, get_args(Media)))}")
    if sample is not None and sample < 1:
        raise UsageError(f"the sample is {sample} rows; it has to be 1 or more")
    check_place(Path(out))
    codes = check_codes(only)
    data = ShownData(Path(path), split=split, images=images, media=media)
    places, num_candidates = data.choose(sample, seed, codes)
    return _write(data, places, Path(out), num_candidates=num_candidates, seed=seed, codes=codes)


def _write(
    data: ShownData, places: list[Place], out: Path, *, num_candidates: int, seed: int, codes: tuple[str, ...]
) -> Page:
    findings = data.findings(places)
    link = _link(data, out)
    num_images = sum(_num_images(data, place) for place in places)
    tokens = RowTokens()
    about = About(
        name=printable(data.path.resolve().name),
        shape=data.shape,
        rows=len(places),
        candidates=num_candidates,
        blocks=-(-len(places) // BLOCK_ROWS),
        block_rows=BLOCK_ROWS,
        seed=seed,
        only=codes,
        titles={found.code: RULES[found.code].title for row in findings.values() for found in row},
        exact_tokens=tokens.exact,
        images=link,
    )
    remove_unfinished(out)
    with (
        needing_room(),
        new_file(out) as file,
        ThreadPoolExecutor(os.cpu_count()) as executor,
        progress(len(places), "drawing") as bar,
    ):
        document = Document(file, about)
        sides = choose_sides(num_images, embed=link is None)
        maker = BlockMaker(data, findings, tokens=tokens, sides=sides, executor=executor)
        for block in maker.blocks(places):
            document.add(block)
            bar.update(len(block.rows))
        document.finish()
    return Page(
        path=out,
        rows=len(places),
        rows_in_data=data.num_rows,
        images=num_images,
        findings=sum(map(len, findings.values())),
        bytes=out.stat().st_size,
    )


def _num_images(data: ShownData, place: Place) -> int:
    try:
        return len(data.splits[place.split][place.number].images)
    except DataError:
        return 0  # a row that can not be read; the page shows it as such


def _link(data: ShownData, out: Path) -> str | None:
    """The address of the image folder as seen from the page, when images are files that lie below the page's folder."""
    root = next(iter(data.splits.values())).image_root
    if root is None:
        return None
    page_folder = Path(os.path.realpath(out)).parent  # a link to itself is no error here
    if not root.resolve().is_relative_to(page_folder):
        return None
    parts = root.resolve().relative_to(page_folder).parts
    return "".join(f"{quote(os.fsencode(part))}/" for part in parts)
