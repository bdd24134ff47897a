"""Camera data (EXIF) in which there is nothing to find: every entry is whole, and the picture is stored upright."""

from __future__ import annotations

from struct import Struct

EXIF = b"Exif\0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"

# EXIF 2.32, section 4.6.2; the types and their sizes are those of TIFF 6.0.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_SHORT, _RATIONAL = 3, 5
_ORIENTATION, _X_RESOLUTION, _RESOLUTION_UNIT = 0x112, 0x11A, 0x128
_LOOKED_AT = {_ORIENTATION: _SHORT, _X_RESOLUTION: _RATIONAL, _RESOLUTION_UNIT: _SHORT}  # by Pillow, of one value each
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_READERS = {order: [Struct(order + fields) for fields in ("I", "H", "HHII", "H")] for order in "<>"}


def has_sound_camera_data(data: bytes) -> bool:
    """Whether nothing is wrong with a JPEG's APP1 segment; False where only Pillow can tell."""
    if data.startswith(EXIF):
        return _is_sound_tiff(data[len(EXIF) :])
    return data.startswith(XMP) and b"Orientation" not in data


def _is_sound_tiff(data: bytes) -> bool:
    order = _BYTE_ORDERS.get(data[:4])
    if order is None or len(data) < 8:
        return False
    long, short, entry, value = _READERS[order]
    start = long.unpack_from(data, 4)[0] + 2
    if start > len(data):
        return False
    end = start + entry.size * short.unpack_from(data, start - 2)[0]
    if end + long.size > len(data):
        return False
    num_outside = 0  # bytes of values that do not fit into their entries
    for position in range(start, end, entry.size):
        tag, kind, count, offset = entry.unpack_from(data, position)
        num_bytes = count * _SIZES.get(kind, len(data) + 1)
        if _LOOKED_AT.get(tag, kind) != kind or (tag in _LOOKED_AT and count != 1):
            return False
        if tag == _ORIENTATION and value.unpack_from(data, position + 8) != (1,):
            return False
        if num_bytes > long.size:
            num_outside += num_bytes
            if offset + num_bytes > len(data):
                return False
        elif kind not in _SIZES:
            return False
    return num_outside <= len(data)
