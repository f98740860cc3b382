"""Whether and how a redirect is followed. A credential goes where it was meant to go, and nowhere else.

A safe request is followed, also elsewhere, but a change of origin strips it of everything that the credential put in,
and of the client certificate.
A 303 is followed by a GET: the provider says that it is done, and where the outcome stands. A 301 or 302 to any other
method than a safe one is not followed and comes back as the answer: turning it into a GET, as browsers do, would report
success for a request that a moved path or a missing slash had kept from being performed. A 307 or 308 repeats the
request as it was, within the same origin only (RFC 9110 §15.4).
"""

from dataclasses import dataclass, replace
from urllib.parse import quote, unquote_plus, urljoin

from definitions.urls import host_matches
from net.errors import NetError, Sent
from net.headers import CREDENTIAL_HEADERS
from net.messages import HttpReply, OutboundRequest, StreamedContent, TlsOptions
from net.redaction import LIVE_SECRETS
from net.targets import Target, parse_target

MAX_REDIRECTS = 5
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True, repr=False)
class Hop:
    """One request on the way. `done`: an earlier one has been performed, whatever becomes of this one."""

    method: str
    target: Target
    headers: tuple[tuple[str, str], ...]
    content: bytes | StreamedContent
    tls: TlsOptions | None = None
    done: bool = False


def next_hop(hop: Hop, reply: HttpReply, request: OutboundRequest) -> Hop | None:
    """The request that a reply asks for, or None when the reply is the answer.

    Raises:
        NetError: `redirect_refused`.
    """
    location = reply.header("location")
    if reply.status not in REDIRECTS or not location or not request.follow_redirects:
        return None
    safe = hop.method in SAFE_METHODS
    if reply.status in (301, 302) and not safe:
        return None
    if reply.status == 303 and hop.method != "HEAD":
        hop = _get_instead(hop, done=hop.done or not safe)
    target = _resolve(hop.target, location, reply.status)
    if target.origin == hop.target.origin:
        return replace(hop, target=target)
    return _elsewhere(hop, target, request, reply.status)


def _get_instead(hop: Hop, *, done: bool) -> Hop:
    headers = tuple(each for each in hop.headers if not each[0].lower().startswith("content-"))
    return replace(hop, method="GET", headers=headers, content=b"", done=done)


def _resolve(base: Target, location: str, status: int) -> Target:
    try:
        target = parse_target(urljoin(base.url, quote(location, safe=_PRINTABLE)).partition("#")[0])
    except (NetError, ValueError):
        raise _refused("its Location is not a usable http(s) URL", status) from None
    if base.scheme == "https" and target.scheme == "http":
        raise _refused(f"it leads from https to http ({target})", status)
    return target


def _elsewhere(hop: Hop, target: Target, request: OutboundRequest, status: int) -> Hop:
    own_host = parse_target(request.url).host
    if request.allowed_hosts is not None and not host_matches(target.host, {own_host, *request.allowed_hosts}):
        raise _refused(f"it leads to {target}, which is not among the allowed hosts", status)
    if hop.method not in SAFE_METHODS or (request.injected.body and hop.content):
        raise _refused(f"it leads a {hop.method} with its body to another origin ({target})", status)
    dropped = {name.lower() for name in request.injected.headers} | CREDENTIAL_HEADERS
    headers = tuple(each for each in hop.headers if each[0].lower() not in dropped)
    target = replace(target, path=_without_query(target.path, request.injected.query))
    if _holds_a_secret(target.path):
        raise _refused(f"it would carry a secret to another origin ({target})", status)
    return replace(hop, target=target, headers=headers, tls=_without_identity(hop.tls))


def _holds_a_secret(path: str) -> bool:
    """Also under escapes that nobody needs, and under two layers of them."""
    once = unquote_plus(path)
    return any(LIVE_SECRETS.scrub(form) != form for form in (path, once, unquote_plus(once)))


def _without_identity(tls: TlsOptions | None) -> TlsOptions | None:
    """A client certificate is a credential; whom to trust is not."""
    return TlsOptions(ca_pem=tls.ca_pem) if tls is not None and tls.ca_pem is not None else None


def _without_query(path: str, names: frozenset[str]) -> str:
    path, question, query = path.partition("?")
    kept = [field for field in query.split("&") if unquote_plus(field.partition("=")[0]) not in names]
    return f"{path}{question}{'&'.join(kept)}" if any(kept) else path


def _refused(why: str, status: int) -> NetError:
    message = f"the answer {status} asks to go elsewhere, which is refused: {why}"
    return NetError("redirect_refused", message, sent=Sent.ANSWERED, status=status)
