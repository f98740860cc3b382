"""Those who set up accounts: an operator at the command line, and a person at the provider's page."""

import asyncio

import httpx2

from deploy.prodlike.outside import AHEAD, ON_DEMAND, Outside
from examples.demo.commands import TIELINE, CommandLine, Outcome

ADAPTERS = ("shop-0", "shop-1", "shop-2")
"""Each bound to the account of the same name: profile.yaml."""
UNKEYED = "shop-unkeyed"
AHEAD_ACCOUNTS = tuple(f"ahead-{number}" for number in range(6))
"""Nobody calls with them."""
ACCOUNTS = (*ADAPTERS, UNKEYED, *AHEAD_ACCOUNTS)

SECRETS = {
    "ON_DEMAND_CLIENT_ID": ON_DEMAND.client_id,
    "ON_DEMAND_CLIENT_SECRET": ON_DEMAND.client_secret,
    "AHEAD_CLIENT_ID": AHEAD.client_id,
    "AHEAD_CLIENT_SECRET": AHEAD.client_secret,
}
"""In the environment of commands, where they are read from."""

REVOKED = "shop-revoked"
"""Created when the others have served: its grant is taken back."""

CONSENT_SECONDS = 120.0
AT_ONCE = 3
"""Commands; each is a process that loads the product."""


class People:
    """`create` first, then `connect` each account."""

    def __init__(self, tieline: CommandLine, outside: Outside) -> None:
        self._tieline = tieline
        self._outside = outside
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def create(self) -> list[Outcome]:
        """All accounts; the first one is told."""
        first, *others = map(self._creation, ACCOUNTS)
        told = await self._tieline(*first)
        return [told, *await asyncio.gather(*map(self._in_turn, others))]

    async def create_another(self, account: str) -> Outcome:
        """An account of the shop's, bound to the adapter of its name."""
        await self._tieline.untold(*self._creation(account))
        return await self._tieline("profiles", "set", "production", account, account)

    async def connect(self, account: str, url: str) -> str:
        """`tieline accounts connect`, and a browser at its link; returns the last page."""
        async with self._turns:
            return await self._connect(account, url)

    async def _in_turn(self, command: list[str]) -> Outcome:
        async with self._turns:
            return await self._tieline.untold(*command)

    async def _connect(self, account: str, url: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(*TIELINE, "accounts", "connect", account, "--url", url),
            env=self._tieline.environment,
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(CONSENT_SECONDS):
                page = await _follow(process)
                await process.wait()
        except TimeoutError:
            raise TimeoutError(f"account {account} was not connected within {CONSENT_SECONDS:g} seconds") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return page if process.returncode == 0 else f"exit status {process.returncode}"

    def _creation(self, account: str) -> list[str]:
        integration = UNKEYED if account == UNKEYED else "shop"
        client = "AHEAD" if account in AHEAD_ACCOUNTS else "ON_DEMAND"
        command = ["accounts", "create", account, "--integration", integration]
        command += ["--param", f"server=127.0.0.1:{self._outside.port}"]
        secrets = [f"{field.lower()}=env:{client}_{field}" for field in ("CLIENT_ID", "CLIENT_SECRET")]
        return [*command, *(word for secret in secrets for word in ("--secret", secret))]


async def _follow(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None, "it was asked for"
    while line := (await process.stderr.readline()).decode():
        if "/connect/start/" in line:
            async with httpx2.AsyncClient(trust_env=False, follow_redirects=True, timeout=30) as browser:
                return (await browser.get(line.strip())).text
    return "no link"
