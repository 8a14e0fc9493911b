"""Files that a compiler makes: kept under the hash of all that they are made of, so that each is made once."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from upfml.base import files

FOLDER = Path(__file__).parents[3] / ".cache"
"""What this project keeps on a machine."""


class Cache:
    """A folder of at most `most_bytes`; the files that were not used for longest make room."""

    def __init__(self, folder: Path, most_bytes: int = 256 << 20) -> None:
        self._folder, self._most_bytes = folder, most_bytes

    def file(self, made_of: Iterable[bytes], make: Callable[[Path], None]) -> Path:
        """The file made of these parts, in order: the one that is kept, or a new one that `make` writes.

        Several processes may ask for the same file at once. Raises what `make` raises.
        """
        name = hashlib.sha256()
        for part in made_of:
            name.update(len(part).to_bytes(8))
            name.update(part)
        path = self._folder / name.hexdigest()
        try:
            os.utime(path)
        except FileNotFoundError:
            with files.whole_file(path) as partial:
                make(partial)
            self._make_room()
        return path

    def _make_room(self) -> None:
        found = []
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process has removed it
                facts = path.stat()
                found.append((facts.st_mtime_ns, facts.st_size, path))
        used = sum(size for _, size, _ in found)
        for _, size, path in sorted(found)[:-1]:  # never the newest
            if used <= self._most_bytes:
                break
            path.unlink(missing_ok=True)
            used -= size
