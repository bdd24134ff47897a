"""PHI001 … PHI099: the file as lines, and each line as JSON."""

from __future__ import annotations

from phidata.diagnostics.rule import Rule

NOT_JSON_LINES = Rule(
    code="PHI001",
    name="not-json-lines",
    title="the file is not JSON Lines text",
    explanation=(
        "The format is JSON Lines: UTF-8 text, one complete JSON object on each line. This file is something "
        "else as a whole: one JSON document spread over many lines, UTF-16 text, or a binary or compressed file. "
        "It is reported once, and the rest of the file is not checked."
    ),
    remedy="write one JSON object a line, as UTF-8 text",
    example="[",
)
BYTE_ORDER_MARK = Rule(
    code="PHI002",
    name="byte-order-mark",
    title="the file begins with a byte order mark",
    explanation=(
        "The three bytes EF BB BF at the start of a file are invisible in an editor, but JSON does not allow "
        "them (RFC 8259, section 8.1): most readers fail on the first line, some drop it. Spreadsheets and some "
        "editors write them when asked for 'UTF-8 with BOM'."
    ),
    remedy="save the file as UTF-8 without a byte order mark",
    fixable="safe",
    repair="the three bytes are deleted, also where they stand several times",
)
INVALID_UTF8 = Rule(
    code="PHI003",
    name="invalid-utf8",
    title="bytes that are not UTF-8",
    explanation=(
        "Every line has to be UTF-8. Bytes that are not usually come from text saved in another encoding, such "
        "as Latin-1 or Windows-1252, or from a file that was cut in the middle of a character. The first such "
        "byte of a line is reported, with the number of them on the line."
    ),
    remedy="save the text as UTF-8",
)
NUL_BYTE = Rule(
    code="PHI004",
    name="nul-byte",
    title="NUL bytes",
    explanation=(
        "A zero byte is no JSON. Runs of them at the end of a file are what a crash or a full disk leaves "
        "behind: the file got its length but not its content. The first one of a line is reported, with the "
        "number of them."
    ),
    remedy="write the file again; what stood there is lost",
)
BLANK_LINE = Rule(
    code="PHI005",
    name="blank-line",
    title="a line without a row",
    explanation=(
        "Some readers skip a blank line, others fail on it, and line numbers no longer are row numbers. The "
        "newline that ends the last row is not a blank line."
    ),
    remedy="delete the line",
    fixable="safe",
    repair=("the line is deleted"),
)
CUT_SHORT = Rule(
    code="PHI006",
    name="cut-short",
    title="the last line is cut short",
    explanation=(
        "The file ends in the middle of a row, without a newline: its writer was stopped, or a copy is "
        "incomplete. Rows after this one may be missing too. (A complete last row without a newline is fine.)"
    ),
    remedy="write or copy the file again",
    example='{"id": "a", "source": "s", "conver',
)
LINE_TOO_LONG = Rule(
    code="PHI007",
    name="line-too-long",
    title="a line longer than 16 MiB",
    explanation=(
        "A row holds text and the paths of its images; no sensible row comes near this length. It is usually a "
        "whole data set on one line, or image data in place of a path. The line is not read any further."
    ),
    remedy="write one row a line, and images as files",
)
JSON_SYNTAX = Rule(
    code="PHI008",
    name="json-syntax",
    title="the line is not JSON",
    explanation=(
        "The line breaks the grammar of JSON (RFC 8259) at the place shown: a missing comma or quote, a comma "
        "too many, single quotes, Python's True and None, a comment, or a row spread over several lines. What "
        "follows on the line can not be checked."
    ),
    remedy="correct the line; json.dumps writes it right",
    example="{'id': 'a'}",
    fixable="unsafe",
    repair=("a comma before a closing bracket is deleted; Python's True, False and None become true, false and null"),
)
SEVERAL_VALUES = Rule(
    code="PHI009",
    name="several-values",
    title="text after the row",
    explanation="Each line holds one JSON object and nothing after it. Two rows on one line lost the newline between.",
    remedy="put each row on a line of its own",
    example='{"id": "a", …} {"id": "b", …}',
    fixable="unsafe",
    repair=("a second row on the line gets a line of its own"),
)
BAD_ESCAPE = Rule(
    code="PHI010",
    name="bad-escape",
    title="a bad escape in a string",
    explanation=(
        'After a backslash JSON knows only `" \\ / b f n r t` and `u` with four hexadecimal digits. Windows paths and '
        "regular expressions pasted into JSON break this. A `\\u` escape from D800 to DFFF is half of a character "
        "and has to stand with its other half; alone it can not be written as UTF-8, so some readers fail on it."
    ),
    remedy="double a backslash that is meant as one, and write characters as themselves",
    example='"images": ["train\\dog.jpg"]',
    fixable="unsafe",
    repair=("the backslash is doubled, so that it stands for itself; half a character is left alone"),
)
CONTROL_CHARACTER = Rule(
    code="PHI011",
    name="control-character",
    title="a control character in a string",
    explanation=(
        "Characters below U+0020, such as a tab, may not stand in a JSON string as themselves. Python's json "
        "module can be told to accept them, other readers refuse the line."
    ),
    remedy="write the character as an escape, a tab as `\\t`",
    fixable="unsafe",
    repair=("the character is written as an escape"),
)
DUPLICATE_KEY = Rule(
    code="PHI012",
    name="duplicate-key",
    title="a key twice in one object",
    explanation=(
        "JSON leaves open what a key means that stands twice in one object. Most readers take the last value and "
        "drop the first without a word, some take the first: a part of the row is lost, and which part depends "
        "on the reader."
    ),
    remedy="keep one of the two; several images of a turn are one list",
    example='{"images": ["1.jpg"], "images": ["2.jpg"], "user": "…", "assistant": "…"}',
    fixable="unsafe",
    repair=("the last of them is kept, as most readers do"),
)
NOT_FINITE = Rule(
    code="PHI013",
    name="not-finite",
    title="a number that is not finite",
    explanation=(
        "NaN and Infinity are no JSON, although Python's json module writes and reads them. A number such as "
        "1e999 is JSON, but it is too large for a double: readers turn it into infinity or refuse it."
    ),
    remedy="write null, or leave the key out",
    example='"metadata": {"score": NaN}',
    fixable="unsafe",
    repair=("NaN and Infinity become null; a number that is too large is left alone"),
)
NESTED_TOO_DEEP = Rule(
    code="PHI014",
    name="nested-too-deep",
    title="lists and objects nested too deep",
    explanation=(
        "More than 64 lists and objects inside one another. Readers have limits of their own and fail on such a "
        "line, some by exhausting the stack. Only `metadata` can nest at all."
    ),
    remedy="flatten the metadata, or store it as text",
)
NO_ROWS = Rule(
    code="PHI015",
    name="no-rows",
    severity="warning",
    title="a file without rows",
    explanation="The file is empty. That is allowed, but a split without rows is rarely meant.",
    remedy="check what wrote the file",
)
ROW_COUNT = Rule(
    code="PHI016",
    name="row-count",
    title="not as many rows as the manifest says",
    explanation=(
        "The conversion that wrote this file noted in manifest.json how many rows it wrote, and the file has another "
        "number. Rows were lost, perhaps by a copy that was cut between two lines, or the file was edited afterwards."
    ),
    remedy="copy or convert the data again; after an edit on purpose, correct `written` in manifest.json",
)
SHARD_UNREADABLE = Rule(
    code="PHI017",
    name="shard-unreadable",
    title="a shard that can not be read as conversations",
    explanation=(
        "A Parquet, Arrow or tar file is damaged, was cut short, or does not hold the columns or members of the "
        "format. It is reported once, and the rest of the file is not checked."
    ),
    remedy="copy or make the file again; `phidata convert --from table` turns other tables into conversations",
)
