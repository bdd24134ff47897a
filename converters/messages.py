"""Chat messages with typed content, as OpenAI's fine-tuning, TRL, Qwen and LLaMA-Factory v1 spell them.

https://huggingface.co/docs/trl/dataset_formats#conversational
https://platform.openai.com/docs/guides/vision-fine-tuning

JSON lines, or a JSON list. One record, in some of its spellings:

    {"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Who is it?"}]},
                  {"role": "assistant", "content": [{"type": "text", "text": "Nobody."}]}], "images": ["a/1.jpg"]}
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}},
                  …]}, {"role": "assistant", "content": "Nobody."}]}
    {"messages": [{"role": "user", "content": [{"type": "image_url", "value": "a/1.jpg"},
                  {"type": "text", "value": "Who is it?"}]}, …]}

A part that names no file takes the next of `images`. TRL's `prompt` and `completion` are read as one list of messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from phidata.conversion import About, Converted, Converter, Media, Root, Settings, Skip
from phidata.sources import CHAT_OPTIONS, ChatLayout, ChatRow, chat_files, chat_rows, convert_chat, messages_misfit

LAYOUT = ChatLayout(
    messages=("messages",),
    system=("system", "developer"),
    images=("images", "image"),
    videos=("videos", "video"),
    prompt_and_completion=True,
    typed=True,
)
MARKERS = ("<IMG_CONTEXT>", "<VIDEO_CONTEXT>")  # XTuner's


class Messages:
    """Each record as it stands, its parts resolved; text is text, whatever it spells."""

    about = About(
        name="messages",
        kind="conversations",
        source="json or jsonl files of OpenAI or TRL messages; images as paths, data: URIs or an images list",
        options=CHAT_OPTIONS,
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[ChatRow | Skip]:
        files = chat_files(root, LAYOUT.with_settings(settings))
        return chat_rows(root, files, expected="chat messages", misfit=_misfit)

    def convert(self, row: ChatRow, media: Media) -> Converted:
        return convert_chat(row, media)


def _misfit(record: Mapping[str, Any], layout: ChatLayout) -> str | None:
    reason = messages_misfit(record, layout)
    messages = [] if reason else layout.messages_of(record)
    if any(_is_marked(message.get("content")) for message in messages if isinstance(message, dict)):
        return "a text has markers for its images (see --from swift)"
    return reason


def _is_marked(content: Any) -> bool:
    """Whether the parts of a message both name what they show and mark it in the text."""
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    named = any(str(part.get("type")).endswith("_url") for part in parts)
    return named and any(marker in str(part.get("text")) for part in parts for marker in MARKERS)


converter: Converter[ChatRow] = Messages()
