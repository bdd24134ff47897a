"""Finds rows that are there twice, and images that one split shows and another one too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass

from phidata.curation.inventory import Inventory
from phidata.curation.likeness import Likeness


@dataclass(frozen=True, kw_only=True, slots=True)
class Twin:
    """A row and the one it is like. `distance` is None when the images have the same bytes, otherwise the largest
    number of bits in which the looks of two of them differ."""

    row: int
    twin: int
    distance: int | None
    image: int | None = None  # the content that both show, where one image is meant
    twin_image: int | None = None


def duplicates(inventory: Inventory, likeness: Likeness, kept: Container[str], gone: Container[int] = ()) -> list[Twin]:
    """The rows that say what an earlier row says and show what it shows, image by image, in the order of the rows.

    Rows that are `gone` are passed over. The earlier one is never itself a duplicate, unless it is in a split that is
    `kept`: whoever leaves out the duplicates of the other splits leaves out no twin.
    """
    num_with_text = Counter(map(inventory.text, range(len(inventory))))
    first: dict[tuple[int, ...], int] = {}  # text and images → row
    similar: dict[tuple[int, int], list[int]] = {}  # text and look of the middle image → rows
    found = []
    for row in range(len(inventory)):
        text, images = inventory.text(row), inventory.images(row)
        if num_with_text[text] == 1 or row in gone:
            continue
        exact = first.get((text, *images))
        twin = _like(row, inventory, likeness, similar) if exact is None else Twin(row=row, twin=exact, distance=None)
        if twin is not None:
            found.append(twin)
        if twin is None or inventory.split(row) in kept:
            first.setdefault((text, *images), row)
            if images:
                similar.setdefault((text, likeness.look(_middle(images))), []).append(row)
    return found


def shared_images(inventory: Inventory, likeness: Likeness, rows: Iterable[int], others: Iterable[int]) -> list[Twin]:
    """The rows that show an image which one of the other rows shows, each with the nearest of these, or the first."""
    shown: dict[int, int] = {}  # content → the first other row that shows it
    looks: dict[int, tuple[int, int]] = {}  # look → content and row
    for other in others:
        for content in inventory.images(other):
            shown.setdefault(content, other)
            looks.setdefault(likeness.look(content), (content, other))
    return [twin for row in rows if (twin := _nearest(row, inventory, likeness, shown, looks)) is not None]


def _middle(images: Collection[int]) -> int:
    """The image by which a row is looked up: the first frames of videos are often all the same title."""
    return list(images)[len(images) // 2]


def _like(row: int, inventory: Inventory, likeness: Likeness, similar: dict[tuple[int, int], list[int]]) -> Twin | None:
    images = inventory.images(row)
    if not images:
        return None
    best: Twin | None = None
    for look in likeness.like(_middle(images)):
        for other in similar.get((inventory.text(row), look), ()):
            distances = [likeness.distance(one, two) for one, two in zip(images, inventory.images(other), strict=True)]
            near = [distance for distance in distances if distance is not None]
            if len(near) == len(distances):
                twin = Twin(row=row, twin=other, distance=max(near))
                best = min(best or twin, twin, key=_closeness)
    return best


def _nearest(
    row: int, inventory: Inventory, likeness: Likeness, shown: dict[int, int], looks: dict[int, tuple[int, int]]
) -> Twin | None:
    best: Twin | None = None
    for content in inventory.images(row):
        if content in shown:
            return Twin(row=row, twin=shown[content], distance=None, image=content, twin_image=content)
        for look in likeness.like(content):
            if look in looks:
                other_content, other = looks[look]
                distance = likeness.distance(content, other_content)
                twin = Twin(row=row, twin=other, distance=distance, image=content, twin_image=other_content)
                best = min(best or twin, twin, key=_closeness)
    return best


def _closeness(twin: Twin) -> tuple[int, int]:
    return (-1 if twin.distance is None else twin.distance, twin.twin)
