"""docs/extending/application.md, done by the letter."""

from pathlib import Path

from tests import examples


def test_the_application_is_added_as_the_page_says(tmp_path: Path) -> None:
    examples.follow("application", tmp_path)
