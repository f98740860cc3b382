"""Opens SSH connections: to an address that the egress policy allows, by a trusted host key, with nothing ambient.

asyncssh would read the configuration, keys, agent and known hosts of whoever runs the process. Every option that leads
there is set here.
"""

import asyncio
import getpass
import os
import socket
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import asyncssh

from definitions.urls import normal_host
from net.addresses import IPAddress, read_address
from net.dialing import ATTEMPT_TIMEOUT, MAX_ATTEMPTS
from net.egress import EgressPolicy
from net.errors import NetError
from net.host_keys import KEY_ALGORITHMS, Trust, host_key, refusal, trust_of
from net.resolver import Resolve
from net.sftp_errors import SftpCode, SftpError
from net.sftp_faults import excerpt, printable
from net.sftp_server import DEFAULT_PORT, HostKey, SftpServer
from net.ssh_client import Login, login_methods
from net.ssh_gate import HandshakeGate
from net.ssh_transport import DialledSocket

CONNECT_TIMEOUT = 20.0
"""Seconds for look-up, connection, key exchange, login and the start of SFTP together."""
KEEPALIVE_SECONDS = 15
KEEPALIVE_MISSES = 3
WINDOW = 8 * 1024 * 1024
"""Bytes that a server may send ahead. asyncssh's own 2 MiB, of which half is used up before more is allowed, make
22 MB/s of a line of 40 ms, whatever it could carry. Half of this is all that a transfer asks for at once."""
VERSION = "Tieline"

_CIPHERS = ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr"]
"""GCM is the quickest. Without chacha20-poly1305 and CBC, on which prefix truncation works where the server lacks
strict key exchange (CVE-2023-48795): whether it does is known only when the ciphers are agreed on."""
_KEX = "-diffie-hellman-group14-sha1,rsa2048-sha256"
_SHA1_MACS = "-hmac-sha1*"
_SIGNATURES = [*KEY_ALGORITHMS]
_NOTHING_AMBIENT: dict[str, Any] = {
    "config": None,
    "client_version": VERSION,
    "kex_algs": _KEX,
    "client_keys": None,
    "agent_path": None,
    "pkcs11_provider": None,
    "client_host_keysign": False,
    "gss_host": None,
    "x509_trusted_certs": None,
    "x509_trusted_cert_paths": [],
    "proxy_command": None,
    "env": {},
    "send_env": [],
}
"""`client_keys` stays None, which also keeps the agent out: the account's key is handed over when the server asks."""
_OFFERED = (KEY_ALGORITHMS[:1], KEY_ALGORITHMS[1:4], KEY_ALGORITHMS[4:6])
"""Families of host keys that a server has one of each of."""
_DURING = "during the login"
_NO_SFTP = {asyncssh.OPEN_REQUEST_SESSION_FAILED, asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED}
_TOO_MANY = "too many authentication failures"

T = TypeVar("T")
Opened = tuple[asyncssh.SSHClientConnection, asyncssh.SFTPClient]


class _HungUp(SftpError):
    """By a server, before it showed a key."""


class SshDialer:
    """Makes logged-in connections, one or two at a time per server."""

    def __init__(
        self,
        policy: EgressPolicy,
        resolve: Resolve,
        *,
        allow_insecure: bool = False,
        timeout: float = CONNECT_TIMEOUT,
        gate: HandshakeGate | None = None,
    ) -> None:
        self._policy = policy
        self._resolve = resolve
        self._allow_insecure = allow_insecure
        self._timeout = timeout
        self._gate = gate or HandshakeGate()
        _have_a_name()

    async def connect(self, server: SftpServer, key: asyncssh.SSHKeyPair | None) -> Opened:
        """Log in and start SFTP. Waits for its turn first, which may take a while; then `timeout` seconds at most.

        Raises:
            SftpError: with a code about the way to the server, its key, or the login.
        """
        trust = trust_of(server, allow_insecure=self._allow_insecure)
        async with self._gate.turn(server.host, server.port):
            login = Login(server, key)
            try:
                opened = await self._within(server.place, self._log_in(server, trust, login))
            except BaseException as error:
                self._remember(server, login, error)
                raise
            self._remember(server, login, None)
            return opened

    async def host_keys(self, host: str, port: int, ports: frozenset[int]) -> Sequence[HostKey]:
        """The keys that a server offers, before any login: one handshake per family of keys.

        Raises:
            SftpError: the server cannot be reached, or speaks no SSH.
        """
        server = SftpServer("", 0, host, port, "", ports=ports)
        keys: list[HostKey] = []
        hung_up: _HungUp | None = None
        async with self._gate.turn(host, port):
            for algorithms in _OFFERED:
                try:
                    key = await self._within(server.place, self._offered(server, algorithms))
                except _HungUp as error:  # as some do on those who want a key that they have not
                    hung_up = error
                else:
                    keys += [] if key is None else [host_key(key)]
        if not keys:
            nothing = SftpError("protocol_error", f"{server.place} offers no host key of a kind that can be used")
            raise hung_up or nothing
        return keys

    async def _within(self, place: str, work: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await work
        except TimeoutError:
            said = f"{place} did not let us in within {self._timeout:g} s; is it an SSH server, and not overloaded?"
            raise SftpError("connect_failed", said) from None

    async def _log_in(self, server: SftpServer, trust: Trust, login: Login) -> Opened:
        try:
            connection = await self._shake_hands(server, trust, login)
        except (asyncssh.Error, OSError, ValueError) as error:
            raise _login_error(server, trust, login, error) from None
        try:
            return connection, await connection.start_sftp_client(path_encoding=None)
        except (asyncssh.Error, OSError, EOFError) as error:
            raise _start_error(server, error, closed=connection.is_closed()) from None
        finally:
            if not connection.is_closed() and sys.exc_info()[0] is not None:
                connection.abort()

    async def _shake_hands(self, server: SftpServer, trust: Trust, login: Login) -> asyncssh.SSHClientConnection:
        sock = await self._dial(server)
        try:
            return await asyncssh.connect(
                normal_host(server.host),
                server.port,
                tunnel=DialledSocket(sock),
                client_factory=lambda: login,
                username=server.username,
                known_hosts=trust.argument,
                server_host_key_algs=trust.algorithms,
                preferred_auth=login_methods(server),
                encryption_algs=_CIPHERS,
                compression_algs=["none"],
                window=WINDOW,
                mac_algs=_SHA1_MACS,
                signature_algs=_SIGNATURES,
                keepalive_interval=KEEPALIVE_SECONDS,
                keepalive_count_max=KEEPALIVE_MISSES,
                login_timeout=0,
                gss_kex=False,
                gss_auth=False,
                agent_forwarding=False,
                utf8_decode_errors="replace",
                **_NOTHING_AMBIENT,
            )
        finally:
            if not login.connected:
                sock.close()

    async def _offered(self, server: SftpServer, algorithms: Sequence[str]) -> asyncssh.SSHKey | None:
        sock = await self._dial(server)
        try:
            return await asyncssh.get_server_host_key(
                normal_host(server.host),
                server.port,
                sock=sock,
                config=None,
                client_version=VERSION,
                kex_algs=_KEX,
                server_host_key_algs=list(algorithms),
            )
        except asyncssh.KeyExchangeFailed:
            return None
        except (asyncssh.Error, OSError) as error:
            raise _HungUp("connect_failed", _closed(server, error, "before it showed its key")) from None

    async def _dial(self, server: SftpServer) -> socket.socket:
        """A connection to the first of the host's allowed addresses that answers."""
        address = read_address(server.host)
        try:
            addresses = await self._resolve(server.host) if address is None else [address]
            ports = server.ports | {DEFAULT_PORT}
            allowed = self._policy.check(server.host, addresses, server.port, ports=ports)[:MAX_ATTEMPTS]
        except NetError as error:
            code: SftpCode = "egress_denied" if error.code == "egress_denied" else "dns_failed"
            raise SftpError(code, str(error)) from None
        for each in allowed[:-1]:
            try:
                async with asyncio.timeout(ATTEMPT_TIMEOUT):
                    return await _open_socket(each, server.port)
            except (OSError, TimeoutError):
                continue
        try:
            return await _open_socket(allowed[-1], server.port)
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else "no connection"
            raise SftpError("connect_failed", f"{server.place} cannot be reached: {reason}") from None

    def _remember(self, server: SftpServer, login: Login, error: BaseException | None) -> None:
        if login.began:
            self._gate.answered(server.host, server.port)
        elif login.connected and isinstance(error, SftpError) and error.code == "connect_failed":
            self._gate.dropped(server.host, server.port)


def _have_a_name() -> None:
    """asyncssh asks for the name of whoever runs the process, although nothing here depends on it, and goes no further
    without one. Containers may run as a number only."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = VERSION.lower()


async def _open_socket(address: IPAddress, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
    except BaseException:
        sock.close()
        raise
    return sock


def _login_error(server: SftpServer, trust: Trust, login: Login, error: Exception) -> SftpError:
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return refusal(server, trust, login.presented, str(error))
    if isinstance(error, asyncssh.PermissionDenied) or _TOO_MANY in str(error).lower():
        how = " and ".join(login_methods(server)) or "nothing"
        return SftpError(
            "auth_refused",
            f"{server.place} refused the login of {printable(server.username)} by {how}; "
            "check the user name and the secrets of the account, and that the server allows this way",
        )
    if isinstance(error, asyncssh.KeyExchangeFailed):
        said = excerpt(str(error).partition(", sent")[0])
        return SftpError("protocol_error", f"{server.place} speaks no SSH that is considered safe today: {said}")
    if isinstance(error, ValueError):
        text = f"{server.place}: the user name {printable(server.username)} cannot be used for a login"
        return SftpError("auth_refused", text)
    return SftpError("connect_failed", _closed(server, error, _DURING if login.began else "before the login"))


def _closed(server: SftpServer, error: Exception, when: str) -> str:
    reason = excerpt(str(error))
    hint = "" if when == _DURING else "; is it an SSH server, and not too busy?"
    return f"{server.place} ended the connection {when}" + (f": {reason}" if reason else "") + hint


def _start_error(server: SftpServer, error: Exception, *, closed: bool) -> SftpError:
    if isinstance(error, asyncssh.ChannelOpenError) and error.code in _NO_SFTP and not closed:
        user = printable(server.username)
        return SftpError("unsupported", f"{server.place} let {user} in, but offers no SFTP: {excerpt(str(error))}")
    if isinstance(error, asyncssh.SFTPBadMessage):
        text = f"{server.place} does not answer as an SFTP server does (does its login script print something?)"
        return SftpError("protocol_error", text)
    return SftpError("connect_failed", _closed(server, error, "before SFTP began"))
