"""What `make pictures` runs after it copied the figures: a finished run's tables go into README.md, ARTIFACT.md, docs/.

python -m upfml.report.manual, in the project's folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from upfml.base.errors import UserError
from upfml.report.manual import blocks, run


def main() -> int:
    """Fill every block that the run can fill, and say which it cannot.

    Exit status 1 when there is no run, or one without the arms that tables show.
    """
    try:
        texts = run.texts(Path("results"))
        if not texts:
            raise UserError("there is no finished run in results/", "make all")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path in [Path("README.md"), Path("ARTIFACT.md"), *sorted(Path("docs").rglob("*.md"))]:
        page = path.read_text()
        filled = blocks.fill(page, texts)
        if filled != page:
            path.write_text(filled)
        kept = [name for name in blocks.names(page) if name not in texts]
        if kept:
            print(f"{path}: left as it is, for want of files in results/: {', '.join(kept)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
