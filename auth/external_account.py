"""Whose account at the provider is this? So that a reconnect cannot put somebody else's in its place unseen."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from auth.credential import Credential, OpenAccount
from auth.errors import AuthError, CredentialError
from auth.filling import fill
from auth.placement import Draft, PlacementError, place
from auth.refusal import of_net_error
from auth.reply_body import read_body
from auth.secret import Secret
from auth.tls import tls_options
from auth.token_error import TRANSIENT_STATUSES, ErrorClass
from auth.token_record import RawReply
from auth.token_reply import TokenReply, read_captures
from auth.token_request import JSON, MAX_BYTES
from auth.unverified_jwt import claims_of
from definitions.auth import OAuth2Auth
from definitions.auth.oauth2 import AfterConnect
from definitions.inputs import literal_ports
from definitions.templates import TemplateError
from definitions.urls import UrlError, build_url, render_url
from net.client import GuardedClient
from net.errors import NetError
from net.messages import HttpReply, OutboundRequest
from net.redaction import LIVE_SECRETS

DEADLINE = 15.0


class Unidentified(AuthError):
    """The call after connecting, or the identity that the definition names, brought nothing."""


async def look_around(http: GuardedClient, opened: OpenAccount, reply: TokenReply) -> TokenReply:
    """Make the integration's call after connecting, if it declares one, and add what it captures.

    It is made once more when it fails in passing: the consent that it follows cannot be had again.

    Raises:
        Unidentified: the call failed, or its answer lacks what it should bring.
    """
    auth = opened.integration.auth
    assert isinstance(auth, OAuth2Auth), "only OAuth accounts are connected"
    if (call := auth.after_connect) is None:
        return reply
    try:
        request = _request(opened, auth, call, reply)
        answer = await _answer(http, request) or await http.send(request)
    except (NetError, UrlError, TemplateError, PlacementError, CredentialError) as error:
        raise Unidentified(f"the call after connecting could not be made: {LIVE_SECRETS.scrub(str(error))}") from None
    if not 200 <= answer.status < 300:
        raise Unidentified(f"the call after connecting was answered {answer.status}")
    found = read_captures(read_body(answer.headers, answer.body), call.capture)
    if missing := call.capture.keys() - found.keys():
        raise Unidentified(f"the answer to the call after connecting holds no {', '.join(sorted(missing))}")
    return dataclasses.replace(reply, captured={**reply.captured, **found})


async def _answer(http: GuardedClient, request: OutboundRequest) -> HttpReply | None:
    """None: none came, or one that says nothing but that the provider is in trouble."""
    try:
        answer = await http.send(request)
    except NetError as error:
        if of_net_error(error).class_ is not ErrorClass.TRANSIENT:
            raise
        return None
    return None if answer.status in TRANSIENT_STATUSES or answer.status >= 500 else answer


def external_id(auth: OAuth2Auth, reply: TokenReply) -> str | None:
    """Tells external accounts apart and gives nothing away: by what, and a digest. None: the provider says nothing.

    Raises:
        Unidentified: the definition names a value that did not come.
    """
    return next((f"{by}:{digest}" for by, digest in _told_apart(auth, reply)), None)


def is_another(before: str | None, auth: OAuth2Auth, reply: TokenReply) -> bool:
    """Whether somebody else consented than before, as far as that can be seen.

    Compared is what told them apart before. When the definition tells them apart by something else now (another
    `identity`, more captured values), nothing can be compared, and whoever came is taken; not when it is the reply that
    says less.
    """
    if before is None:
        return False
    by, _, digest = before.rpartition(":")
    now = dict(_told_apart(auth, reply))
    if not by:  # stored when nobody noted by what
        return digest not in now.values()
    if auth.identity is not None and by != _by_identity(auth.identity):
        return False
    if by in now:
        return now[by] != digest
    return not now or by == _SUBJECT


_IDENTITY, _SUBJECT, _CAPTURED = "identity", "subject", "captured"


def _told_apart(auth: OAuth2Auth, reply: TokenReply) -> Iterator[tuple[str, str]]:
    """All that may tell accounts apart, the surest first; by what is the definition's to say, not the reply's."""
    if auth.identity is not None:
        if auth.identity not in reply.captured:
            raise Unidentified(f"the provider did not say {auth.identity!r}, which tells its accounts apart")
        yield _by_identity(auth.identity), _digest(_IDENTITY, {auth.identity: reply.captured[auth.identity]})
    if reply.subject is not None:
        yield _SUBJECT, _digest(_SUBJECT, {_SUBJECT: reply.subject})
    if reply.captured:
        yield f"{_CAPTURED} {','.join(sorted(auth.captured()))}", _digest(_CAPTURED, reply.captured)


def _by_identity(name: str) -> str:
    return f"{_IDENTITY} {name}"


def id_token_subject(reply: RawReply) -> str | None:
    """Issuer and subject of an ID token.

    It came from the token endpoint itself, so its signature adds nothing (OpenID Connect Core §3.1.3.7, rule 6).
    """
    body = read_body(reply.headers, reply.body)
    token = body.get("id_token") if isinstance(body, Mapping) else None
    claims = (claims_of(token) if isinstance(token, str) else None) or {}
    subject = claims.get("sub")
    return json.dumps([claims.get("iss"), subject]) if isinstance(subject, str) and subject else None


def _digest(kind: str, values: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps([kind, sorted(values.items())]).encode()).hexdigest()


def _request(opened: OpenAccount, auth: OAuth2Auth, call: AfterConnect, reply: TokenReply) -> OutboundRequest:
    integration = opened.integration
    in_urls = integration.base_url_names()
    plain = {name: value for name, value in reply.captured.items() if name in in_urls}
    secret = {name: Secret(value) for name, value in reply.captured.items() if name not in in_urls}
    credential = Credential(
        account_id=opened.account.id,
        account=opened.account.name,
        integration=integration,
        parameters={**opened.parameters, **plain},
        values={**opened.secrets, **secret, "token": Secret(reply.token)},
    )
    texts = credential.texts()
    still_unknown = {name: f"{{{name}}}" for name in call.capture.keys() - texts.keys()}
    base = render_url(integration.base_url, texts | still_unknown)
    url = build_url(base, call.path, _rendered(integration.send.query, texts), allowed_hosts=integration.hosts)
    draft = place(credential, Draft(url, (("Accept", JSON), *_rendered(integration.send.headers, texts))))
    parts = urlsplit(base)
    return OutboundRequest(
        method=call.method,
        url=draft.url,
        headers=draft.headers,
        deadline=DEADLINE,
        max_bytes=MAX_BYTES,
        injected=draft.injected,
        allowed_hosts=frozenset({parts.hostname or "", *integration.hosts}),
        tls=tls_options(integration, opened.secrets),
        ports=frozenset({*integration.ports, *literal_ports(integration)}),
    )


def _rendered(templates: Mapping[str, str], texts: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    return [(name, fill(text, texts)) for name, text in templates.items()]
