"""How one gets in to a machine: its host key, our key, and what to mend when it does not let us.

No key, passphrase or password is in what it says.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import socket
from collections.abc import Callable, Sequence

import asyncssh
from asyncssh.public_key import get_default_certificate_algs, get_default_public_key_algs

from upfml.base.errors import UserError
from upfml.testbed.ssh.inventory import Machine

CONNECT_PATIENCE_S = 10.0
LOGIN_PATIENCE_S = 20.0
KEEPALIVE_S, KEEPALIVE_COUNT = 3.0, 2
"""A machine that answers nothing is given up after KEEPALIVE_S · (KEEPALIVE_COUNT + 1), about when it gives us up: a
keeper's LIFETIME_S."""
_SSH_PORT = 22


class Login:
    """To one machine, which messages call `name`; `on_lost` hears of the end of a connection that was made."""

    def __init__(self, machine: Machine, name: str, on_lost: Callable[[Exception | None], None]) -> None:
        self.machine, self.name = machine, name
        self.client = _Client(on_lost)
        self._agent: asyncssh.SSHAgentClient | None = None

    async def connect(self) -> asyncssh.SSHClientConnection:
        """Log in. Raises UserError, which says what to mend."""
        machine = self.machine
        known = self._known_hosts()
        keys = await self._keys()
        try:
            found = await asyncio.get_running_loop().getaddrinfo(machine.address, machine.port, type=socket.SOCK_STREAM)
            self.client.address = str(found[0][4][0])
            connection, _ = await asyncssh.create_connection(
                lambda: self.client,
                machine.address,
                machine.port,
                username=machine.user,
                config=None,
                known_hosts=known,
                server_host_key_algs=self._host_key_algorithms(known),
                client_keys=keys,
                agent_path=None,
                preferred_auth="publickey",
                gss_host=None,
                connect_timeout=CONNECT_PATIENCE_S,
                login_timeout=LOGIN_PATIENCE_S,
                keepalive_interval=KEEPALIVE_S,
                keepalive_count_max=KEEPALIVE_COUNT,
            )
        except asyncssh.HostKeyNotVerifiable as error:
            raise self._host_key_refused(known) from error
        except asyncssh.PermissionDenied as error:
            whose = f"the key {machine.key}" if machine.key else "any key that ssh-agent holds"
            raise UserError(
                f"{self.name} does not let {machine.user} log in with {whose}",
                f"put the public key into ~{machine.user}/.ssh/authorized_keys there, or mend the machine's user or key"
                " (root also needs PermitRootLogin in sshd_config)",
            ) from error
        except (asyncssh.Error, OSError) as error:
            raise self._no_way(error) from error
        return connection

    async def close(self) -> None:
        """Let go of ssh-agent."""
        if self._agent is not None:
            self._agent.close()
            await self._agent.wait_closed()

    def _known_hosts(self) -> asyncssh.SSHKnownHosts:
        path = self.machine.known_hosts
        try:
            return asyncssh.read_known_hosts(str(path))
        except (OSError, ValueError) as error:
            raise UserError(
                f"cannot read {path}, which must hold the host key of {self.name}: {reason_of(error)}",
                self._how_to_know("mend testbed.machines.known_hosts, or make that file"),
            ) from error

    def _known(self, known: asyncssh.SSHKnownHosts) -> tuple[Sequence[asyncssh.SSHKey], Sequence[asyncssh.SSHKey]]:
        """The machine's keys and authorities in known_hosts."""
        machine = self.machine
        port = None if machine.port == _SSH_PORT else machine.port
        keys, authorities, *_ = known.match(machine.address, self.client.address, port)
        return keys, authorities

    def _host_key_algorithms(self, known: asyncssh.SSHKnownHosts) -> list[str]:
        """Those of known keys first, then all: a machine with a new key of another type is to show it."""
        keys, authorities = self._known(known)
        certificates = get_default_certificate_algs() if authorities else []
        of_known = [algorithm for key in keys for algorithm in key.sig_algorithms]
        every = [*certificates, *of_known, *get_default_public_key_algs()]
        return list(dict.fromkeys(algorithm.decode() for algorithm in every))

    async def _keys(self) -> list[asyncssh.SSHKey] | list[asyncssh.SSHKeyPair]:
        path = self.machine.key
        if path is not None:
            try:
                return [asyncssh.read_private_key(path)]
            except OSError as error:
                raise UserError(
                    f"cannot read the key {path} for {self.name}: {reason_of(error)}", "mend testbed.machines.key"
                ) from error
            except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
                # Its text says what is wrong with the format, never what is in the file.
                encrypted = isinstance(error, asyncssh.KeyEncryptionError) or "passphrase" in str(error).lower()
                raise UserError(
                    f"the key {path} for {self.name} "
                    + ("has a passphrase" if encrypted else f"is not a private key: {error}"),
                    f"give it to ssh-agent (`ssh-add {path}`) and set testbed.machines.key to null"
                    if encrypted
                    else "set testbed.machines.key to the file of a private key, as ssh-keygen makes it",
                ) from error
        held: list[asyncssh.SSHKeyPair] = []
        with contextlib.suppress(OSError, ValueError):
            self._agent = await asyncssh.connect_agent()
            held = list(await self._agent.get_keys())
        if not held:
            raise UserError(
                f"there is no key for {self.name}: testbed.machines.key is null, and ssh-agent "
                + ("holds none" if os.environ.get("SSH_AUTH_SOCK") else "does not run (SSH_AUTH_SOCK is not set)"),
                "set testbed.machines.key, or start ssh-agent and give it one with ssh-add",
            )
        return held

    def _host_key_refused(self, known: asyncssh.SSHKnownHosts) -> UserError:
        machine = self.machine
        presented = f", {self.client.presented}" if self.client.presented else ""
        keys, authorities = self._known(known)
        if keys or authorities:
            return UserError(
                f"the host key of {self.name}{presented}, has changed: it is not the one in {machine.known_hosts}."
                " It may be another machine",
                self._how_to_know(
                    f"if it has a new key, `ssh-keygen -R {shlex.quote(self._entry())} -f {machine.known_hosts}`"
                    " takes the old one out"
                ),
            )
        return UserError(
            f"the host key of {self.name}{presented}, is unknown: {machine.known_hosts} does not have it",
            self._how_to_know("see that it is that machine's"),
        )

    def _entry(self) -> str:
        """How known_hosts names the machine."""
        port = self.machine.port
        return self.machine.address if port == _SSH_PORT else f"[{self.machine.address}]:{port}"

    def _how_to_know(self, first: str) -> str:
        scan = f"ssh-keyscan -p {self.machine.port} {self.machine.address}"
        return (
            f"{first}; compare `{scan} | ssh-keygen -lf -` with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`"
            f" on the machine itself; if they agree: `{scan} >> {self.machine.known_hosts}`"
        )

    def _no_way(self, error: Exception) -> UserError:
        """Why there is no connection."""
        port = self.machine.port
        cause, remedy = f"cannot connect to {self.name}, port {port}: {reason_of(error)}", "see that the machine is up"
        if isinstance(error, ConnectionRefusedError):
            remedy = "start sshd there, or mend testbed.machines.port"
        elif isinstance(error, socket.gaierror):
            remedy = "mend testbed.machines.address: that name is not known here"
        elif isinstance(error, TimeoutError):
            cause = f"cannot connect to {self.name}, port {port}: no answer in {CONNECT_PATIENCE_S:.0f} s"
            remedy = "see that the machine is up and that no firewall is between, or mend testbed.machines.address"
        elif isinstance(error, OSError):
            remedy = "mend testbed.machines.address, or the network to it (`ip route get`)"
        elif isinstance(error, asyncssh.Error):
            remedy = "see that an SSH server listens there, and its log (`journalctl -u ssh`)"
        return UserError(cause, remedy)


class _Client(asyncssh.SSHClient):
    """Hears of the connection's end, and remembers which host key was refused, of which address."""

    def __init__(self, on_lost: Callable[[Exception | None], None]) -> None:
        self.presented = ""
        self.address = ""
        self._on_lost = on_lost

    def forget(self) -> None:
        """It is to end now: no loss."""
        self._on_lost = lambda _: None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Asked about a key that known_hosts does not have."""
        self.address = addr
        self.presented = f"{key.get_algorithm()} {key.get_fingerprint()}"
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell why."""
        self._on_lost(exc)


def reason_of(error: Exception) -> str:
    """What an error says, or its name where it says nothing."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
