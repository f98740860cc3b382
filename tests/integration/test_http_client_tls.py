"""TLS: whom the client trusts, whom it refuses and with what words, and how it shows a certificate of its own."""

import asyncio
import datetime
import socket
import ssl
import warnings
from pathlib import Path

import pytest
import trustme

from net.client import GuardedClient
from net.errors import NetError, Sent
from net.messages import OutboundRequest, SendTrace, TlsOptions
from tests.fixtures.http import FaultServer, Names, calling, request_to, server_tls, serving

YESTERDAY = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)


def identity(authority: trustme.CA, ca_pem: str | None = None) -> TlsOptions:
    """A client certificate of this authority."""
    leaf = authority.issue_cert("account@tieline.example")
    chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
    return TlsOptions(ca_pem, chain, leaf.private_key_pem.bytes())


async def refusal(client: GuardedClient, server: FaultServer, tls: TlsOptions | None, **options: str) -> NetError:
    """How the call failed; no request may have arrived."""
    trace = SendTrace()
    with pytest.raises(NetError) as refused:
        await client.send(request_to(server, method="POST", content=b"canary", tls=tls, **options), trace=trace)
    assert (refused.value.sent, trace.sent) == (Sent.NO, Sent.NO)
    assert server.received == []
    return refused.value


async def test_an_authority_of_ones_own_is_trusted_where_it_is_named(
    http_client: GuardedClient, tls_server: FaultServer, authority_pem: str
) -> None:
    reply = await http_client.send(request_to(tls_server, tls=TlsOptions(authority_pem)))
    assert reply.status == 404


async def test_a_certificate_of_an_unknown_authority_is_refused(
    http_client: GuardedClient, tls_server: FaultServer
) -> None:
    refused = await refusal(http_client, tls_server, None)
    assert refused.code == "tls_failed"
    assert str(refused) == (
        f"POST {tls_server.url}: no TLS session: the server's certificate is not accepted: "
        "unable to get local issuer certificate"
    )


async def test_an_authority_of_ones_own_replaces_those_of_the_system(
    http_client: GuardedClient, tls_server: FaultServer
) -> None:
    other = trustme.CA().cert_pem.bytes().decode()
    assert (await refusal(http_client, tls_server, TlsOptions(other))).code == "tls_failed"


async def test_a_certificate_for_another_name_is_refused(authority: trustme.CA, authority_pem: str) -> None:
    async with (
        serving(FaultServer(server_tls(authority, "other.example"))) as server,
        calling(resolver=Names(api_example=["127.0.0.1"])) as client,
    ):
        url = f"https://api.example:{server.port}/"
        refused = await refusal(client, server, TlsOptions(authority_pem), url=url)
    assert refused.code == "tls_failed"
    assert "certificate is not accepted: Hostname mismatch, certificate is not valid for 'api.example'" in str(refused)


async def test_the_name_is_verified_although_the_connection_goes_to_an_address(
    authority: trustme.CA, authority_pem: str
) -> None:
    async with (
        serving(FaultServer(server_tls(authority, "api.example"))) as server,
        calling(resolver=Names(api_example=["127.0.0.1"])) as client,
    ):
        url = f"https://api.example:{server.port}/"
        assert (await client.send(request_to(server, url=url, tls=TlsOptions(authority_pem)))).status == 404


async def test_two_names_at_one_address_get_a_session_each(authority: trustme.CA, authority_pem: str) -> None:
    async with (
        serving(FaultServer(server_tls(authority, "a.example"))) as server,
        calling(resolver=Names(a_example=["127.0.0.1"], b_example=["127.0.0.1"])) as client,
    ):
        options = TlsOptions(authority_pem)
        await client.send(request_to(server, url=f"https://a.example:{server.port}/", tls=options))
        with pytest.raises(NetError, match="Hostname mismatch"):
            await client.send(request_to(server, url=f"https://b.example:{server.port}/", tls=options))
    assert len(server.received) == 1


async def test_an_expired_certificate_is_refused(
    http_client: GuardedClient, authority: trustme.CA, authority_pem: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", not_after=YESTERDAY).configure_cert(context)
    async with serving(FaultServer(context)) as server:
        refused = await refusal(http_client, server, TlsOptions(authority_pem))
    assert refused.code == "tls_failed"
    assert str(refused).endswith("the server's certificate is not accepted: certificate has expired")


async def test_a_self_signed_certificate_is_refused(http_client: GuardedClient, authority_pem: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    async with serving(FaultServer(context)) as server:
        refused = await refusal(http_client, server, TlsOptions(authority_pem))
    assert refused.code == "tls_failed"
    assert "certificate is not accepted: " in str(refused)


async def test_a_server_that_only_speaks_old_tls_is_refused(
    http_client: GuardedClient, authority: trustme.CA, authority_pem: str
) -> None:
    context = server_tls(authority, "localhost")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with serving(FaultServer(context)) as server:
        refused = await refusal(http_client, server, TlsOptions(authority_pem))
    assert refused.code == "tls_failed"
    assert "no TLS session: " in str(refused)


async def test_a_server_without_tls_is_told_as_that(http_client: GuardedClient) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 canary\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        request = OutboundRequest("POST", f"https://127.0.0.1:{port}/", ports=frozenset({port}))
        with pytest.raises(NetError) as refused:
            await http_client.send(request)
    assert (refused.value.code, refused.value.sent) == ("tls_failed", Sent.NO)
    assert "no TLS session: " in str(refused.value)
    assert "canary" not in str(refused.value)


async def test_a_client_certificate_is_shown_and_accepted(
    http_client: GuardedClient, authority: trustme.CA, authority_pem: str
) -> None:
    async with serving(FaultServer(wanting(authority))) as server:
        server.reply("/", body=b"known")
        assert (await http_client.send(request_to(server, tls=identity(authority, authority_pem)))).body == b"known"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("shown", ["none", "unknown"])
async def test_a_missing_or_unknown_client_certificate_means_not_sent_in_either_version_of_tls(
    http_client: GuardedClient, authority: trustme.CA, authority_pem: str, version: ssl.TLSVersion, shown: str
) -> None:
    context = wanting(authority)
    context.minimum_version = context.maximum_version = version
    options = TlsOptions(authority_pem) if shown == "none" else identity(trustme.CA(), authority_pem)
    trace = SendTrace()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        refusing = asyncio.ensure_future(asyncio.to_thread(refuse_one, listening, context))
        request = OutboundRequest(
            "POST", f"https://localhost:{port}/", content=b"{}", tls=options, ports=frozenset({port})
        )
        with pytest.raises(NetError) as refused:
            await http_client.send(request, trace=trace)
        await refusing
    assert (refused.value.code, refused.value.sent, trace.sent) == ("tls_failed", Sent.NO, Sent.NO)


async def test_two_accounts_show_a_certificate_each_and_share_no_session(
    http_client: GuardedClient, authority: trustme.CA, authority_pem: str
) -> None:
    async with serving(FaultServer(wanting(authority))) as server:
        for options in (identity(authority, authority_pem), identity(authority, authority_pem)):
            await http_client.send(request_to(server, tls=options))
        assert server.connections == 2


@pytest.mark.parametrize(
    "options",
    [
        TlsOptions(ca_pem="canary"),
        TlsOptions(ca_pem=""),
        TlsOptions(client_certificate_pem=b"canary"),
        TlsOptions(client_certificate_pem=b"-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----\n"),
    ],
)
async def test_certificates_that_cannot_be_read_are_refused_before_anything_is_sent(
    http_client: GuardedClient, tls_server: FaultServer, options: TlsOptions
) -> None:
    refused = await refusal(http_client, tls_server, options)
    assert refused.code == "invalid_request"
    assert ": tls" in str(refused)
    assert "canary" not in str(refused)
    assert tls_server.connections == 0


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "damaged"])
async def test_authorities_of_the_system_that_cannot_be_read_are_told_as_that(
    tls_server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_text(content, encoding="ascii")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with calling() as client:
        refused = await refusal(client, tls_server, None)
    assert refused.code == "tls_failed"
    assert str(refused).endswith(": the authorities that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read")


async def test_a_key_that_belongs_to_another_certificate_is_refused(
    http_client: GuardedClient, tls_server: FaultServer, authority: trustme.CA
) -> None:
    one, other = identity(authority), identity(authority)
    mixed = TlsOptions(None, one.client_certificate_pem, other.client_key_pem)
    refused = await refusal(http_client, tls_server, mixed)
    assert refused.code == "invalid_request"
    assert "do not belong together" in str(refused)


def wanting(authority: trustme.CA) -> ssl.SSLContext:
    """A server that takes clients of this authority only."""
    context = server_tls(authority, "localhost")
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    return context


def refuse_one(listening: socket.socket, context: ssl.SSLContext) -> None:
    """Refuse one client's certificate as OpenSSL's own servers do, with an alert that arrives; asyncio's drops it."""
    connection, _ = listening.accept()
    session = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    with pytest.raises(ssl.SSLError):
        session.do_handshake()
    with socket.socket(fileno=session.detach()) as raw:
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(65_536):
            pass
