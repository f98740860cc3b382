"""From host names to addresses, in threads of its own: a slow name server must not hold up the rest of the process."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from net.addresses import IPAddress
from net.errors import NetError

LOOKUP_TIMEOUT = 5.0
LOOKUPS_AT_ONCE = 8

Resolve = Callable[[str], Awaitable[list[IPAddress]]]
"""Looks up a host's addresses, in the order in which to try them. Raises NetError `dns_failed`."""


class SystemResolver:
    """The operating system's resolver. At most 8 lookups at once, 5 seconds for each, waiting included."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="tieline-dns")

    async def __call__(self, host: str) -> list[IPAddress]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                return await loop.run_in_executor(self._threads, _look_up, host)
        except TimeoutError:
            raise NetError("dns_failed", f"looking up {host} took longer than {LOOKUP_TIMEOUT:.0f} s") from None
        except (OSError, UnicodeError) as error:
            raise NetError("dns_failed", f"{host} cannot be looked up: {_reason(error)}") from None

    def close(self) -> None:
        """Stop taking lookups; one that hangs is left to end by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str) -> list[IPAddress]:
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(answer[4][0]) for answer in answers))


def _reason(error: OSError | UnicodeError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "not a valid name"
