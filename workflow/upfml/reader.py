"""What user space does with the events of a perf buffer."""

from __future__ import annotations


class Reader:
    """Takes events one by one, as bpf.Module.poll delivers them: each CPU's in order, the CPUs' in any."""

    received = 0
    """Events so far."""

    def event(self, cpu: int, data: int, size: int) -> None:
        """Take the event of `size` bytes at address `data`."""
        raise NotImplementedError

    def lost(self, count: int) -> None:
        """Events found no room in the buffer. The program in the kernel counts them, so most readers need not."""
