"""PHI301 … PHI499: how image paths are written, and the files they name."""

from __future__ import annotations

from phidata.diagnostics.rule import Rule

PATH_REMEDY = "write the path relative to the image folder, names joined by single slashes"

ABSOLUTE_PATH = Rule(
    code="PHI301",
    name="absolute-path",
    title="an absolute image path",
    explanation=(
        "The path starts at the root of a disk. Data that holds such paths works on one machine only; it can not "
        "be moved, shared or put into an archive."
    ),
    remedy=PATH_REMEDY,
    example="/home/ann/data/dog.jpg",
    fixable="unsafe",
    repair=("a path below the image folder becomes relative to it"),
)
PARENT_FOLDER = Rule(
    code="PHI302",
    name="parent-folder",
    title="an image path with '..'",
    explanation=(
        "The path climbs out of a folder. It may reach files that do not belong to the data set, and it breaks "
        "when the folder moves. No name in an image path may be '..', also where the path as a whole stays "
        "inside."
    ),
    remedy=PATH_REMEDY,
    example="../shared/dog.jpg",
    fixable="unsafe",
    repair=("the path is written without '..' where it stays in the image folder and the file is there"),
)
BACKSLASH = Rule(
    code="PHI303",
    name="backslash",
    title="a backslash in an image path",
    explanation="Windows joins names by backslashes; everywhere else a backslash is a part of the name.",
    remedy="join names by '/', which works on Windows too",
    example="train\\\\dog.jpg",
    fixable="safe",
    repair=(
        "backslashes become slashes where a file of that name lies in the image folder; by --unsafe-fixes also where "
        "none does"
    ),
)
DRIVE_LETTER = Rule(
    code="PHI304",
    name="drive-letter",
    title="a drive letter in an image path",
    explanation="The path begins with a Windows drive and works on one machine only.",
    remedy=PATH_REMEDY,
    example="C:/data/dog.jpg",
)
URL = Rule(
    code="PHI305",
    name="url",
    title="a URL in place of an image path",
    explanation=(
        "The path begins with a scheme such as http:, s3:, file: or data:. Images are files beside the rows: a "
        "training job neither downloads them nor depends on a server that changes."
    ),
    remedy="download the image below the image folder and write its path there",
    example="https://example.org/dog.jpg",
)
PATH_CHARACTER = Rule(
    code="PHI306",
    name="path-character",
    title="a control character in an image path",
    explanation=(
        "The path holds a NUL, a newline, a tab or another character below U+0020. No system can open a name "
        "with a NUL, and the others break lists of files and archives."
    ),
    remedy="rename the file",
    example="train/dog\\n.jpg",
)
PATH_FORM = Rule(
    code="PHI307",
    name="path-form",
    title="an image path that is not in its plain form",
    explanation=(
        "The path is empty, has a name that is '.', two slashes in a row or a slash at its end. Such spellings "
        "make one file look like several, and hub data sets and archives do not find it."
    ),
    remedy=PATH_REMEDY,
    example="./train//dog.jpg",
    fixable="safe",
    repair=("'.' names and doubled slashes are taken out, which names the same file"),
)
IMAGE_MISSING = Rule(
    code="PHI401",
    name="image-missing",
    title="an image that is not there",
    explanation=(
        "No file of this name lies below the image folder, which is `--images`, else `images/` beside the jsonl "
        "file, else the folder of the jsonl file. When every image is missing, the image folder is the wrong "
        "one."
    ),
    remedy="add the file, or name the image folder by --images",
)
LETTER_CASE = Rule(
    code="PHI402",
    name="letter-case",
    title="an image whose name is spelt otherwise on disk",
    explanation=(
        "A file lies there whose name differs only in upper and lower case, or in the Unicode form of an "
        "accented letter. Windows and macOS open it all the same; Linux, archives and the hub do not."
    ),
    remedy="spell the path as the file is called",
    fixable="safe",
    repair=("the path is spelt as the file is called, where only one file can be meant"),
)
IMAGE_EMPTY = Rule(
    code="PHI403",
    name="image-empty",
    title="an image file of zero bytes",
    explanation="The file exists but nothing was written to it: a download or a conversion was stopped.",
    remedy="write the file again",
)
IMAGE_UNREADABLE = Rule(
    code="PHI404",
    name="image-unreadable",
    title="an image that can not be read",
    explanation="The path names something that can not be opened for reading: a folder, a device, a file without the "
    "permission to read it, or one on a failing disk.",
    remedy="make it a readable file",
)
NOT_AN_IMAGE = Rule(
    code="PHI405",
    name="not-an-image",
    title="a file that is not an image",
    explanation=(
        "The content is not one of the formats that are read: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, PPM. The "
        "name's ending does not matter. Web servers answer with a page that says 'not found', which then lies "
        "there as a .jpg."
    ),
    remedy="replace it by a real image",
)
IMAGE_DAMAGED = Rule(
    code="PHI406",
    name="image-damaged",
    title="an image that can not be decoded",
    explanation=(
        "The file begins as an image but can not be decoded to its end: it is cut short or its data are broken. "
        "Most such damage is only found by decoding every pixel, `--media decode`; the header alone looks fine."
    ),
    remedy="write or download the file again",
)
DECOMPRESSION_BOMB = Rule(
    code="PHI407",
    name="decompression-bomb",
    title="an image too large to be decoded safely",
    explanation=(
        "The image claims more than 178 956 970 pixels, or text that unpacks to megabytes. A few kilobytes can "
        "claim a size that exhausts the memory, so such files are not decoded; Pillow refuses them too. Or it would "
        "take minutes: a JPEG of more than 500 scans, a plain PPM of more than 1 000 comments, a header that goes on "
        "for megabytes, and with `--media decode` more than 5 000 frames or 1 073 741 824 pixels in all of them."
    ),
    remedy="scale the image down, or remove it",
)
LARGE_IMAGE = Rule(
    code="PHI408",
    name="large-image",
    severity="warning",
    title="a very large image",
    explanation=(
        "The image has more than 89 478 485 pixels, where Pillow begins to warn. It takes more than 250 MB when "
        "decoded, for a model that sees about one million pixels of it."
    ),
    remedy="scale the image down",
)
ORIENTATION = Rule(
    code="PHI409",
    name="exif-orientation",
    severity="warning",
    title="an image that is stored turned or mirrored",
    explanation=(
        "The EXIF orientation says that the stored pixels have to be turned or mirrored to be seen as they were "
        "taken. Viewers do it, trainers ignore it: the model would see the picture on its side, and boxes or "
        "answers about left and right would be wrong."
    ),
    remedy="store the pixels upright, for example by `PIL.ImageOps.exif_transpose`",
)
ANIMATED = Rule(
    code="PHI410",
    name="animated-image",
    severity="warning",
    title="an image with several frames",
    explanation="The file holds an animation or several pages. The model sees the first one only.",
    remedy="list the frames that matter as images of their own",
)
DECODER_WARNING = Rule(
    code="PHI411",
    name="decoder-warning",
    severity="warning",
    title="an image that the decoder warns about",
    explanation="Pillow could read the image but found something wrong in it, such as damaged metadata.",
    remedy="save the image again",
)
