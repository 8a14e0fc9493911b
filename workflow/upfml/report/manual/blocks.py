"""Text between markers of a Markdown page, which a command replaces: `<!-- run: NAME -->` … `<!-- /run -->`."""

from __future__ import annotations

import re
from collections.abc import Mapping

_BLOCK = re.compile(r"^<!-- run: ([\w-]+) -->\n(.*?)^<!-- /run -->$", re.M | re.S)


def names(page: str) -> list[str]:
    """The names of a page's blocks, in their order."""
    return [found[1] for found in _BLOCK.finditer(page)]


def fill(page: str, texts: Mapping[str, str]) -> str:
    """The page with new text in the blocks that are in `texts`; other blocks stay."""

    def filled(found: re.Match[str]) -> str:
        text = texts.get(found[1])
        return found[0] if text is None else f"<!-- run: {found[1]} -->\n{text.strip()}\n<!-- /run -->"

    return _BLOCK.sub(filled, page)


def without(page: str) -> str:
    """The page without its blocks: what a person has written."""
    return _BLOCK.sub("", page)
