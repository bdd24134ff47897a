"""What `dedup` tells: rows that are there twice, rows of one split whose images another one shows, and what is done."""

from __future__ import annotations

import msgspec


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A row and the row it is like, by split and id.

    `distance` is None when the images have the same bytes, otherwise the largest number of bits in which the hashes of
    two of them differ. `image` and `twin_image` are the paths of the two images, where one image is meant.
    """

    split: str
    id: str
    twin_split: str
    twin: str
    distance: int | None
    image: str | None = None
    twin_image: str | None = None


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of an evaluation split that show an image which a row of another split shows.

    `exact` and `near` count these rows by the nearest such image, `other_rows` the rows of the other split that show an
    image of this one. `matches` has each of the rows with its nearest twin.
    """

    split: str
    other: str
    rows: int
    exact: int
    near: int
    other_rows: int
    matches: tuple[Match, ...]


class ImageCopies(msgspec.Struct, frozen=True, kw_only=True):
    """The images of a data set, as far as rows show them.

    `shown` counts each as often as it is shown, `paths` by its path, `contents` by its bytes. `copies` lists the paths
    of each content that has several, `near_pairs` counts the pairs of contents that look alike. `flat` contents have no
    structure and `broken` ones can not be decoded; both are compared by their bytes alone. `first_broken` says of one
    why.
    """

    shown: int
    paths: int
    contents: int
    copies: tuple[tuple[str, ...], ...]
    near_pairs: int
    flat: int
    broken: int
    first_broken: str | None


class SplitRows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one split, and how many are left when those with twins are gone."""

    rows: int
    left: int


class Deduplicated(msgspec.Struct, frozen=True, kw_only=True):
    """What is twice in a data set. `written` says whether a folder without it was made, `out` which.

    `keep_splits` are the evaluation splits, which lose nothing. `duplicates` are rows that say and show what an earlier
    row does, those in the evaluation splits too. `left_out` counts by reason the rows of the others that are, or would
    be, left out.
    """

    folder: str
    out: str | None
    written: bool
    distance: int | None
    keep_splits: tuple[str, ...]
    splits: dict[str, SplitRows]
    duplicates: tuple[Match, ...]
    leakage: tuple[Leak, ...]
    left_out: dict[str, int]
    images: ImageCopies

    @property
    def num_open(self) -> int:
        """How many findings there are that no new folder has settled: all of them, or of a folder that was written the
        rows that one evaluation split shares with another."""
        between_kept = sum(leak.rows for leak in self.leakage if leak.other in self.keep_splits)
        if self.written:
            return between_kept
        return len(self.duplicates) + sum(leak.rows for leak in self.leakage)
