"""pages: Markdown as documents that need nothing else."""

from upfml.base import pages


def test_a_document_has_its_title_and_its_table() -> None:
    document = pages.document("# A < B\n\n| a | b |\n| --- | --- |\n| 1 | **2** |\n")
    assert "<title>A &lt; B</title>" in document
    assert "<td><strong>2</strong></td>" in document
    assert "http" not in document


def test_a_bar_stays_in_its_cell() -> None:
    assert "<td>a|b</td>" in pages.document(pages.table(["x"], [["a|b"]]))
