"""The bpf(2) system call, as far as BCC leaves it out: load with a log, program facts, test runs, links, maps of maps.

Layouts: union bpf_attr and struct bpf_prog_info of the kernel's uapi/linux/bpf.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource

from upfml.base.errors import UserError

BPF_MAP_CREATE = 0
BPF_PROG_LOAD = 5
BPF_PROG_TEST_RUN = 10
_BPF_PROG_GET_FD_BY_ID = 13
BPF_OBJ_GET_INFO_BY_FD = 15
_BPF_RAW_TRACEPOINT_OPEN = 17
_BPF_LINK_CREATE = 28
_BPF_ENABLE_STATS = 32
BPF_XDP = 37
"""Type of a link (enum bpf_attach_type)."""
_NUMBER = {"x86_64": 321, "aarch64": 280}

_libc = ctypes.CDLL(None, use_errno=True)
u8, u32, u64 = ctypes.c_uint8, ctypes.c_uint32, ctypes.c_uint64


_BPF_MAP_TYPE_ARRAY = 2
_BPF_F_MMAPABLE = 1 << 10


class _MapCreateAttr(ctypes.Structure):
    """bpf_attr for BPF_MAP_CREATE."""

    _fields_ = [
        ("map_type", u32),
        ("key_size", u32),
        ("value_size", u32),
        ("max_entries", u32),
        ("map_flags", u32),
        ("inner_map_fd", u32),
        ("numa_node", u32),
        ("map_name", ctypes.c_char * 16),
    ]


class ProgLoadAttr(ctypes.Structure):
    """bpf_attr for BPF_PROG_LOAD."""

    _fields_ = [
        ("prog_type", u32),
        ("insn_cnt", u32),
        ("insns", u64),
        ("license", u64),
        ("log_level", u32),
        ("log_size", u32),
        ("log_buf", u64),
        ("kern_version", u32),
        ("prog_flags", u32),
        ("prog_name", ctypes.c_char * 16),
        ("prog_ifindex", u32),  # of a device that is to run it; 0: the host's CPUs
    ]


class TestRunAttr(ctypes.Structure):
    """bpf_attr for BPF_PROG_TEST_RUN."""

    _fields_ = [
        ("prog_fd", u32),
        ("retval", u32),
        ("data_size_in", u32),
        ("data_size_out", u32),
        ("data_in", u64),
        ("data_out", u64),
        ("repeat", u32),
        ("duration", u32),  # out: ns a run
        ("ctx_size_in", u32),
        ("ctx_size_out", u32),
        ("ctx_in", u64),
        ("ctx_out", u64),
        ("flags", u32),
        ("cpu", u32),
    ]


class XdpMd(ctypes.Structure):
    """struct xdp_md; `data` is the number of bytes of metadata in front of the packet."""

    _fields_ = [
        ("data", u32),
        ("data_end", u32),
        ("data_meta", u32),
        ("ingress_ifindex", u32),
        ("rx_queue_index", u32),
        ("egress_ifindex", u32),
    ]


class _LinkCreateAttr(ctypes.Structure):
    """bpf_attr for BPF_LINK_CREATE, of a device."""

    _fields_ = [("prog_fd", u32), ("target_ifindex", u32), ("attach_type", u32), ("flags", u32)]


class _RawTracepointAttr(ctypes.Structure):
    """bpf_attr for BPF_RAW_TRACEPOINT_OPEN."""

    _fields_ = [("name", u64), ("prog_fd", u32)]


class _GetFdByIdAttr(ctypes.Structure):
    _fields_ = [("id", u32), ("next_id", u32), ("open_flags", u32)]


class _EnableStatsAttr(ctypes.Structure):
    _fields_ = [("type", u32)]  # 0: BPF_STATS_RUN_TIME


class _InfoAttr(ctypes.Structure):
    _fields_ = [("bpf_fd", u32), ("info_len", u32), ("info", u64)]


class _MapInfo(ctypes.Structure):
    """The beginning of struct bpf_map_info."""

    _fields_ = [
        ("type", u32),
        ("id", u32),
        ("key_bytes", u32),
        ("value_bytes", u32),
        ("max_entries", u32),
        ("flags", u32),
    ]


class ProgInfo(ctypes.Structure):
    """struct bpf_prog_info up to verified_insns (5.16 and later; zero on older kernels)."""

    _fields_ = [
        ("type", u32),
        ("id", u32),
        ("tag", u8 * 8),
        ("jited_prog_len", u32),
        ("xlated_prog_len", u32),
        ("jited_prog_insns", u64),
        ("xlated_prog_insns", u64),
        ("load_time", u64),
        ("created_by_uid", u32),
        ("nr_map_ids", u32),
        ("map_ids", u64),
        ("name", ctypes.c_char * 16),
        ("ifindex", u32),
        ("gpl_compatible", u32),
        ("netns_dev", u64),
        ("netns_ino", u64),
        ("nr_jited_ksyms", u32),
        ("nr_jited_func_lens", u32),
        ("jited_ksyms", u64),
        ("jited_func_lens", u64),
        ("btf_id", u32),
        ("func_info_rec_size", u32),
        ("func_info", u64),
        ("nr_func_info", u32),
        ("nr_line_info", u32),
        ("line_info", u64),
        ("jited_line_info", u64),
        ("nr_jited_line_info", u32),
        ("line_info_rec_size", u32),
        ("jited_line_info_rec_size", u32),
        ("nr_prog_tags", u32),
        ("prog_tags", u64),
        ("run_time_ns", u64),
        ("run_cnt", u64),
        ("recursion_misses", u64),
        ("verified_insns", u32),
        ("attach_btf_obj_id", u32),
    ]


def bpf(command: int, attr: ctypes.Structure) -> int:
    """Call bpf(2): its result, or minus errno. Raises UserError where root or BPF is missing."""
    result = int(_libc.syscall(_NUMBER[platform.machine()], command, ctypes.byref(attr), ctypes.sizeof(attr)))
    if result >= 0:
        return result
    error = ctypes.get_errno()
    if error == 38:  # ENOSYS
        raise UserError("this kernel has no bpf(2)", "use a kernel with CONFIG_BPF_SYSCALL")
    if error == 1 and os.geteuid() != 0:  # EPERM
        raise UserError("BPF needs root", "run as root")
    return -error


def unlock_memory() -> None:
    """Lift the limit on locked memory, to which maps and programs count before Linux 5.11, where that is allowed."""
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def create_map(
    name: str, kind: int, key_bytes: int, value_bytes: int, entries: int, *, flags: int = 0, inner: int = 0
) -> int:
    """A map of a type (enum bpf_map_type): its descriptor; `inner` is that of a map like those in a map of maps.

    Raises OSError.
    """
    attr = _MapCreateAttr(kind, key_bytes, value_bytes, entries, flags, inner, map_name=name.encode()[:15])
    return _checked(bpf(BPF_MAP_CREATE, attr), "BPF_MAP_CREATE")


def create_array(name: str, value_bytes: int) -> int:
    """An array map of one entry of zeros that can be mapped into memory: its file descriptor. Raises OSError."""
    return create_map(name, _BPF_MAP_TYPE_ARRAY, 4, value_bytes, 1, flags=_BPF_F_MMAPABLE)


def map_info(fd: int) -> dict[str, int]:
    """Of a map: type (enum bpf_map_type), key_bytes, value_bytes, max_entries, flags."""
    info = _MapInfo()
    _checked(
        bpf(BPF_OBJ_GET_INFO_BY_FD, _InfoAttr(fd, ctypes.sizeof(info), ctypes.addressof(info))),
        "BPF_OBJ_GET_INFO_BY_FD",
    )
    return {name: getattr(info, name) for name in ("type", "key_bytes", "value_bytes", "max_entries", "flags")}


def create_link(program: int, ifindex: int, attach_type: int, flags: int) -> int:
    """Attach a program (its descriptor) to a device of this network namespace: the link's file descriptor.

    The program is there until that is closed, by whom or what ever. Raises OSError.
    """
    return _checked(bpf(_BPF_LINK_CREATE, _LinkCreateAttr(program, ifindex, attach_type, flags)), "BPF_LINK_CREATE")


def attach_raw_tracepoint(name: str, program: int) -> int:
    """Run a program (its descriptor) at a tracepoint until the returned descriptor is closed. Raises OSError."""
    text = ctypes.create_string_buffer(name.encode())
    attr = _RawTracepointAttr(ctypes.addressof(text), program)
    return _checked(bpf(_BPF_RAW_TRACEPOINT_OPEN, attr), "BPF_RAW_TRACEPOINT_OPEN")


def count_run_time() -> int:
    """Have the kernel count runs of BPF programs and their time until the returned descriptor is closed.

    It reads its clock twice a run for that (Linux 5.8). Raises OSError.
    """
    return _checked(bpf(_BPF_ENABLE_STATS, _EnableStatsAttr()), "BPF_ENABLE_STATS")


def prog_info(fd: int) -> ProgInfo:
    """Facts of a loaded program."""
    info = ProgInfo()
    attr = _InfoAttr(fd, ctypes.sizeof(info), ctypes.addressof(info))
    _checked(bpf(BPF_OBJ_GET_INFO_BY_FD, attr), "BPF_OBJ_GET_INFO_BY_FD")
    return info


def prog_name(number: int) -> str:
    """The name of the loaded program with this id; empty when it has none, or has gone."""
    fd = bpf(_BPF_PROG_GET_FD_BY_ID, _GetFdByIdAttr(number))
    if fd < 0:
        return ""
    try:
        return str(prog_info(fd).name.decode())
    finally:
        os.close(fd)


def _checked(result: int, command: str) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result), command)
    return result
