"""The perceptual hash, and the search for near ones."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from phidata.curation import neighbours
from phidata.curation.neighbours import MAX_DISTANCE, differing_bits, near_pairs
from phidata.curation.perceptual import hash_of_bytes
from phidata.errors import DataError

from .conftest import encoded, photo

NAMES = ("plate", "street", "bus")


def looks(data: bytes) -> int:
    value = hash_of_bytes(data)
    assert value is not None
    return value


def opened(name: str) -> Image.Image:
    return Image.open(BytesIO(photo(name))).convert("RGB")


def test_hashes_are_what_they_were() -> None:
    assert {name: f"{looks(photo(name)):016x}" for name in NAMES} == {
        "plate": "e1c9966ddb236984",
        "street": "8bdec772b741a049",
        "bus": "b567b834c6b843b8",
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_that_was_changed_little_keeps_its_look(name: str) -> None:
    image = opened(name)
    width, height = image.size
    changed = {
        "png": encoded(image, "PNG"),
        "webp": encoded(image, "WEBP", quality=60),
        "jpeg 30": encoded(image, quality=30),
        "half": encoded(image.resize((width // 2, height // 2))),
        "square": encoded(image.resize((224, 224))),
        "brighter": encoded(ImageEnhance.Brightness(image).enhance(1.1)),
        "greyer": encoded(ImageEnhance.Contrast(image).enhance(0.85)),
        "grey": encoded(image.convert("L")),
        "palette": encoded(image.convert("P"), "PNG"),
        "transparent": encoded(image.convert("RGBA"), "PNG"),
    }
    distances = {change: differing_bits(looks(photo(name)), looks(data)) for change, data in changed.items()}
    assert max(distances.values()) <= 6, distances


def test_other_pictures_have_other_looks() -> None:
    for one, other in (("plate", "street"), ("street", "bus"), ("bus", "plate")):
        assert differing_bits(looks(photo(one)), looks(photo(other))) >= 16


def test_pictures_of_few_lines_and_colours_have_no_look() -> None:
    """A gradient, a flag, stripes: all but a few of their frequencies are nothing."""
    gradient = Image.linear_gradient("L")
    flag = Image.new("RGB", (90, 60), "black")
    flag.paste("red", (30, 0, 60, 60))
    stripes = Image.new("L", (64, 64))
    for left in range(0, 64, 2):
        stripes.paste(255, (left, 0, left + 1, 64))
    assert [hash_of_bytes(encoded(image, "PNG")) for image in (gradient, flag, stripes)] == [None, None, None]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_a_picture_without_structure_has_no_look(mode: str) -> None:
    assert hash_of_bytes(encoded(Image.new(mode, (50, 40), 1), "PNG")) is None


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=6), st.data())
def test_near_pairs_are_those_of_comparing_each_with_each(seeds: list[int], data: st.DataObject) -> None:
    flips = st.sets(st.integers(0, 63), max_size=20)
    changed = [seed ^ sum(1 << bit for bit in data.draw(flips)) for seed in seeds for _ in range(3)]
    hashes = list(dict.fromkeys([*seeds, *changed]))
    distance = data.draw(st.integers(0, 7))
    first, second = near_pairs(np.array(hashes, dtype=np.uint64), distance)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [
        (one, other)
        for one in range(len(hashes))
        for other in range(one + 1, len(hashes))
        if differing_bits(hashes[one], hashes[other]) <= distance
    ]


def test_the_largest_distance_is_found_wherever_the_bits_are() -> None:
    spread = sum(1 << bit for bit in range(0, 60, 4))
    hashes = np.array([0, spread, spread << 1, spread | 2], dtype=np.uint64)
    first, second = near_pairs(hashes, MAX_DISTANCE)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 3)]


def test_candidates_are_compared_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.arange(300, dtype=np.uint64)
    whole = near_pairs(hashes, 4)
    monkeypatch.setattr(neighbours, "_CHUNK", 1000)
    pieces = near_pairs(hashes, 4)
    assert all(np.array_equal(one, other) for one, other in zip(whole, pieces, strict=True))
    assert len(whole[0]) > 10_000


def test_too_many_pairs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MAX_PAIRS", 20_000)
    with pytest.raises(DataError, match="more than 10,000 pairs of the images look alike; lower --distance, or"):
        near_pairs(np.arange(300, dtype=np.uint64), 4)
