"""What a model alone cannot see: do all the parts of an integration fit together?"""

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlsplit

from definitions.auth import CustomTokenAuth, OAuth2Auth, SftpAuth, TokenRequest
from definitions.auth.custom_token import MEANT
from definitions.auth.oauth2 import AuthorizeEndpoint, ClientAuth, Grant
from definitions.inputs import Input, inputs
from definitions.integration import Integration, Send
from definitions.placement import Place
from definitions.problems import Path, dotted
from definitions.templates import BUILT_IN, Template, TemplateError
from definitions.urls import host_names, skeleton


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, at a path such as `("auth", "place", 0, "value")`."""

    path: Path
    message: str
    near: str | None = None


def faults_of(integration: Integration) -> Iterator[Fault]:
    """Everything that would fail, or silently do nothing, once a call is made."""
    found = list(inputs(integration))
    unreadable = [fault for item in found for fault in _unreadable(item)]
    if unreadable:  # the other checks read every template
        yield from unreadable
        return
    yield from _unknown_placeholders(found)
    yield from _addresses(integration, found)
    yield from _never_read(integration, found)
    yield from _clashing_names(integration)
    yield from _placed_twice(integration)
    if isinstance(integration.auth, OAuth2Auth):
        yield from _oauth2(integration.auth)
    yield from _tls_secrets(integration)
    yield from _of_http_only(integration)
    yield from _defaults(integration)


def warnings_of(integration: Integration) -> Iterator[Fault]:
    """What works, and is probably not meant."""
    if not integration.secret_fields():
        return
    for item in inputs(integration):
        if item.address and item.text.startswith("http://") and not _is_near(skeleton(item.text)):
            yield Fault(item.path, "sends credentials without encryption: write https:// if the provider offers it")


def _is_near(address: str) -> bool:
    """Is it this machine or a private network, as far as its text says? A host that a parameter brings may be."""
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".internal", ".local", ".home.arpa"))


def _unreadable(item: Input) -> Iterator[Fault]:
    try:
        Template.parse(item.text)
    except TemplateError as error:
        yield Fault(item.path, str(error))


def _unknown_placeholders(found: Sequence[Input]) -> Iterator[Fault]:
    for item in found:
        for name in sorted(Template.parse(item.text).names - item.known - BUILT_IN):
            near = get_close_matches(name, item.known, n=1)
            yield Fault(item.path, f"unknown placeholder {{{name}}}", f"{{{near[0]}}}" if near else None)


def _addresses(integration: Integration, found: Sequence[Input]) -> Iterator[Fault]:
    """Where calls and tokens go."""
    if "?" in skeleton(integration.base_url):
        yield Fault(("base_url",), "may not have a query: what every call carries stands in send.query")
    sftp = isinstance(integration.auth, SftpAuth)
    for item in found:
        if item.address:
            yield from _address(item, "sftp" if sftp else "https?")
            yield from _hosts_without_pattern(integration, item)


def _of_http_only(integration: Integration) -> Iterator[Fault]:
    """What no SFTP transfer reads, and what nothing else does."""
    if not isinstance(integration.auth, SftpAuth):
        if integration.sftp is not None:
            yield Fault(("sftp",), "belongs to auth.type sftp")
        return
    given: dict[str, object] = {"send": integration.send != Send(), "test": integration.test, "tls": integration.tls}
    given |= {"idempotency": integration.idempotency, "hosts": integration.hosts}
    for name, value in given.items():
        if value:
            yield Fault((name,), "is about HTTP: SFTP transfers do not read it")


def _address(item: Input, schemes: str) -> Iterator[Fault]:
    address = skeleton(item.text)
    if not re.match(rf"{schemes}://[^/?#@\s]+(?:[/?]|$)", address):
        expected = "sftp://" if schemes == "sftp" else "https:// or http://"
        yield Fault(item.path, f"expected an address that begins with {expected} and the name of a host")
    elif "#" in address:
        yield Fault(item.path, "an address may not contain #")


def _hosts_without_pattern(integration: Integration, item: Input) -> Iterator[Fault]:
    """A token follows the host: what makes the host must be bound by a pattern, and is no secret."""
    for name in sorted(host_names(item.text)):
        parameter = integration.parameters.get(name)
        if parameter is not None and parameter.pattern is None:
            yield Fault(("parameters", name), f"stands in the host of {dotted(item.path)}, so it needs a pattern")
        if name in integration.secret_fields():
            yield Fault(item.path, f"{{{name}}} is a secret, and hosts are public: make it a parameter with a pattern")


def _never_read(integration: Integration, found: Sequence[Input]) -> Iterator[Fault]:
    tls, auth = integration.tls, integration.auth
    read = {name for item in found for name in Template.parse(item.text).names}
    for name in integration.parameters:
        if name not in read:
            yield Fault(("parameters", name), "no input of the integration reads this parameter")
    for name in integration.secrets:
        if name not in read and not (tls and name in tls.secret_names()):
            yield Fault(("secrets", name), "no input of the integration reads this secret")
    if isinstance(auth, CustomTokenAuth):
        yield from _never_read_by_requests(auth, read)


def _never_read_by_requests(auth: CustomTokenAuth, read: Set[str]) -> Iterator[Fault]:
    for name in auth.secrets:
        if name not in read:
            yield Fault(("auth", "secrets", name), "no input of the integration reads this secret")
    for path, request in _token_requests(auth):
        for name in request.capture:
            if name not in read | MEANT:
                yield Fault((*path, "capture", name), "nothing reads this captured value")


def _token_requests(auth: CustomTokenAuth) -> Iterator[tuple[Path, TokenRequest]]:
    for index, request in enumerate(auth.requests):
        yield ("auth", "requests", index), request
    if auth.refresh:
        yield ("auth", "refresh"), auth.refresh


def _clashing_names(integration: Integration) -> Iterator[Fault]:
    auth = integration.auth
    taken = set(auth.secret_fields()) | set(auth.provides()) | BUILT_IN
    for group in ("parameters", "secrets"):
        for name in sorted(set(getattr(integration, group)) & taken):
            yield Fault((group, name), f"{name} already has a meaning here: choose another name")
    for name in sorted(set(integration.parameters) & set(integration.secrets)):
        yield Fault(("parameters", name), "is a secret as well: choose another name")
    if isinstance(auth, CustomTokenAuth):
        for name in sorted(set(auth.secrets) & BUILT_IN):
            yield Fault(("auth", "secrets", name), f"{name} already has a meaning here: choose another name")
        for path, request in _token_requests(auth):
            for name in sorted(set(request.capture) & (set(auth.secrets) | BUILT_IN)):
                yield Fault((*path, "capture", name), f"{name} already has a meaning here: choose another name")


def _placed_twice(integration: Integration) -> Iterator[Fault]:
    seen: dict[tuple[Place, str], int] = {}
    for index, item in enumerate(integration.auth.place):
        first = seen.setdefault((item.in_, item.name.lower()), index)
        if first != index:
            yield Fault(("auth", "place", index), f"replaces what auth.place[{first}] puts there")


_OWN_PARAMS = {
    "authorize": {"response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"},
    "token": {"grant_type", "code", "code_verifier"},
    "refresh": {"grant_type", "refresh_token"},
}
"""What the protocol sets (RFC 6749, RFC 7636): an extra parameter would take its place."""
_OF_GRANT = {Grant.AUTHORIZATION_CODE: {"redirect_uri"}, Grant.JWT_BEARER: {"assertion"}}
"""What only these grants set in a token request."""


def _oauth2(auth: OAuth2Auth) -> Iterator[Fault]:
    for stage, own in _OWN_PARAMS.items():
        params = getattr(getattr(auth, stage), "params", {})
        own = own | _OF_GRANT.get(auth.grant, set()) if stage == "token" else own
        for name in sorted(own & params.keys()):
            yield Fault(("auth", stage, "params", name), "is set by the grant and may not be set here")
    if auth.authorize:
        yield from _authorize(auth.authorize)
    if auth.token and auth.token.audience and auth.token.client_auth not in _ASSERTIONS:
        names = " or ".join(sorted(_ASSERTIONS))
        yield Fault(("auth", "token", "audience"), f"nothing reads it: it belongs to client_auth {names}")


def _authorize(stage: AuthorizeEndpoint) -> Iterator[Fault]:
    """Two parameters of one name: the provider would read either."""
    own = _OWN_PARAMS["authorize"]
    sent = {name: stage.rename.get(name, name) for name in own | {"scope"} | stage.params.keys()}
    for name, other in stage.rename.items():
        if taken := sorted(each for each, sent_as in sent.items() if sent_as == other and each != name):
            yield Fault(("auth", "authorize", "rename", name), f"the parameter {taken[0]} is sent as {other} already")
    in_address = {name for name, _ in parse_qsl(skeleton(stage.endpoint).partition("?")[2], keep_blank_values=True)}
    for name in sorted(in_address & {sent[each] for each in own}):
        yield Fault(("auth", "authorize", "endpoint"), f"{name} is set by the grant and may not stand in the address")


_ASSERTIONS = frozenset({ClientAuth.CLIENT_SECRET_JWT, ClientAuth.PRIVATE_KEY_JWT})


def _defaults(integration: Integration) -> Iterator[Fault]:
    for name, parameter in integration.parameters.items():
        default, pattern = parameter.default, parameter.pattern
        if default is not None and pattern is not None and not re.fullmatch(pattern, default):
            yield Fault(("parameters", name, "default"), "does not match the parameter's own pattern")


def _tls_secrets(integration: Integration) -> Iterator[Fault]:
    tls = integration.tls
    if tls is None:
        return
    if bool(tls.client_certificate_secret) is not bool(tls.client_key_secret):
        yield Fault(("tls",), "a client certificate needs both client_certificate_secret and client_key_secret")
    if tls.ca and tls.ca_secret:
        yield Fault(("tls", "ca_secret"), "stands in place of ca: leave one of them out")
    for field in ("ca_secret", "client_certificate_secret", "client_key_secret"):
        name = getattr(tls, field)
        if name and name not in integration.secrets:
            near = get_close_matches(name, integration.secrets, n=1)
            yield Fault(("tls", field), f"secrets declares no {name}", near[0] if near else None)
