"""The app that pushes: it repeats a request with the same key until it knows how it ended, as docs/api.md says."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx2

WAIT = 20
PAUSE = 0.25
GIVE_UP = 180.0


@dataclass
class Push:
    """One order on its way. `run` stands since it was accepted."""

    name: str
    run: str | None = None
    state: str = "not accepted"
    ended: bool = False
    requests: int = 0
    seconds: float = 0.0


@dataclass
class App:
    """Holds an API token, and remembers what it pushed."""

    url: str
    token: str
    pushes: list[Push] = field(default_factory=list)
    away: Counter[str] = field(default_factory=Counter)
    """Answers other than success, and requests without any."""

    async def push_all(self, names: list[str], adapters: list[str]) -> list[Push]:
        """All at once, the adapters in turn."""
        async with self._http() as http:
            pushing = [self._push(http, name, adapters[i % len(adapters)]) for i, name in enumerate(names)]
            return list(await asyncio.gather(*pushing))

    async def state(self, run: str) -> str:
        """How a run stands, as the API tells."""
        async with self._http() as http:
            answer = await http.get(f"/v1/runs/{run}")
            return str(answer.json().get("state", answer.status_code))

    async def count(self, state: str) -> int:
        """How many runs are in this state."""
        async with self._http() as http:
            answer = await http.get("/v1/runs", params={"state": state, "limit": 1000})
            return len(answer.json()["runs"]) if answer.status_code == 200 else 0

    async def _push(self, http: httpx2.AsyncClient, name: str, adapter: str) -> Push:
        push = Push(name)
        self.pushes.append(push)
        began = time.monotonic()
        operation = {
            "adapter": adapter,
            "method": "POST",
            "path": "/api/orders",
            "body": {"type": "json", "value": {"name": name}},
        }
        body = {"operation": operation, "profile": "production", "key": name, "wait": WAIT}
        while not push.ended and time.monotonic() - began < GIVE_UP:
            push.requests += 1
            await self._ask(http, body, push)
        push.seconds = time.monotonic() - began
        return push

    async def _ask(self, http: httpx2.AsyncClient, body: object, push: Push) -> None:
        try:
            answer = await http.post("/v1/runs", json=body)
        except httpx2.TransportError as error:
            self.away[type(error).__name__] += 1
            await asyncio.sleep(PAUSE)
            return
        told = answer.json()
        if answer.status_code in (200, 202):
            push.run, push.state, push.ended = told["id"], told["state"], answer.status_code == 200
            if not push.ended:
                await asyncio.sleep(PAUSE)
            return
        self.away[f"{answer.status_code} {told.get('category')}"] += 1
        if answer.status_code == 424:
            push.run, push.state, push.ended = told["run"], f"failed: {told['detail']}", True
        elif answer.status_code < 500:
            push.state, push.ended = f"refused: {answer.status_code} {told['detail']}", True
        await asyncio.sleep(PAUSE)

    def _http(self) -> httpx2.AsyncClient:
        limits = httpx2.Limits(max_connections=None)
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=WAIT + 15, limits=limits, trust_env=False)
