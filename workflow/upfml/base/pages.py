"""Pages: Markdown's tables, and Markdown as an HTML document that needs no other file."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from markdown_it import MarkdownIt

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; margin: 2rem auto; max-width: 75rem; padding: 0 1.5rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: 13px; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: 0.25rem 0.6rem; text-align: left; vertical-align: top; }
th { border-bottom: 2px solid #888; }
tr:hover td { background: #f3f6fa; }
code, pre { font-size: 13px; background: #f3f3f3; }
pre { padding: 0.8rem; overflow-x: auto; }
"""


def document(markdown: str) -> str:
    """A whole HTML document that needs no other file. Its title is the first heading."""
    body = MarkdownIt("commonmark").enable("table").render(markdown)
    title = next((line.lstrip("# ") for line in markdown.splitlines() if line.startswith("# ")), "")
    return around(body, title)


def around(body: str, title: str, style: str = "") -> str:
    """The document around a body of HTML; `style` is more CSS than every page has."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f"<style>{_STYLE}{style}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; a bar in a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
