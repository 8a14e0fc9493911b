"""The keeper's source suits machines that have nothing of this project, and an older Python."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from upfml.testbed.ssh import keeper

SOURCE = Path(keeper.__file__).read_text()


def test_syntax_is_that_of_python_3_8() -> None:
    ast.parse(SOURCE, feature_version=(3, 8))


def test_annotations_are_not_evaluated() -> None:
    """`int | None` and `list[str]` are no expressions of Python 3.8."""
    futures = [
        node for node in ast.parse(SOURCE).body if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    assert [name.name for node in futures for name in node.names] == ["annotations"]


def test_imports_only_the_standard_library() -> None:
    imported = set()
    for node in ast.walk(ast.parse(SOURCE)):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).partition(".")[0])
    assert imported <= sys.stdlib_module_names
    assert "upfml" not in imported
