"""ShareGPT conversations, as LLaMA-Factory reads them. https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md

JSON lists or JSON lines. One record, in one of two spellings:

    {"messages": [{"role": "user", "content": "<image>Who are they?"}, {"role": "assistant", "content": "Kane and …"}],
     "images": ["mllm_demo_data/1.jpg"]}
    {"conversations": [{"from": "human", "value": "<video>Why is it funny?"}, {"from": "gpt", "value": "Because …"}],
     "videos": ["mllm_demo_data/1.mp4"], "system": "You are a critic."}

Each tag takes the next of its list and becomes an image, or the frames of a video, in the turn where it stands. Where a
`dataset_info.json` lies beside the files, what it lists is read, by its names of columns and tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from phidata.conversion import About, Converted, Converter, Media, Option, Root, Settings, Skip
from phidata.sources import (
    CHAT_OPTIONS,
    ChatLayout,
    ChatRow,
    chat_rows,
    convert_chat,
    described_files,
    messages_misfit,
    pairs_of,
    renamed,
)

LAYOUT = ChatLayout(
    messages=("conversations", "messages"),
    role=("from", "role"),
    content=("value", "content"),
    user=("human", "user"),
    assistant=("gpt", "assistant"),
    tags={"<image>": "image", "<video>": "video"},
)
COLUMN = Option(name="column", multiple=True, metavar="NAME=COLUMN", help="Of messages, images, videos or system.")
TAG = Option(
    name="tag",
    multiple=True,
    metavar="NAME=TEXT",
    help="role_tag, content_tag, user_tag, assistant_tag or system_tag, as dataset_info.json calls them.",
)


class ShareGpt:
    """Each record as it stands, the tags resolved."""

    about = About(
        name="sharegpt",
        kind="conversations",
        source="ShareGPT json or jsonl files with images and videos lists, or LLaMA-Factory's data folder",
        options=(*CHAT_OPTIONS, COLUMN, TAG),
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[ChatRow | Skip]:
        columns, tags = pairs_of(settings, "column"), pairs_of(settings, "tag")
        layout = renamed(LAYOUT.with_settings(settings), columns, tags)
        files = described_files(root, layout)
        return chat_rows(root, files, expected="ShareGPT conversations", misfit=_misfit)

    def convert(self, row: ChatRow, media: Media) -> Converted:
        return convert_chat(row, media)


def _misfit(record: Mapping[str, Any], layout: ChatLayout) -> str | None:
    if "image" in record and layout.images[0] not in record:
        return f"a record has {layout.images[0]!r} and not 'image' (see --from llava)"
    return messages_misfit(record, layout)


converter: Converter[ChatRow] = ShareGpt()
