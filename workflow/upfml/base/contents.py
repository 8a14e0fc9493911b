"""The hash of a file's content: a large file is read once, and again when it may be another.

The workflow imports this while it is read, so it needs nothing but the standard library.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from upfml.base import kept

_KEPT = Path(__file__).resolve().parents[3] / ".cache/contents.json"


def sha256(path: Path, known_in: Path = _KEPT) -> str:
    """The hash, in hexadecimal digits. Raises OSError when the file cannot be read.

    A file is taken for another when its size, inode, or the time of its last change of content or of attributes is
    another. The last one cannot be set back, as that of the content can.
    """
    facts = path.stat()
    key = str(path.resolve())
    seen = [facts.st_size, facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns]
    known = kept.read(known_in)
    if known.get(key, {}).get("seen") != seen:
        with path.open("rb") as file:
            known[key] = {"seen": seen, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
        kept.write(known, known_in)
    return str(known[key]["sha256"])
