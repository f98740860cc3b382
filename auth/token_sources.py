"""Where tokens come from: which request asks for one, and how its answer reads.

A source looks at the replies so far and names the next request, until there is none; then it reads the token out of
them. It sends nothing itself, so one path (`auth.redemption`) sends, stores and retries for all of them, and a
redemption that was cut off goes on from the replies that were stored.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from auth.credential import OpenAccount
from auth.custom_token import CustomTokenChain, CustomTokenRefresh
from auth.oauth2_sources import ClientCredentials, JwtBearerGrant, RefreshToken
from auth.token_record import RawReply, StoredToken
from auth.token_reply import TokenReply
from definitions.auth import CustomTokenAuth, OAuth2Auth
from definitions.auth.oauth2 import Grant
from net.messages import OutboundRequest


class TokenSource(Protocol):
    """One way to a token."""

    @property
    def name(self) -> str:
        """Stored beside the replies, so that only the same source reads them."""

    @property
    def spends(self) -> str | None:
        """The refresh token that asking uses up, if any: with it a lost reply may be the only copy of its heir."""

    def next_request(self, replies: Sequence[RawReply]) -> OutboundRequest | None:
        """The request to make after these replies; None when they are complete.

        Raises:
            TokenReplyError: a reply on the way is an error.
            UnbuildableRequest, TemplateError, UrlError: the definition or a secret does not make a request.
        """

    def read(self, replies: Sequence[RawReply]) -> TokenReply:
        """The token in these replies.

        Raises:
            TokenReplyError: there is none.
        """


def token_sources(opened: OpenAccount, stored: StoredToken | None) -> Iterator[TokenSource]:
    """The ways to a token for this account, the next one for when the one before finds its grant dead."""
    auth = opened.integration.auth
    if isinstance(auth, OAuth2Auth):
        yield from _oauth2_sources(opened, auth, stored)
    if isinstance(auth, CustomTokenAuth):
        if auth.refresh and stored and stored.refresh_token:
            yield CustomTokenRefresh(opened, auth, auth.refresh, stored)
        yield CustomTokenChain(opened, auth)


def _oauth2_sources(opened: OpenAccount, auth: OAuth2Auth, stored: StoredToken | None) -> Iterator[TokenSource]:
    match auth.grant:
        case Grant.CLIENT_CREDENTIALS:
            yield ClientCredentials(opened, auth)
        case Grant.JWT_BEARER:
            yield JwtBearerGrant(opened, auth)
        case Grant.AUTHORIZATION_CODE:
            if stored and stored.refresh_token:
                yield RefreshToken(opened, auth, stored)


_NOT_ASKED_WITH = {"place", "keep_alive", "identity"}
"""What no token request depends on. A field that is added must be named here, or be left out of the digest while it
has its default: else processes of two versions refuse each other's tokens in a rolling upgrade."""


def basis(opened: OpenAccount) -> str:
    """Digest of everything that a token is asked for with; kept encrypted, since it is made of secrets too.

    A person's consent outlives every change of the definition and of the client's secret: only the person, or the
    provider, can take it back.
    """
    if opened.integration.by_consent:
        return Grant.AUTHORIZATION_CODE
    auth = opened.integration.auth.model_dump(mode="json", exclude=_NOT_ASKED_WITH)
    texts: Mapping[str, str] = opened.texts()
    return hashlib.sha256(json.dumps([auth, sorted(texts.items())]).encode()).hexdigest()


def client_key(opened: OpenAccount, host: str) -> str:
    """Tells OAuth clients at one host apart; an account that authenticates as no client stands for itself."""
    client_id = opened.secrets.get("client_id")
    name = client_id.reveal() if client_id else opened.account.id
    return hashlib.sha256(f"{host}\n{name}".encode()).hexdigest()[:32]
