"""docs/extending/arm.md, done by the letter."""

from pathlib import Path

from tests import examples


def test_the_arm_is_added_as_the_page_says(tmp_path: Path) -> None:
    examples.follow("arm", tmp_path)
