"""The way out for mail: one message to one server, the egress policy at dial time, one deadline, no retries."""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Sequence
from typing import Literal

import aiosmtplib
from aiosmtplib import SMTP

from net.addresses import IPAddress, read_address
from net.dialing import ATTEMPT_TIMEOUT, MAX_ATTEMPTS
from net.egress import EgressPolicy
from net.errors import NetError
from net.faults import os_reason, tls_reason
from net.mail_server import MailServer
from net.redaction import LIVE_SECRETS
from net.resolver import Resolve, SystemResolver
from net.tls import ssl_context

MAIL_DEADLINE = 30.0
FAREWELL_SECONDS = 2.0
MAX_REPLY = 160

Code = Literal["unreachable", "tls_failed", "no_starttls", "login_refused", "sender_refused", "mail_refused"]


class MailError(Exception):
    """A message was not taken. The text names the server and what it said, without anything that is secret."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


class Mailer:
    """Hands messages in at one server, over a connection for each: they are few."""

    def __init__(
        self,
        server: MailServer,
        policy: EgressPolicy,
        *,
        deadline: float = MAIL_DEADLINE,
        resolver: Resolve | None = None,
    ) -> None:
        self.server = server
        self._policy = policy
        self._deadline = deadline
        self._own_resolver = SystemResolver() if resolver is None else None
        resolve = resolver or self._own_resolver
        assert resolve is not None
        self._resolve = resolve

    async def send(self, sender: str, recipients: Sequence[str], message: bytes) -> list[str]:
        """Hand a message in; returns what the server said of recipients that it refused while it took others.

        Raises:
            MailError: nobody gets it. Only a connection that was lost, or late, leaves that open.
        """
        tls = _tls(self.server)
        try:
            with contextlib.ExitStack() as stack:
                async with asyncio.timeout(self._deadline):
                    connection = await self._connection()
                    stack.callback(_hang_up, connection)
                    smtp = _session(self.server, connection, tls)
                    stack.callback(smtp.close)
                    await _begin(smtp, self.server)
                    refused, _ = await smtp.sendmail(sender, recipients, message)
                await _farewell(smtp)
        except NetError as error:
            raise MailError("unreachable", f"{self.server}: {error}") from None
        except TimeoutError:
            raise MailError("unreachable", f"{self.server}: not done within {self._deadline:g} s") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _mail_error(self.server, error) from None
        return [f"{address}: {_said(reply.code, reply.message)}" for address, reply in refused.items()]

    def close(self) -> None:
        """Stop looking names up."""
        if self._own_resolver is not None:
            self._own_resolver.close()

    async def _connection(self) -> socket.socket:
        """A connection to the first of the server's allowed addresses that answers."""
        host, port = self.server.host, self.server.port
        address = read_address(host)
        addresses = await self._resolve(host) if address is None else [address]
        *others, last = self._policy.check(host, addresses, port, ports={port})[:MAX_ATTEMPTS]
        for each in others:
            with contextlib.suppress(NetError, TimeoutError):
                async with asyncio.timeout(ATTEMPT_TIMEOUT):
                    return await _dial(each, port)
        return await _dial(last, port)


async def _dial(address: IPAddress, port: int) -> socket.socket:
    connection = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (str(address), port))
    except OSError as error:
        connection.close()
        raise NetError("connect_failed", f"no connection: {os_reason(error)}") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _tls(server: MailServer) -> ssl.SSLContext | None:
    try:
        return None if server.protection == "none" else ssl_context(None)
    except NetError as error:
        raise MailError("tls_failed", f"{server}: {error}") from None


def _session(server: MailServer, connection: socket.socket, tls: ssl.SSLContext | None) -> SMTP:
    return SMTP(
        hostname=server.host,
        sock=connection,
        local_hostname=_own_name(connection),
        use_tls=server.protection == "tls",
        start_tls=False,  # done by hand, so that its failures can be told apart
        tls_context=tls,
        timeout=None,
    )


def _own_name(connection: socket.socket) -> str:
    """An address literal (RFC 5321 §4.1.3): looking one's own name up takes seconds where there is none."""
    address = connection.getsockname()[0].partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


async def _begin(smtp: SMTP, server: MailServer) -> None:
    await smtp.connect()
    if server.protection == "starttls":
        await smtp.ehlo()
        if not smtp.supports_extension("starttls"):
            raise MailError("no_starttls", f"{server}: it offers no STARTTLS")
        await smtp.starttls()
    if server.user is not None and server.password is not None:
        await smtp.ehlo()
        if not smtp.supported_auth_methods:
            raise MailError("login_refused", f"{server}: it offers no way to log in that is known here")
        await smtp.login(server.user, server.password)


async def _farewell(smtp: SMTP) -> None:
    """In good order where that is quick; the message is taken, whatever becomes of this."""
    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
        async with asyncio.timeout(FAREWELL_SECONDS):
            await smtp.quit()


def _hang_up(connection: socket.socket) -> None:
    """At once, whatever the session is waiting for: TLS by itself would wait half a minute for a server that hangs."""
    with contextlib.suppress(OSError):  # it was closed in good order
        connection.shutdown(socket.SHUT_RDWR)


def _mail_error(server: MailServer, error: Exception) -> MailError:
    code, what = _fault(error)
    return MailError(code, f"{server}: {what}")


def _fault(error: Exception) -> tuple[Code, str]:
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return "login_refused", f"it refused user and password ({error.code})"  # its words may repeat them
    if isinstance(error, aiosmtplib.SMTPSenderRefused):
        return "sender_refused", f"it refused the sender: {_said(error.code, error.message)}"
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        first = error.recipients[0]
        return "mail_refused", f"it refused every recipient: {_said(first.code, first.message)}"
    if isinstance(error, aiosmtplib.SMTPResponseException) and error.code > 0:
        return "mail_refused", f"it answered {_said(error.code, error.message)}"
    return _broken(error)


def _broken(error: Exception) -> tuple[Code, str]:
    cause = error.__cause__ if isinstance(error, aiosmtplib.SMTPConnectError) else error
    if isinstance(cause, ssl.SSLError):
        return "tls_failed", f"no TLS session: {tls_reason(cause)}"
    if isinstance(cause, OSError):
        return "unreachable", "the connection was lost"
    return "mail_refused", "it does not speak SMTP as it should"


def _said(code: int, text: str) -> str:
    """A server's reply in one printable line; what it repeats of ours may be secret."""
    words = re.sub(r"[^\x21-\x7e]+", " ", text).strip()
    return f"{code} {LIVE_SECRETS.scrub(words)}"[:MAX_REPLY].strip()
