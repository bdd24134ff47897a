"""The headers of MPEG-4 part 2 pictures (ISO/IEC 14496-2, sections 6.2.3 and 6.2.5), as far as they tell what a packet
is going to yield."""

from __future__ import annotations

import re
from typing import Literal

_KINDS: dict[int, Literal["I", "P"]] = {0: "I", 1: "P"}
_START = b"\0\0\1"
_PICTURE = b"\0\0\1\xb6"
_GROUP = b"\0\0\1\xb3"
_GROUP_BYTES = 7
_LAYER = re.compile(rb"\x00\x00\x01[\x20-\x2f]")
_OBJECT_TYPES = (1, 17)  # simple, advanced simple
_EXTENDED_ASPECT_RATIO = 15
_RECTANGULAR = 0


class Headers:
    """The headers of one stream, which its packets may repeat but not change."""

    def __init__(self, extradata: bytes) -> None:
        self._layer = extradata
        self._time_bits = _time_bits(extradata)

    def picture_kind(self, packet: bytes) -> Literal["I", "P"] | None:
        """The kind of the one coded picture that a packet consists of, intra or predicted from the one before.

        None when it is anything else: bidirectional or with a sprite, not coded, several in one packet, none, or after
        headers that are not those of the stream.
        """
        start = packet.find(_PICTURE)
        if self._time_bits is None or start < 0 or packet.find(_START, start + 4) >= 0:
            return None
        if start and not self._are_known(packet[:start]):
            return None
        bits = int.from_bytes(packet[start + 4 : start + 12].ljust(8, b"\0"), "big")
        position = 61  # behind the kind: a one for each whole second since the last picture, and a zero
        while bits >> position & 1 and position > 32:
            position -= 1
        marker = bits >> position - 1 & 1
        marker_and_coded = bits >> position - 3 - self._time_bits & 3
        if not marker or marker_and_coded != 3:
            return None
        return _KINDS.get(bits >> 62)

    def _are_known(self, headers: bytes) -> bool:
        before, group, code = headers.rpartition(_GROUP)
        if group and len(group + code) != _GROUP_BYTES:
            return False
        layer = before if group else headers
        return not layer or layer == self._layer


class _Bits:
    """Bits from the front; those behind the end are 0."""

    def __init__(self, data: bytes) -> None:
        self._rest = len(data) * 8
        self._value = int.from_bytes(data, "big")

    def take(self, num_bits: int) -> int:
        self._rest -= num_bits
        if self._rest < 0:
            return 0
        return self._value >> self._rest & (1 << num_bits) - 1


def _time_bits(extradata: bytes) -> int | None:
    """How many bits the time of a picture has, from the header of the video object layer; None when that is unusual."""
    layer = _LAYER.search(extradata)
    if layer is None:
        return None
    bits = _Bits(extradata[layer.end() : layer.end() + 32])
    bits.take(1)
    if bits.take(8) not in _OBJECT_TYPES:
        return None
    if bits.take(1):
        bits.take(7)
    if bits.take(4) == _EXTENDED_ASPECT_RATIO:
        bits.take(16)
    if bits.take(1):
        bits.take(3)
        if bits.take(1):
            bits.take(79)
    if bits.take(2) != _RECTANGULAR or not bits.take(1):
        return None
    resolution = bits.take(16)
    return max(1, (resolution - 1).bit_length()) if resolution else None
