"""What a file is by its first bytes, for the files that Pillow does not take for a picture."""

from __future__ import annotations

from phidata.diagnostics.excerpt import quoted

HEAD_BYTES = 32

_SIGNATURES = {
    b"\xff\xd8\xff": "a JPEG",
    b"\x89PNG": "a PNG",
    b"GIF8": "a GIF",
    b"RIFF": "a WebP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
}
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_OTHERS = {
    b"%PDF": "a PDF",
    b"8BPS": "a Photoshop picture",
    b"%!PS": "PostScript",
    b"<svg": "an SVG",
    b"<?xm": "XML",
    b"<!DO": "a web page",
    b"<htm": "a web page",
    b"\x1aE\xdf\xa3": "a video",
    b"PK\3\4": "a zip archive",
    b"version https://git-lfs": "a Git LFS pointer",
}


def begins_like(head: bytes) -> str | None:
    """The kind of picture that begins so, among those that phidata reads: "a JPEG"."""
    return next((kind for signature, kind in _SIGNATURES.items() if head.startswith(signature)), None)


def is_heif(head: bytes) -> bool:
    """Whether this begins a HEIC picture (ISO/IEC 23008-12), which Pillow reads only with a plugin."""
    brands = (head[8:12], *(head[at : at + 4] for at in range(16, len(head) - 3, 4)))
    return head[4:8] == b"ftyp" and b"avif" not in brands and brands[0] in _HEIF_BRANDS


def not_an_image(head: bytes) -> str:
    """How a message goes on after the name of a file that is no picture: "is not an image: it is a PDF"."""
    if not head:
        return "is empty"
    if kind := begins_like(head):
        return f"begins like {kind} but its header can not be read"
    for signature, kind in _OTHERS.items():
        if head.lstrip().startswith(signature):
            return f"is not an image: it is {kind}"
    return f"is not an image: it begins with {quoted(head[:16].decode('latin-1'))}"
