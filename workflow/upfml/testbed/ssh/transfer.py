"""Files and folders to a machine and from it, as tar archives through a session.

Not by SFTP: an SFTP server is who logs in, and where that is not root, it can neither write what root's processes read
nor read what they wrote; and tar says why it failed.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tarfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import asyncssh

from upfml.base.errors import UserError
from upfml.base.files import whole_file
from upfml.testbed.ssh.connection import CHUNK_BYTES, Connection, text

_CHANGED = 1
"""Status of tar when a file was being written while it was read."""


class _Stopped(Exception):
    """What was written to does not read any more."""


class Transfer:
    """Copies over one connection, one at a time: sshd allows ten sessions."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._one_at_a_time = threading.Lock()

    def put(self, files: Mapping[str, Path], folder: str, leave_out: str = "") -> None:
        """Copy files and folders to `folder`/NAME, with their modes and without files called `leave_out`.

        Links are followed. What is there is replaced. Raises UserError.
        """

        def chosen(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
            return None if PurePosixPath(member.name).name == leave_out else member

        # Permissions as here, owners not: root's tar would keep both.
        argv = ["env", "LC_ALL=C", "tar", "-x", "-p", "--no-same-owner", "-f", "-", "-C", folder]
        with self._one_at_a_time:
            process = self._connection.start(argv)
            try:
                sink = _Sink(self._connection, process)
                with tarfile.open(fileobj=sink, mode="w|", bufsize=CHUNK_BYTES, dereference=True) as archive:
                    for name, path in files.items():
                        archive.add(path, name, filter=chosen)
            except _Stopped:
                pass  # tar has ended, and says why
            except OSError as error:
                self._connection.soon(process.close)
                raise UserError(
                    f"cannot send {error.filename or 'a file'} to {self._connection.name}: {error.strerror or error}",
                    "check that it exists and can be read",
                ) from error
            except BaseException:
                self._connection.soon(process.close)
                raise
            status, complaint = self._connection.call(self._end(process))
        if status != 0:
            raise self._cannot_write(folder, complaint)

    def get(self, names: Sequence[str], folder: str, into: Path) -> None:
        """Copy `folder`/NAME there, files or folders, to `into`/NAME here, with their modes. Raises UserError."""
        argv = ["env", "LC_ALL=C", "tar", "-c", "-h", "--hard-dereference", "-f", "-", "-C", folder, "--", *names]
        unreadable = ""
        with self._one_at_a_time:
            process = self._connection.start(argv)
            try:
                source = io.BufferedReader(_Source(self._connection, process), CHUNK_BYTES)
                with tarfile.open(fileobj=source, mode="r|", bufsize=CHUNK_BYTES) as archive:
                    _unpack(archive, [PurePosixPath(name) for name in names], into)
                while source.read(CHUNK_BYTES):  # tar pads what it writes
                    pass
            except tarfile.ReadError as error:  # tar has ended early, and says why
                unreadable = str(error)
            except OSError as error:
                self._connection.soon(process.close)
                raise UserError(
                    f"cannot write {error.filename or into}: {error.strerror or error}", "free space, mend permissions"
                ) from error
            except BaseException:
                self._connection.soon(process.close)
                raise
            status, complaint = self._connection.call(self._end(process))
        if status not in (0, _CHANGED) or unreadable:
            raise UserError(
                f"cannot fetch from {self._connection.name}: {complaint or unreadable}",
                f"see the logs of the run, and {folder} while it lasts",
            )

    async def _end(self, process: asyncssh.SSHClientProcess[bytes]) -> tuple[int, str]:
        """Status and the first complaint of a tar that has had its input, or is to get no more."""
        with contextlib.suppress(OSError):
            process.stdin.write_eof()
        done = await process.wait()
        complaint = text(done.stderr).strip().splitlines()
        return self._connection.status(done), complaint[0].removeprefix("tar: ") if complaint else ""

    def _cannot_write(self, folder: str, complaint: str) -> UserError:
        free = self._connection.run(["df", "-h", "--output=avail,size,target", folder]).stdout.splitlines()
        room = dict(zip(("free", "size", "on"), free[1].split(maxsplit=2), strict=False)) if len(free) > 1 else {}
        if "Wrote only" in complaint:  # how tar says that the disk became full within a block
            complaint = f"No space left on device: {complaint}"
        there = " ({free} free of {size} on {on})".format(**room) if len(room) == 3 else ""
        return UserError(
            f"cannot write to {folder} on {self._connection.name}: {complaint}{there}",
            "free space there, or set testbed.machines.folder to a folder on a disk with room",
        )


class _Sink(io.RawIOBase):
    """A remote process's standard input, as a file. Raises _Stopped when it reads no more."""

    def __init__(self, connection: Connection, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._connection, self._process = connection, process

    def write(self, data: Any) -> int:  # bytes, as tarfile gives them
        self._connection.call(self._write(bytes(data)))
        return len(data)

    async def _write(self, data: bytes) -> None:
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except BrokenPipeError as error:
            raise _Stopped from error


class _Source(io.RawIOBase):
    """A remote process's standard output, as a file."""

    def __init__(self, connection: Connection, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._connection, self._process = connection, process

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # a memoryview of bytes
        data = self._connection.call(self._process.stdout.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)


def _unpack(archive: tarfile.TarFile, names: Sequence[PurePosixPath], into: Path) -> None:
    """Write the members that were asked for. A member of any other name, or that is no file or folder, is refused."""
    folders: list[tuple[Path, int]] = []
    for member in archive:
        name = PurePosixPath(member.name)
        if ".." in name.parts or not any(name.is_relative_to(asked) for asked in names):
            raise OSError(f"the machine sent {name}, which was not asked for")
        path = into / name
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            folders.append((path, member.mode))
        elif (content := archive.extractfile(member)) is not None:
            with whole_file(path) as partial:
                with partial.open("wb") as file:
                    shutil.copyfileobj(content, file, CHUNK_BYTES)
                partial.chmod(member.mode)
                os.utime(partial, (member.mtime, member.mtime))
    for path, mode in reversed(folders):
        path.chmod(mode)
