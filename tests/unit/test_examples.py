"""Pages of docs/extending are followed by tests/examples.py: what that makes of blocks."""

import pytest
from tests.examples import PAGES, blocks, patched

TEXT = "one\ntwo\n\nthree\ntwo\n"


def test_fragments_change_the_one_place_that_they_show() -> None:
    difference = " one\n-two\n+2\n@@\n\n three\n+3\n"
    assert patched(TEXT, difference) == "one\n2\n\nthree\n3\ntwo\n"


@pytest.mark.parametrize(("fragment", "places"), [("-two\n", 2), (" four\n+five\n", 0)])
def test_a_fragment_that_fits_nowhere_or_twice_fails(fragment: str, places: int) -> None:
    with pytest.raises(AssertionError, match=f"in {places} places"):
        patched(TEXT, fragment)


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_every_block_of_a_page_is_one_that_is_followed(page) -> None:
    text = page.read_text()
    found = blocks(text)
    assert len(found) == text.count("\n```") / 2
    assert any(block.language == "sh" for block in found)
    for block in found:
        assert block.title or block.language in ("sh", "text"), block
