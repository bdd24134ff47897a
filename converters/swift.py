"""Conversations as ms-swift, XTuner and InternVL train on them.

https://swift.readthedocs.io/en/latest/Customization/Custom-dataset.html
https://internvl.readthedocs.io/en/latest/get_started/chat_data_format.html

JSON lines, or a JSON list. One record of ms-swift, of its older form, of XTuner and of InternVL:

    {"messages": [{"role": "user", "content": "<image>What is it?"}, {"role": "assistant", "content": "A dog."}],
     "images": ["a/1.jpg"]}
    {"query": "<image>And now?", "response": "A cat.", "history": [["Hello", "Hi"]], "images": ["a/2.jpg"]}
    {"id": 1, "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "a/1.jpg", "image_wh": [375, 500]}},
        {"type": "text", "text": "<IMG_CONTEXT>\\nWhat colour is it?"}]}, {"role": "assistant", "content": "Brown."}]}
    {"id": 0, "image": "a/1.jpg", "width": 375, "height": 500, "conversations": [
        {"from": "human", "value": "<image>\\nWhat colour is it?"}, {"from": "gpt", "value": "Brown."}]}

ms-swift and InternVL put images without a tag before the first question, which `--untagged first` does here.
"""

from __future__ import annotations

from collections.abc import Iterator

from phidata.conversion import About, Converted, Converter, Media, Root, Settings, Skip
from phidata.sources import CHAT_OPTIONS, ChatLayout, ChatRow, chat_files, chat_rows, convert_chat

LAYOUT = ChatLayout(
    messages=("messages", "conversations", "conversation"),
    role=("role", "from"),
    content=("content", "value"),
    user=("user", "human"),
    assistant=("assistant", "gpt", "bot"),
    images=("images", "image"),
    videos=("videos", "video"),
    tags={"<image>": "image", "<video>": "video"},
    markers={"<IMG_CONTEXT>": "image", "<VIDEO_CONTEXT>": "video"},
    query_and_response=True,
    typed=True,
)


class Swift:
    """Each record as it stands, the tags and markers resolved."""

    about = About(
        name="swift",
        kind="conversations",
        source="jsonl or json files of ms-swift, XTuner or InternVL; image paths start beside them or in --images",
        options=CHAT_OPTIONS,
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[ChatRow | Skip]:
        files = chat_files(root, LAYOUT.with_settings(settings))
        return chat_rows(root, files, expected="ms-swift, XTuner or InternVL conversations")

    def convert(self, row: ChatRow, media: Media) -> Converted:
        return convert_chat(row, media)


converter: Converter[ChatRow] = Swift()
