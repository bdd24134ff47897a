"""The JSON Schema files: the language-neutral contract of the format."""
