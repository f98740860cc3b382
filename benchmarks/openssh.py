"""The OpenSSH `sftp` client, logged in once and given batches: what Tieline's transfers are compared with."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from tests.fixtures.sshd import HOST, Sshd

CIPHER = "aes256-gcm@openssh.com"
"""What Tieline's connections and an OpenSSH server agree on."""
END = b"Local working directory:"
LINE_LIMIT = 1024 * 1024


class OpenSsh:
    """One `sftp` process. It reads its batch from a pipe, ends with the first command that fails, and says nothing of
    those that do not."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def do(self, commands: Sequence[str]) -> None:
        """Returns when the last of them is done."""
        into, out = self._process.stdin, self._process.stdout
        assert into is not None, "it was asked for"
        assert out is not None, "it was asked for"
        into.write("".join(f"{command}\n" for command in (*commands, "lpwd")).encode())
        await into.drain()
        while not (line := await out.readline()).startswith(END):
            assert line, "sftp ended: one of its commands failed"


@contextlib.asynccontextmanager
async def openssh(sshd: Sshd, port: int) -> AsyncIterator[OpenSsh]:
    """Logged in at the server, which is reached by this port."""
    known = sshd.folder / f"known-{port}"
    known.write_text(f"[{HOST}]:{port} {sshd.public_key()}\n", encoding="utf-8")
    options = {
        "Ciphers": CIPHER,
        "Compression": "no",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UserKnownHostsFile": str(known),
        "GlobalKnownHostsFile": "none",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlgorithms": "ssh-ed25519",
    }
    process = await asyncio.create_subprocess_exec(
        *("sftp", "-q", "-b", "-", "-F", "none", "-P", str(port), "-i", str(sshd.folder / "user")),
        *(f"-o{name}={value}" for name, value in options.items()),
        f"{sshd.username}@{HOST}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT,
    )
    try:
        client = OpenSsh(process)
        await client.do([])
        yield client
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
