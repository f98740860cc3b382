"""Debian's PostgreSQL with a cluster of our own, set up by the script that the container runs."""

import asyncio
import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
ROLES = ROOT / "deploy" / "postgresql" / "roles.sh"
FIND_PROGRAMS = ROOT / "scripts" / "install-system-packages"
ACCOUNT = "postgres"


class NoPostgresql(Exception):
    """PostgreSQL's programs are not installed."""


class Cluster:
    """A folder with a cluster, and how its server is run."""

    def __init__(self, folder: Path, port: int, environment: Mapping[str, str]) -> None:
        self.port = port
        self._folder = folder
        self._environment = dict(environment)
        self._programs = _programs()

    def make(self, password: str) -> None:
        """Make an empty cluster whose superuser has this password, as its image does."""
        self._folder.mkdir(mode=0o700)
        secret = self._folder / "password"
        secret.write_text(password, encoding="utf-8")
        if os.getuid() == 0:
            for path in (self._folder, secret):
                os.chown(path, pwd.getpwnam(ACCOUNT).pw_uid, -1)
        initdb = [str(self._programs / "initdb"), "-D", str(self._data), "--encoding=UTF8", f"--username={ACCOUNT}"]
        initdb += ["--auth=scram-sha-256", f"--pwfile={secret}"]
        subprocess.run([*_demoted(), *initdb], check=True, stdout=subprocess.DEVNULL)
        secret.unlink()

    def command(self, options: Sequence[str]) -> list[str]:
        """The server, durable as it comes: nothing is switched off."""
        places = ["-D", str(self._data), "-p", str(self.port), "-k", str(self._folder)]
        return [*_demoted(), str(self._programs / "postgres"), *places, "-c", "listen_addresses=127.0.0.1", *options]

    def make_roles(self, password: str, passwords: Mapping[str, str]) -> None:
        """Run the script of the container's first start."""
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGPASSWORD": password}
        subprocess.run(["sh", str(ROLES)], check=True, env={**self._environment, **where, **passwords})

    async def answers(self, password: str) -> bool:
        """Whether it takes connections, and its version is told."""
        try:
            connection = await self.connect(ACCOUNT, password, ACCOUNT)
        except (OSError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True

    async def connect(self, role: str, password: str, database: str) -> asyncpg.Connection:
        return await asyncio.wait_for(
            asyncpg.connect(host="127.0.0.1", port=self.port, user=role, password=password, database=database), 5
        )

    @property
    def _data(self) -> Path:
        return self._folder / "data"


def _programs() -> Path:
    found = subprocess.run(["sh", str(FIND_PROGRAMS), "--postgresql-folder"], capture_output=True, text=True)
    if found.returncode != 0:
        raise NoPostgresql("PostgreSQL's server is not installed: sh scripts/install-system-packages postgresql")
    return Path(found.stdout.strip())


def _demoted() -> Sequence[str]:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return []
    return ["setpriv", "--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups", "--pdeathsig", "TERM"]
