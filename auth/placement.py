"""Where a credential goes on a request: header, URL parameter, body, path, cookie.

A value is checked for the place that it goes to, and never repeated in a message: a secret with a line break in it must
neither split a request nor show up in a log.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from auth.credential import Credential
from auth.errors import Misconfigured
from auth.filling import fill
from definitions.operation import Body, FormBody, JsonBody, MultipartBody
from definitions.placement import Place, Placement
from definitions.templates import TemplateError
from definitions.urls import UrlError, encode_path_value, encode_query_value
from net.errors import NetError
from net.headers import RESERVED, check_header
from net.messages import Injected

# RFC 6265 §4.1.1: what a server may rely on in a cookie's name and value.
_COOKIE_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_COOKIE_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")


class PlacementError(ValueError):
    """The operation has no place for the credential: it must bring another body."""


@dataclass(frozen=True, slots=True, repr=False)
class Draft:
    """A request on its way to being sent; `url` is complete but for the `{name}` that a path placement fills."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: Body | None = None
    injected: Injected = field(default_factory=Injected)


class _Unfit(Exception):
    """A value does not fit its place; the text names the fault, never the value."""


def place(credential: Credential, draft: Draft) -> Draft:
    """Put the credential where its integration says; `injected` tells what must not follow to another origin.

    What the caller put in the same place is replaced.

    Raises:
        PlacementError: the credential goes into the body, and the operation's body cannot take it.
        Misconfigured: a placement cannot be filled, or a secret holds what its place does not allow.
    """
    placements = credential.integration.auth.place
    if not placements:
        return draft
    texts = credential.texts()
    for number, placement in enumerate(placements):
        try:
            value = fill(placement.value, texts)
            draft = _PLACERS[placement.in_](placement.name, value, draft)
        except UnicodeError:
            raise _misconfigured(credential, number, placement, "the value holds half a character") from None
        except (_Unfit, TemplateError, UrlError, NetError) as error:
            raise _misconfigured(credential, number, placement, str(error)) from None
    return draft


def _misconfigured(credential: Credential, number: int, placement: Placement, fault: str) -> Misconfigured:
    where = f"auth.place[{number}] ({placement.in_.value} {placement.name})"
    return Misconfigured(
        f"integration {credential.integration.key!r}, {where}: {fault}",
        account=credential.account,
        action=f"correct the placement, or save the secret again: tieline accounts set-secrets {credential.account}",
    )


def _header(name: str, value: str, draft: Draft) -> Draft:
    check_header(name, value)
    if name.lower() in RESERVED:
        raise _Unfit(f"header {name} belongs to the connection and cannot carry a credential")
    others = tuple(pair for pair in draft.headers if pair[0].lower() != name.lower())
    headers = draft.injected.headers | {name.lower()}
    return dataclasses.replace(
        draft, headers=(*others, (name, value)), injected=dataclasses.replace(draft.injected, headers=headers)
    )


def _url_parameter(name: str, value: str, draft: Draft) -> Draft:
    head, _, query = draft.url.partition("?")
    others = [part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) != name]
    parts = [*others, f"{encode_query_value(name)}={encode_query_value(value)}"]
    names = draft.injected.query | {name}
    return dataclasses.replace(
        draft, url=f"{head}?{'&'.join(parts)}", injected=dataclasses.replace(draft.injected, query=names)
    )


def _path(name: str, value: str, draft: Draft) -> Draft:
    if not value:
        raise _Unfit("the value is empty, which would lead to another path")
    head, mark, query = draft.url.partition("?")
    pattern = re.compile(rf"(?:\{{|%7B){re.escape(name)}(?:\}}|%7D)", re.IGNORECASE)
    encoded = encode_path_value(value)
    path, found = pattern.subn(lambda _: encoded, head)
    if not found:
        raise _Unfit(f"neither base_url nor the operation's path holds {{{name}}}")
    return dataclasses.replace(
        draft, url=f"{path}{mark}{query}", injected=dataclasses.replace(draft.injected, path=True)
    )


def _cookie(name: str, value: str, draft: Draft) -> Draft:
    if not _COOKIE_NAME.fullmatch(name):
        raise _Unfit("the cookie's name holds a character that no cookie's name may hold")
    if not _COOKIE_VALUE.fullmatch(value):
        raise _Unfit('the value holds a character that no cookie may hold, such as ; , \\ " or a space')
    carried = [pair[1] for pair in draft.headers if pair[0].lower() == "cookie"]
    others = tuple(pair for pair in draft.headers if pair[0].lower() != "cookie")
    kept = [part for line in carried for part in _cookies(line) if part.partition("=")[0].strip() != name]
    line = "; ".join([*kept, f"{name}={value}"])
    return dataclasses.replace(
        draft, headers=(*others, ("Cookie", line)), injected=dataclasses.replace(draft.injected, cookies=True)
    )


def _cookies(line: str) -> list[str]:
    return [part.strip() for part in line.split(";") if part.strip()]


def _body(name: str, value: str, draft: Draft) -> Draft:
    body = draft.body
    filled: Body
    if isinstance(body, JsonBody) and isinstance(body.value, Mapping):
        filled = body.model_copy(update={"value": {**body.value, name: value}})
    elif isinstance(body, FormBody | MultipartBody):
        others = tuple(pair for pair in body.fields if pair[0] != name)
        filled = body.model_copy(update={"fields": (*others, (name, value))})
    else:
        raise PlacementError(f"the credential goes into body field {name!r}: send a JSON object, a form or multipart")
    return dataclasses.replace(draft, body=filled, injected=dataclasses.replace(draft.injected, body=True))


_PLACERS: dict[Place, Callable[[str, str, Draft], Draft]] = {
    Place.HEADER: _header,
    Place.URL_PARAMETER: _url_parameter,
    Place.BODY: _body,
    Place.PATH: _path,
    Place.COOKIE: _cookie,
}
