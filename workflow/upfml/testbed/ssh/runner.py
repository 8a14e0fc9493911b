"""Commands on a machine that is only looked at: a connection, and nothing started or copied there."""

from __future__ import annotations

from collections.abc import Sequence
from subprocess import CompletedProcess

from upfml.base.errors import UserError
from upfml.testbed.host import NO_CONNECTION
from upfml.testbed.ssh.connection import Connection
from upfml.testbed.ssh.inventory import Machine


class MachineRunner:
    """A `provision.Runner` for a machine: connects when it is first called, and keeps the connection until `close`.

    A machine that cannot be reached, logged in to or made root on answers every command with NO_CONNECTION, the reason
    and the remedy on stderr.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._connection: Connection | None = None

    def __call__(self, argv: Sequence[str]) -> CompletedProcess[str]:
        """Run a command as root."""
        try:
            if self._connection is None:
                connection = Connection(self._machine)
                connection.open()
                self._connection = connection
            return self._connection.run(argv)
        except UserError as error:
            self.close()
            return CompletedProcess(list(argv), NO_CONNECTION, "", str(error))

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
