"""LLaVA: conversations about images, as its instruction data come and as LLaVA and LLaVA-NeXT train on them.

https://github.com/haotian-liu/LLaVA/blob/main/docs/Finetune_Custom_Data.md

One JSON list, or JSON lines. One record:

    {"id": "000000215677", "image": "coco/train2017/000000215677.jpg",
     "conversations": [{"from": "human", "value": "<image>\\nWhat are the men doing?"},
                       {"from": "gpt", "value": "They are skiing."}]}

`image` may be a list, of which each `<image>` takes the next; with a `video` instead of it `<image>` or `<video>`
stands for that. It becomes one turn for each question, its images in the turn where their tags stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from phidata.conversion import About, Converted, Converter, Media, Root, Settings, Skip
from phidata.sources import CHAT_OPTIONS, ChatLayout, ChatRow, chat_files, chat_rows, convert_chat, messages_misfit

LAYOUT = ChatLayout(
    messages=("conversations",),
    role=("from",),
    content=("value",),
    user=("human",),
    assistant=("gpt",),
    images=("image",),
    videos=("video",),
    tags={"<image>": "image", "<video>": "video"},
    image_tag_shows_video=True,
)


class Llava:
    """Each record as it stands, the tags resolved."""

    about = About(
        name="llava",
        kind="conversations",
        source="LLaVA json or jsonl files; image paths start beside them or in --images",
        options=CHAT_OPTIONS,
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[ChatRow | Skip]:
        files = chat_files(root, LAYOUT.with_settings(settings))
        return chat_rows(root, files, expected="LLaVA conversations", misfit=_misfit)

    def convert(self, row: ChatRow, media: Media) -> Converted:
        return convert_chat(row, media)


def _misfit(record: Mapping[str, Any], layout: ChatLayout) -> str | None:
    if "images" in record or "videos" in record:
        return "a record has 'image' and not 'images' (see --from sharegpt)"
    return messages_misfit(record, layout)


converter: Converter[ChatRow] = Llava()
