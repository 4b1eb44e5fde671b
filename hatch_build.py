"""The README as a page of a package registry, which does not have the files of the repository."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_PICTURE = re.compile(r"(?:!\[[^]]*\]\((?!https?:)[^)]*\)|<picture>.*?</picture>)\n*", re.DOTALL)
_LINK = re.compile(r"\[`?([^]`]*)`?\]\((?!https?:|#)[^)]*\)")


class RegistryReadme(MetadataHookInterface):
    """Replace relative links of the README by their text, and remove its relative pictures."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the README of the project's metadata."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        text = _LINK.sub(r"`\1`", _PICTURE.sub("", text))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
