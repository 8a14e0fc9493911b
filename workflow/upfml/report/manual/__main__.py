"""What `make pictures` runs before it copies the figures: a run's tables go into README.md, ARTIFACT.md and docs/.

python -m upfml.report.manual, in the project's folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from upfml.base import files
from upfml.report.manual import blocks, run


def main() -> int:
    """Fill every block that the run can fill, and say which it cannot.

    Exit status 1 when there is no run at all, or one that is marked (config.yaml: note), as a quick one is.
    """
    results = Path("results")
    if not (results / "provenance.json").is_file():
        print("error: there is no finished run in results/ (remedy: make all)", file=sys.stderr)
        return 1
    if note := files.read_json(results / "provenance.json")["note"]:
        print(f"error: the run in results/ is marked: {note} (remedy: make all)", file=sys.stderr)
        return 1
    made, wanting = run.texts(results)
    for path in [Path("README.md"), Path("ARTIFACT.md"), *sorted(Path("docs").rglob("*.md"))]:
        page = path.read_text()
        path.write_text(blocks.fill(page, made))
        for name in blocks.names(page):
            if name in wanting:
                print(f"{path}: {name} stays as it is: {wanting[name]}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
