"""What is dialled is what the policy allowed, whatever a name says a moment later.

The network below is recorded instead of used, because a test must not send packets to public addresses.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import pytest
from httpcore2 import AsyncNetworkBackend, AsyncNetworkStream, ConnectError, ConnectTimeout

import net.dialing
from net.addresses import IPAddress
from net.dialing import ATTEMPT_TIMEOUT, MAX_ATTEMPTS, GuardedBackend
from net.egress import AllowRule, EgressPolicy
from net.errors import NetError
from tests.fixtures.http import Names


class Recorder(AsyncNetworkBackend):
    """Fails for the addresses that are `down`; `dialled` holds all that were tried, with their timeouts."""

    def __init__(self) -> None:
        self.down: dict[str, Exception] = {}
        self.dialled: list[tuple[str, int, float | None]] = []

    async def connect_tcp(self, host: str, port: int, timeout: float | None = None, *_: Any) -> AsyncNetworkStream:
        self.dialled.append((host, port, timeout))
        if host in self.down:
            raise self.down[host]
        return AsyncNetworkStream()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(net.dialing, "AnyIOBackend", lambda: recorder)
    return recorder


def backend(names: Names, *allow: str, ports: Iterable[int] = ()) -> GuardedBackend:
    return GuardedBackend(EgressPolicy(map(AllowRule.parse, allow)), names, frozenset(ports))


async def test_a_name_is_looked_up_once_and_the_address_that_was_checked_is_dialled(network: Recorder) -> None:
    names = Names(rebind_example=["93.184.216.34", "127.0.0.1"])
    await backend(names).connect_tcp("rebind.example", 443, 10.0)
    assert network.dialled == [("93.184.216.34", 443, 10.0)]
    assert names.asked == ["rebind.example"]


async def test_a_name_that_answers_differently_next_time_is_checked_again(network: Recorder) -> None:
    guarded = backend(Names(rebind_example=["93.184.216.34", "127.0.0.1"]))
    await guarded.connect_tcp("rebind.example", 443)
    with pytest.raises(NetError, match="is a loopback address") as refused:
        await guarded.connect_tcp("rebind.example", 443)
    assert refused.value.code == "egress_denied"
    assert len(network.dialled) == 1


async def test_private_addresses_among_public_ones_are_left_out(network: Recorder) -> None:
    await backend(Names(mixed_example=["10.0.0.1 93.184.216.34 ::1"])).connect_tcp("mixed.example", 443)
    assert [host for host, _, _ in network.dialled] == ["93.184.216.34"]


@pytest.mark.parametrize("failure", [ConnectError("no"), ConnectTimeout("late")])
async def test_the_next_address_is_tried_when_one_does_not_answer(network: Recorder, failure: Exception) -> None:
    network.down["2606:4700::1111"] = failure
    await backend(Names(two_example=["2606:4700::1111 1.1.1.1"])).connect_tcp("two.example", 443, 10.0)
    assert network.dialled == [("2606:4700::1111", 443, ATTEMPT_TIMEOUT), ("1.1.1.1", 443, 10.0)]


async def test_a_host_with_many_dead_addresses_is_given_up_after_a_few(network: Recorder) -> None:
    many = [f"1.1.1.{number}" for number in range(1, 20)]
    network.down = {address: ConnectError("no") for address in many}
    with pytest.raises(ConnectError):
        await backend(Names(dead_example=[" ".join(many)])).connect_tcp("dead.example", 443)
    assert len(network.dialled) == MAX_ATTEMPTS


@pytest.mark.parametrize("host", ["1.1.1.1", "0x01010101", "16843009", "1.65793"])
async def test_an_address_is_dialled_without_a_lookup(network: Recorder, host: str) -> None:
    names = Names()
    await backend(names).connect_tcp(host, 443)
    assert [host for host, _, _ in network.dialled] == ["1.1.1.1"]
    assert names.asked == []


@pytest.mark.parametrize(("port", "opened"), [(443, True), (8443, True), (22, False)])
async def test_ports_are_checked_at_dial_time(network: Recorder, port: int, opened: bool) -> None:
    guarded = backend(Names(api_example=["93.184.216.34"]), ports=[8443])
    if opened:
        await guarded.connect_tcp("api.example", port)
    else:
        with pytest.raises(NetError, match="port 22 is closed"):
            await guarded.connect_tcp("api.example", port)
    assert bool(network.dialled) is opened


async def test_a_failed_lookup_dials_nothing(network: Recorder) -> None:
    async def nothing(host: str) -> list[IPAddress]:
        raise NetError("dns_failed", f"{host} cannot be looked up")

    with pytest.raises(NetError, match="cannot be looked up"):
        await GuardedBackend(EgressPolicy(), nothing, frozenset()).connect_tcp("gone.example", 443)
    assert network.dialled == []


async def test_sockets_of_this_machine_are_closed() -> None:
    guarded = backend(Names(), "127.0.0.1", "localhost", "0.0.0.0/0")
    with pytest.raises(NetError, match="Unix sockets are closed by the egress policy"):
        await guarded.connect_unix_socket("/var/run/docker.sock")


async def test_an_address_allowed_by_its_own_rule_is_dialled(network: Recorder) -> None:
    await backend(Names(db_internal=["10.0.0.9"]), "10.0.0.9:5432").connect_tcp("db.internal", 5432)
    assert network.dialled[0][0] == str(ip_address("10.0.0.9"))
