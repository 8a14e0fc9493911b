"""Read captures (pcap, pcapng) with libpcap, as batches of Ethernet frames that a test run takes (capturefile.c)."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from types import TracebackType

import numpy as np

from upfml.base import gcc
from upfml.base.errors import UserError
from upfml.bpf.testrun import FRAME_BYTES_MAX, RECORD
from upfml.packets import frames

SOURCE = Path(__file__).with_name("capturefile.c")
_ERROR_BYTES = 256  # PCAP_ERRBUF_SIZE
_TUNNEL = frames.n3(b"", teid=0, qfi=None)


class Totals(ctypes.Structure):
    """struct totals of capturefile.c: what was read of a capture so far."""

    _fields_ = [
        ("file_bytes", ctypes.c_uint64),
        ("packets", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),  # on the wire
        ("frames_cut", ctypes.c_uint64),  # longer than FRAME_BYTES_MAX: the programs read headers only
        ("frames_too_short", ctypes.c_uint64),  # without a whole link-layer header: not in any batch
        ("first_ns", ctypes.c_uint64),  # since 1970-01-01 UTC, the earliest; valid when there are packets
        ("last_ns", ctypes.c_uint64),  # the latest
    ]


class CaptureFile:
    """A capture of Ethernet, of Linux cooked mode (`tcpdump -i any`) or of raw IP; the latter two become Ethernet.

    With `plain`, IP (behind VLAN tags, too) is put into a GTP-U tunnel of TEID 0 without a PDU Session Container, so
    that the programs for N3 see it; what is not IP stays as it is.
    """

    def __init__(self, path: Path, *, plain: bool = False) -> None:
        """Open it. Raises UserError when there is no such file, or it is no capture, or one of another link type."""
        self.path, self.plain = path, plain
        self._library = _library()
        if not path.is_file():
            raise UserError(f"there is no file {path}", "give the path of a pcap or pcapng file")
        self.size_bytes = path.stat().st_size
        message = ctypes.create_string_buffer(_ERROR_BYTES)
        self._capture = self._library.capture_open(
            str(path).encode(), _TUNNEL if plain else None, FRAME_BYTES_MAX, message
        )
        if not self._capture:
            raise UserError(
                f"{path} is not a capture: {message.value.decode(errors='replace')}",
                "give a pcap or pcapng file, unpacked if it was compressed",
            )
        number = self._library.capture_link_type(self._capture)
        self.link_type = (self._library.pcap_datalink_val_to_name(number) or b"%d, unknown" % number).decode()
        if not self._library.capture_knows(number):
            self.close()
            raise UserError(
                f"{path} has the link type {self.link_type}, which cannot be read",
                "capture Ethernet (EN10MB), Linux cooked mode (LINUX_SLL, LINUX_SLL2) or raw IP (RAW)",
            )

    def __enter__(self) -> CaptureFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing can be asked of it afterwards."""
        self._library.capture_close(self._capture)

    @property
    def totals(self) -> Totals:
        """What was read so far; changes as reading goes on."""
        return self._capture.contents  # type: ignore[no-any-return]

    def read(self, batch: np.ndarray, records: int) -> int:
        """Put the next packets, at most `records`, into a batch of bytes: how many; 0 at the end of the file.

        Raises UserError when the file is cut short or otherwise broken.
        """
        count = int(self._library.capture_read(self._capture, batch.ctypes.data, batch.nbytes, records))
        if count < 0:
            reason = self._library.capture_error(self._capture).decode(errors="replace")
            raise UserError(
                f"{self.path} cannot be read beyond packet {self.totals.packets}: {reason}",
                f"copy or capture it again, or save the packets that are whole: editcap {self.path} whole.pcapng",
            )
        return count


def libpcap_version() -> str:
    """What libpcap says of itself."""
    return str(_library().pcap_lib_version().decode())


@cache
def _library() -> ctypes.CDLL:
    library = gcc.library(SOURCE, "-lpcap", mirrors={"totals": Totals, "record": RECORD})
    text, capture = ctypes.c_char_p, ctypes.POINTER(Totals)  # the totals are a capture's first member
    library.capture_open.argtypes = [text, text, ctypes.c_uint32, text]
    library.capture_open.restype = capture
    library.capture_link_type.argtypes = [capture]
    library.capture_read.argtypes = [capture, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64]
    library.capture_read.restype = ctypes.c_int64
    library.capture_error.argtypes = [capture]
    library.capture_error.restype = text
    library.capture_close.argtypes = [capture]
    library.capture_close.restype = None
    library.pcap_datalink_val_to_name.restype = text
    library.pcap_lib_version.restype = text
    return library
