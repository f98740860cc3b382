"""The demo's chapter about files: a partner's SFTP server, a large file, and a kill in the middle of it."""

import asyncio
import hashlib
import json
import os
import re
from pathlib import Path

from examples.demo.commands import CommandLine
from examples.demo.narration import Narrator
from examples.demo.up import Up
from examples.externalsystems.warehouse import Warehouse

MIB = 1024 * 1024
SIZE = 128 * MIB
SPEED = 48 * MIB
"""Bytes per second that the partner's line has: slow enough to be killed half-way."""
HALF_WAY_SECONDS = 60.0
KEPT = ("scans.tar", "stock.csv")
PARTNER = ("warehouse", "--profile", "production")


class Files:
    """One telling of it."""

    def __init__(self, narrator: Narrator, tieline: CommandLine, warehouse: Warehouse, up: Up, folder: Path) -> None:
        self._narrator = narrator
        self._tieline = tieline
        self._warehouse = warehouse
        self._up = up
        self._folder = folder

    async def tell(self) -> None:
        """All of it."""
        self._narrator.chapter(
            "Files",
            "An SFTP server proves who it is by its host key, so a person compares the fingerprint with what the "
            "partner says before there is an account. Files are seen under their final names when they are whole, and "
            "not before.",
        )
        await self.account()
        await self.killed_half_way()
        await self.there_and_back()
        await self.from_an_api()
        await self.another_host_key()

    async def account(self) -> None:
        """Confirm the server, connect, bind."""
        create = (
            *("accounts", "create", "warehouse", "--integration", "warehouse"),
            *("--param", f"server={self._warehouse.server}"),
            *("--secret", "username=env:DEMO_WAREHOUSE_USERNAME", "--secret", "private_key=env:DEMO_WAREHOUSE_KEY"),
        )
        with self._narrator.step("No account is created for a server that nobody has confirmed"):
            await self._tieline("apply", "examples/demo/definitions/warehouse.yaml")
            outcome = await self._tieline(*create)
            self._narrator.expect("exit status 2", outcome.status, 2)
            fingerprint = self._warehouse.fingerprint
            self._narrator.expect("it shows the server's fingerprint", fingerprint in outcome.output)
        with self._narrator.step("The partner says the same, by telephone: it is created, tried and bound"):
            outcome = await self._tieline(*create, "--host-key", fingerprint)
            self._narrator.expect("it was created", outcome.status, 0)
            outcome = await self._tieline("accounts", "test", "warehouse")
            self._narrator.expect("it can log in", "works (logged in as" in outcome.output)
            await self._tieline("profiles", "set", "production", "warehouse", "warehouse")

    async def killed_half_way(self) -> None:
        """The whole of Tieline is killed while a file is under way."""
        source = self._folder / "scans.tar"
        digest = await asyncio.to_thread(_write_random, source)
        with self._narrator.step("128 MiB go to a slow server; half-way, everything is killed, and started again"):
            self._warehouse.bytes_per_second = SPEED
            half_way = self._warehouse.after(SIZE // 2)
            started = await self._tieline("sftp", "put", *PARTNER, str(source), "incoming/", "--no-wait")
            async with asyncio.timeout(HALF_WAY_SECONDS):
                await half_way.wait()
            await self._up.kill()
            names = self._names("incoming")
            self._narrator.output("\n".join(names))
            self._narrator.expect("half a file is seen under no final name", "scans.tar" not in names)
            self._warehouse.bytes_per_second = None
            await self._up.start()
        with self._narrator.step("The next attempt goes on where the server has everything, and checks the whole"):
            result = await self._tieline("runs", "result", started.run)
            await self._tieline("runs", "show", started.run)
            self._narrator.expect("it arrived", result.status, 0)
            resumed = re.search(r"resumed from byte (\d+)", result.output)
            self._narrator.expect("it did not begin anew", bool(resumed) and int(resumed.group(1)) > SIZE // 4)  # type: ignore[union-attr]
            self._narrator.expect(
                "once, under its name, and nothing else is left", self._names("incoming"), ["scans.tar"]
            )
            arrived = await asyncio.to_thread(_sha256, self._warehouse.folder / "incoming" / "scans.tar")
            self._narrator.expect("with every byte", arrived, digest)
            self._narrator.expect("the result says so", digest in result.output)

    async def there_and_back(self) -> None:
        """Listing, and download as an asset."""
        (self._warehouse.folder / "outgoing").mkdir()
        (self._warehouse.folder / "outgoing" / "stock.csv").write_text("part,count\nhinge,12\n", encoding="utf-8")
        with self._narrator.step("Look what the partner has; fetch it, and have it moved away there"):
            await self._tieline("sftp", "ls", *PARTNER, "outgoing")
            target = self._folder / "stock.csv"
            moved = ("--after", "move", "--move-to", "outgoing/done/")
            outcome = await self._tieline("sftp", "get", *PARTNER, "outgoing/*.csv", "--to", str(self._folder), *moved)
            self._narrator.expect("exit status 0", outcome.status, 0)
            self._narrator.expect("it is here", target.read_text(encoding="utf-8"), "part,count\nhinge,12\n")
            self._narrator.expect("and there it is done", self._names("outgoing"), ["done", "done/stock.csv"])
            kept = await self._tieline("assets", "list")
            self._narrator.expect("both files are kept as assets", all(name in kept.output for name in KEPT))

    async def from_an_api(self) -> None:
        """What an HTTP API answers is streamed to the SFTP server."""
        with self._narrator.step("What the CRM answers goes to the partner as a file, without a copy in between"):
            outcome = await self._tieline("sftp", "put", *PARTNER, "--from", "crm:leads", "incoming/leads.json")
            self._narrator.expect("exit status 0", outcome.status, 0)
            leads = json.loads((self._warehouse.folder / "incoming" / "leads.json").read_bytes())
            self._narrator.expect("the leads are there", [each["name"] for each in leads["leads"]], ["Ada"])

    async def another_host_key(self) -> None:
        """The server presents a key that nobody has confirmed."""
        before = self._warehouse.fingerprint
        self._warehouse.change_host_key()
        after, logins = self._warehouse.fingerprint, self._warehouse.logins
        with self._narrator.step("The server presents another host key: no login, and the run waits for a person"):
            outcome = await self._tieline("sftp", "ls", *PARTNER, "incoming", "--wait", "5")
            self._narrator.expect("exit status 4", outcome.status, 4)
            shown = before in outcome.output and after in outcome.output
            self._narrator.expect("both fingerprints are shown", shown)
            self._narrator.expect("nobody has logged in", self._warehouse.logins, logins)
        with self._narrator.step("She asks the partner, who has a new server: the key is trusted, the run goes on"):
            decision = ("trust", "--who", "grace", "--why", "the partner moved on Sunday, ticket 4711")
            await self._tieline("runs", "decide", outcome.run, *decision)
            result = await self._tieline("runs", "result", outcome.run)
            self._narrator.expect("it lists the folder", "scans.tar" in result.output)
            history = await self._tieline("runs", "show", outcome.run)
            self._narrator.expect("who and why stand in its history", "grace: the partner moved" in history.output)
            keys = await self._tieline("accounts", "host-keys", "warehouse")
            self._narrator.expect("the old key is trusted no more", before not in keys.output and after in keys.output)

    def _names(self, folder: str) -> list[str]:
        top = self._warehouse.folder / folder
        return sorted(str(path.relative_to(top)) for path in top.rglob("*"))


def _write_random(path: Path) -> str:
    """Returns the SHA-256 of what was written."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(SIZE // MIB):
            piece = os.urandom(MIB)
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
