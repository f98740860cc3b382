"""Redirects over the wire: every hop is checked like the first, and a credential arrives only where it was sent."""

import ssl

import pytest
import trustme

from net.client import GuardedClient
from net.errors import NetError, Sent
from net.messages import Injected, OutboundRequest, SendTrace, TlsOptions
from tests.fixtures.http import Answer, FaultServer, Received, Wire, calling, request_to, server_tls, serving

CREDENTIAL = Injected(headers=frozenset({"x-api-key"}), query=frozenset({"api_key"}), cookies=True)
HEADERS = (("Authorization", "Bearer canary"), ("X-Api-Key", "canary"), ("Cookie", "s=canary"), ("X-Trace", "1"))


def to_both(
    first: FaultServer, second: FaultServer, path: str = "/", method: str = "GET", **more: object
) -> OutboundRequest:
    """A request to the first server that may use the ports of both."""
    ports = frozenset({first.port, second.port})
    return OutboundRequest(method, first.url + path, HEADERS, injected=CREDENTIAL, ports=ports, **more)  # type: ignore[arg-type]


async def test_a_redirect_to_a_private_address_is_checked_again_and_gets_no_packet(
    http_server: FaultServer, other_http_server: FaultServer
) -> None:
    http_server.reply("/", 302, headers=[("Location", other_http_server.url + "/admin")])
    async with calling(f"127.0.0.1:{http_server.port}") as client:
        with pytest.raises(NetError, match="is a loopback address, closed by the egress policy") as refused:
            await client.send(request_to(http_server))
    assert refused.value.code == "egress_denied"
    assert other_http_server.connections == 0


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/meta-data", "http://2130706433/", "http://[::1]/"])
async def test_a_redirect_to_a_closed_address_in_any_spelling_is_refused(
    http_server: FaultServer, location: str
) -> None:
    http_server.reply("/", 302, headers=[("Location", location)])
    async with calling(f"127.0.0.1:{http_server.port}") as client:
        with pytest.raises(NetError, match="closed by the egress policy"):
            await client.send(request_to(http_server))


async def test_a_redirect_from_https_to_http_is_refused(
    http_client: GuardedClient, tls_server: FaultServer, http_server: FaultServer, authority_pem: str
) -> None:
    tls_server.reply("/", 302, headers=[("Location", http_server.url)])
    with pytest.raises(NetError, match="it leads from https to http") as refused:
        await http_client.send(to_both(tls_server, http_server, tls=TlsOptions(authority_pem)))
    assert (refused.value.code, refused.value.sent, refused.value.status) == ("redirect_refused", Sent.ANSWERED, 302)
    assert http_server.connections == 0


async def test_a_redirect_to_another_origin_carries_no_injected_header_query_key_or_cookie(
    http_client: GuardedClient, http_server: FaultServer, other_http_server: FaultServer
) -> None:
    elsewhere = f"{other_http_server.url}/v2?api_key=canary&page=2"
    http_server.reply("/v1", 302, headers=[("Location", elsewhere), ("Set-Cookie", "session=canary")])
    other_http_server.reply("/v2", body=b"there")
    reply = await http_client.send(to_both(http_server, other_http_server, "/v1?api_key=canary"))
    (received,) = other_http_server.received
    assert (reply.body, reply.url) == (b"there", f"{other_http_server.url}/v2")
    assert received.target == "/v2?page=2"
    assert received.header("X-Trace") == "1"
    assert "canary" not in repr(received)
    assert received.header("Host") == f"127.0.0.1:{other_http_server.port}"


async def test_a_redirect_within_the_origin_keeps_the_credential_and_the_connection(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.reply("/old", 308, headers=[("Location", "/new")], body=b"moved")
    http_server.reply("/new", body=b"here")
    request = OutboundRequest("GET", http_server.url + "/old", HEADERS, ports=frozenset({http_server.port}))
    assert (await http_client.send(request)).body == b"here"
    assert http_server.to("/new")[0].header("Authorization") == "Bearer canary"
    assert http_server.connections == 1


@pytest.mark.parametrize("status", [301, 302])
async def test_a_post_that_is_sent_away_is_not_repeated_and_not_turned_into_a_get(
    http_client: GuardedClient, http_server: FaultServer, status: int
) -> None:
    http_server.reply("/", status, headers=[("Location", "/elsewhere")])
    trace = SendTrace()
    reply = await http_client.send(request_to(http_server, method="POST", content=b"{}"), trace=trace)
    assert (reply.status, trace.sent) == (status, Sent.ANSWERED)
    assert len(http_server.received) == 1


@pytest.mark.parametrize("status", [307, 308])
async def test_a_post_never_goes_to_another_origin(
    http_client: GuardedClient, http_server: FaultServer, other_http_server: FaultServer, status: int
) -> None:
    http_server.reply("/", status, headers=[("Location", other_http_server.url)])
    with pytest.raises(NetError, match="leads a POST with its body to another origin"):
        await http_client.send(to_both(http_server, other_http_server, method="POST", content=b"canary"))
    assert other_http_server.connections == 0


async def test_a_post_is_repeated_within_its_origin_where_the_server_asks_for_that(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.reply("/", 307, headers=[("Location", "/shard-7")])
    http_server.reply("/shard-7", 201)
    reply = await http_client.send(request_to(http_server, method="POST", content=b"{}"))
    assert reply.status == 201
    assert [(each.method, each.body) for each in http_server.received] == [("POST", b"{}"), ("POST", b"{}")]


async def test_the_outcome_of_a_post_is_fetched_where_a_303_says_it_stands(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.reply("/leads", 303, headers=[("Location", "/leads/7")])
    http_server.reply("/leads/7", body=b"made")
    headers = (("Content-Type", "application/json"),)
    reply = await http_client.send(request_to(http_server, "/leads", "POST", content=b"{}", headers=headers))
    assert reply.body == b"made"
    (fetched,) = http_server.to("/leads/7")
    assert (fetched.method, fetched.body, fetched.header("Content-Type")) == ("GET", b"", None)


async def test_a_post_whose_outcome_cannot_be_fetched_was_performed_all_the_same(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.reply("/leads", 303, headers=[("Location", "http://127.0.0.1:1/leads/7")])
    trace = SendTrace()
    with pytest.raises(NetError) as lost:
        await http_client.send(request_to(http_server, "/leads", "POST", content=b"{}"), trace=trace)
    assert (lost.value.code, lost.value.sent, trace.sent) == ("egress_denied", Sent.ANSWERED, Sent.ANSWERED)


async def test_a_post_was_performed_also_when_the_connection_is_cut_while_its_outcome_is_fetched(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.reply("/leads", 303, headers=[("Location", "/leads/7")])
    http_server.script("/leads/7", b"")
    trace = SendTrace()
    with pytest.raises(NetError) as lost:
        await http_client.send(request_to(http_server, "/leads", "POST", content=b"{}"), trace=trace)
    assert (lost.value.code, lost.value.sent, trace.sent) == ("connection_lost", Sent.ANSWERED, Sent.ANSWERED)


async def test_a_post_that_was_not_repeated_because_the_next_connection_failed_was_not_performed(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    async def move_and_vanish(_: Received, wire: Wire) -> Answer:
        http_server.refuse()
        return Answer(307, headers=[("Location", "/new"), ("Connection", "close")])

    http_server.on("/", move_and_vanish)
    with pytest.raises(NetError) as lost:
        await http_client.send(request_to(http_server, method="POST", content=b"{}"))
    assert (lost.value.code, lost.value.sent) == ("connect_failed", Sent.NO)


async def test_redirects_in_a_circle_end(http_client: GuardedClient, http_server: FaultServer) -> None:
    http_server.reply("/", 302, headers=[("Location", "/")])
    with pytest.raises(NetError, match="more than 5 redirects") as ended:
        await http_client.send(request_to(http_server))
    assert (ended.value.code, ended.value.sent) == ("too_many_redirects", Sent.ANSWERED)
    assert len(http_server.received) == 6


async def test_a_location_that_no_parser_takes_is_an_error_of_ours(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.reply("/", 302, headers=[("Location", "https://[canary")])
    with pytest.raises(NetError, match="its Location is not a usable") as refused:
        await http_client.send(request_to(http_server))
    assert "canary" not in str(refused.value)


async def test_a_client_certificate_is_not_shown_to_another_origin(
    http_client: GuardedClient, tls_server: FaultServer, authority: trustme.CA, authority_pem: str
) -> None:
    leaf = authority.issue_cert("account@tieline.example")
    options = TlsOptions(
        authority_pem, b"".join(pem.bytes() for pem in leaf.cert_chain_pems), leaf.private_key_pem.bytes()
    )
    wanting = server_tls(authority, "localhost")
    wanting.verify_mode = ssl.CERT_OPTIONAL
    authority.configure_trust(wanting)
    shown: list[object] = []

    async def look(_: Received, wire: Wire) -> Answer:
        shown.append(wire.peer_certificate())
        return Answer()

    async with serving(FaultServer(wanting)) as other:
        other.on("/", look)
        tls_server.reply("/", 302, headers=[("Location", other.url)])
        await http_client.send(to_both(tls_server, other, tls=options))
        await http_client.send(request_to(other, tls=options))
    assert shown[0] is None
    assert shown[1]
