"""What MkDocs calls while it builds the manual: pages get the parts that are made from code and schemas."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from upfml.report.manual import configuration, outputs, window

ROOT = Path(__file__).resolve().parents[1]


def _configuration() -> str:
    schema, defaults = (
        yaml.safe_load((ROOT / name).read_text()) for name in ("workflow/schemas/config.schema.yaml", "config.yaml")
    )
    return configuration.markdown(schema, defaults)


GENERATED: dict[str, Callable[[], str]] = {
    "configuration": _configuration,
    "outputs": outputs.markdown,
    "window": window.markdown,
}
"""By the name in a page's marker, `<!-- generated: NAME -->`."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put what is generated where a page's markers are."""
    return re.sub(r"^<!-- generated: (\w+) -->$", lambda marker: GENERATED[marker[1]](), markdown, flags=re.M)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the picture that is drawn from the code it shows."""
    files.append(File.generated(config, "pictures/window.svg", content=window.svg()))
    return files
