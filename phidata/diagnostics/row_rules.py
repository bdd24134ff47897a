"""PHI101 … PHI299: the row against the schema, and what its values mean."""

from __future__ import annotations

from phidata.diagnostics.rule import Rule

WRONG_TYPE = Rule(
    code="PHI101",
    name="wrong-type",
    title="a value of the wrong type",
    explanation=(
        "The schema fixes the type of each value. Ids and texts are strings, also when they look like numbers; "
        "`conversations`, `images` and `answers` are lists, also with one entry; `metadata` is an object."
    ),
    remedy="write the value as the type that the schema asks for",
    example='{"id": 17, "source": "s", "conversations": […]}',
    fixable="safe",
    repair=(
        "by --fix an `id` that is a whole number becomes the same digits as a string, unless another row has that id "
        "that is not a copy of it; "
        "by --unsafe-fixes a number in place of another string is put in quotes, a single string or turn becomes a "
        "list of one, and null in place of `images` becomes an empty list"
    ),
)
MISSING_KEY = Rule(
    code="PHI102",
    name="missing-key",
    title="a required key is missing",
    explanation=(
        "A row needs `id`, `source` and `conversations`; each turn needs `images`, `user` and `assistant`. A "
        'turn without images has an empty list: `"images": []`.'
    ),
    remedy="add the key",
    example='{"id": "a", "conversations": […]}',
    fixable="unsafe",
    repair=('a turn without `images` gets `"images": []`; other keys can not be guessed'),
)
UNKNOWN_KEY = Rule(
    code="PHI103",
    name="unknown-key",
    title="a key that the format does not know",
    explanation=(
        "Only the keys of the schema may stand in a row and in a turn, so that a misspelt one is found instead "
        "of being ignored. What you want to keep beside them belongs into `metadata`."
    ),
    remedy="correct the key, or move it into `metadata`",
    example='{"image": ["1.jpg"], "user": "…", "assistant": "…"}',
    fixable="unsafe",
    repair=("a key that is nearly one of the format's, such as `image`, is renamed to it where that one is missing"),
)
EMPTY_LIST = Rule(
    code="PHI104",
    name="empty-list",
    title="a list without entries",
    explanation=(
        "`conversations` needs at least one turn. `answers` needs at least one accepted answer, or no answer "
        "could ever be right; leave the key out where there is none. `images` may be empty."
    ),
    remedy="add an entry, or leave the row or the key out",
    example='{"id": "a", "source": "s", "conversations": []}',
    fixable="unsafe",
    repair=("an empty `answers` is deleted"),
)
EMPTY_STRING = Rule(
    code="PHI105",
    name="empty-string",
    title="an empty string",
    explanation=(
        "`id`, `source` and each entry of `answers` need at least one character: an empty id names nothing, and "
        "an empty accepted answer counts a silent model as right."
    ),
    remedy="fill it in, or leave the row or the entry out",
    example='{"id": "", "source": "s", "conversations": […]}',
    fixable="unsafe",
    repair=("an empty entry of `answers` is deleted, when others are left"),
)
DUPLICATE_ID = Rule(
    code="PHI201",
    name="duplicate-id",
    title="an id that another row has",
    explanation=(
        "Ids name rows in reports, evaluations and resumed runs, so they are unique in the data set: in the "
        "file, and in a data folder over all its splits. Each row after the first with the same id is reported, "
        "when all rows have been read. The same id in two splits often means that test rows leaked into the "
        "training data."
    ),
    remedy="give each row an id of its own, or delete the copy",
    fixable="safe",
    repair=(
        "a row that is the copy of an earlier row of the same file, byte for byte, is deleted; other rows are left "
        "alone"
    ),
)
BLANK_TEXT = Rule(
    code="PHI202",
    name="blank-text",
    title="a user or assistant text without content",
    explanation=(
        "The text is empty or only white space. Without a question there is nothing to answer, without an answer "
        "there is nothing to learn except to stop at once. Converters leave such texts behind when a column was "
        "empty."
    ),
    remedy="fill the text in, or leave the row out",
    example='{"images": ["1.jpg"], "user": "What is this?", "assistant": ""}',
)
CONTROL_TOKEN = Rule(
    code="PHI203",
    name="control-token",
    severity="warning",
    title="text that spells a control token of the model",
    explanation=(
        "The text spells one of the model's control tokens, such as `<|end|>`, `<|user|>`, `<|image_1|>`, `<s>` or "
        "`<unk>`. phitrain keeps it as text and never obeys it. Other trainers may turn it into the token: a user "
        "could end a turn, or an image tag could count twice. It usually is left over from a prompt that was already "
        "put into a chat template; images are listed in `images` and need no tag."
    ),
    remedy="delete the token if it is chat markup; leave it if the text is about it",
    example='{"images": ["1.jpg"], "user": "<|image_1|>\\nWhat is this?", "assistant": "A dog."}',
)
NUL_IN_TEXT = Rule(
    code="PHI204",
    name="nul-in-text",
    severity="warning",
    title="a NUL character in a text",
    explanation=(
        "The escape `\\u0000` is JSON, but many programs end a text at this character. It comes from binary fields "
        "and fixed-width records."
    ),
    remedy="delete the character",
    example='{"images": [], "user": "Who?\\u0000", "assistant": "Nobody."}',
    fixable="unsafe",
    repair=("the escape is deleted"),
)
