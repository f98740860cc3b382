"""Connecting an account: a link, a person's consent at the provider, and a code that becomes the account's grant.

`invite` makes the link, `start` follows it in somebody's browser, `finish` takes what the provider sends that browser
back with. What proves anything (link, state, cookie) is 256 bits of chance and stored as a digest.
"""

import hashlib
import hmac
import logging
import re
import secrets
import uuid
from dataclasses import dataclass, field

from auth.authorization_request import authorization_url
from auth.callback import BadCallback, Callback, captured_from, check_issuer, read_callback
from auth.connect_error import ConnectError, Fault, refused, refused_by_person, unfinished
from auth.connected import Connected, connected
from auth.credential import OpenAccount
from auth.disconnect import revoke
from auth.discovery import Discovery, DiscoveryFailed
from auth.errors import CredentialError
from auth.exchange import Accept, Accepted, Exchange, Refused
from auth.external_account import Unidentified, external_id, is_another, look_around
from auth.oauth2_sources import AuthorizationCode
from auth.public_url import public_url
from auth.redemption import UNBUILDABLE
from auth.refusal import of_unbuildable
from auth.resolver import CredentialResolver
from auth.token_record import StoredToken
from auth.token_reply import TokenReply
from auth.token_sources import basis
from auth.vault import Vault
from definitions.auth import OAuth2Auth
from net.client import GuardedClient
from net.redaction import LIVE_SECRETS
from storage.accounts import account_by_id
from storage.connect_attempts import (
    Attempt,
    arm_attempt,
    attempt_of_ticket,
    attempt_that_used,
    close_attempt,
    forget_attempts,
    insert_attempt,
    note_answer,
    read_attempt,
    take_attempt,
)
from storage.database import Database

logger = logging.getLogger(__name__)

TABLE = "connects"
"""The vault's table of code verifiers, by account and attempt."""
CALLBACK_PATH = "/connect/callback"
START_PATH = "/connect/start/"
SECONDS = 600.0
"""From the link to the code."""
ANSWER_SECONDS = 120.0
"""From the code to its outcome, at most: a process that is silent for longer was ended."""
CONNECTED = "connected"
EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Invitation:
    """An attempt that waits for somebody to follow its link. `expires_at` in epoch seconds."""

    id: str
    link: str = field(repr=False)
    redirect_uri: str
    expires_at: float


@dataclass(frozen=True, slots=True, repr=False)
class Departure:
    """Where the browser goes, and what it must bring back in a cookie."""

    url: str
    browser_key: str
    secure: bool
    """Whether the cookie may travel over https only."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How an attempt stands. `outcome`: None while it is open, `connected`, `expired`, or a `Fault`."""

    account_id: str
    outcome: str | None
    told: str | None
    """None also when nobody came: there was nobody to tell it to."""
    expires_at: float


class Connector:
    """Connects accounts of integrations with the grant `authorization_code`."""

    def __init__(
        self, database: Database, vault: Vault, resolver: CredentialResolver, exchange: Exchange, http: GuardedClient
    ) -> None:
        self._database = database
        self._vault = vault
        self._resolver = resolver
        self._exchange = exchange
        self._http = http
        self._discovery = Discovery(http)

    async def invite(self, account: str, base_url: str, *, replaces: bool = False) -> Invitation:
        """Open an attempt; `base_url` is where the routes are served, as the provider has it registered.

        `replaces`: another external account may take the place of the one that was connected before.

        Raises:
            ConnectError: the account is not connected by consent. CredentialError: there is none.
            ValueError: `base_url` is no address that may be sent back to.
        """
        opened = await self._resolver.open(account)
        if not opened.integration.by_consent:
            raise refused(Fault.NOT_BY_CONSENT, account)
        ticket, attempt_id, base = secrets.token_urlsafe(32), uuid.uuid4().hex, public_url(base_url)
        async with self._database.write() as connection:
            for account_id, old in await forget_attempts(connection):
                await self._vault.delete(connection, TABLE, account_id, old)
            attempt = await insert_attempt(
                connection,
                attempt_id,
                _digest(ticket),
                opened.account.id,
                base + CALLBACK_PATH,
                replaces=replaces,
                seconds=SECONDS,
            )
        LIVE_SECRETS.add(ticket)
        return Invitation(attempt_id, f"{base}{START_PATH}{ticket}", attempt.redirect_uri, attempt.expires_at)

    async def start(self, ticket: str, browser_key: str | None) -> Departure:
        """Follow a link; `browser_key` is what the browser's cookie holds from before, if it has one.

        A link can be followed again while it lasts: what was expected before is not expected any more.

        Raises:
            ConnectError: the link is unknown, used or too old, or the provider cannot be asked.
        """
        async with self._database.read() as connection:
            attempt = await attempt_of_ticket(connection, _digest(ticket))
        if attempt is None:
            raise refused(Fault.UNKNOWN_LINK)
        opened = await self._open(attempt)
        try:
            metadata = await self._discovery.metadata(opened)
            opened = await self._discovery.complete(opened)
        except DiscoveryFailed as failed:
            raise refused(Fault.PROVIDER, opened.account.name, failed.refusal) from None
        key = browser_key if browser_key and _KEY.fullmatch(browser_key) else secrets.token_urlsafe(32)
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        auth = opened.integration.auth
        assert isinstance(auth, OAuth2Auth), "nobody else is invited"
        pkce = auth.authorize is None or auth.authorize.pkce
        try:
            url = authorization_url(opened, attempt.redirect_uri, state, verifier if pkce else None)
        except UNBUILDABLE as error:
            raise refused(Fault.PROVIDER, opened.account.name, of_unbuildable(error)) from None
        async with self._database.write() as connection:
            armed = await arm_attempt(
                connection,
                attempt.id,
                state_hash=_digest(state),
                browser_hash=_digest(key),
                issuer=metadata.issuer if metadata else None,
                issuer_required=bool(metadata and metadata.names_itself),
            )
            if not armed:
                raise refused(Fault.UNKNOWN_LINK)
            if pkce:
                await self._vault.put(connection, TABLE, attempt.account_id, attempt.id, 1, verifier.encode())
        for secret in (state, verifier, key):
            LIVE_SECRETS.add(secret)
        return Departure(url, key, attempt.redirect_uri.startswith("https:"))

    async def finish(self, query: str, browser_key: str | None) -> Connected:
        """Take a callback's query, and what the browser's cookie holds.

        Raises:
            ConnectError: nothing was connected; the account is as it was, and unless the fault says otherwise nothing
                was sent to the provider.
        """
        try:
            callback = read_callback(query)
        except BadCallback as error:
            logger.warning("a callback was refused: %s", error)
            raise refused(Fault.BAD_CALLBACK, detail=str(error)) from None
        attempt, verifier = await self._take(callback.state, browser_key)
        if not _same_browser(attempt, browser_key):
            logger.warning("a callback of connect attempt %s came from another browser and was refused", attempt.id)
            raise refused(Fault.FOREIGN_BROWSER)
        # Not before: whoever sends a callback would choose words that are masked from then on, in answers too.
        for secret in (callback.state, callback.code or ""):
            LIVE_SECRETS.add(secret)
        try:
            made = await self._finish(attempt, callback, verifier)
        except ConnectError as error:
            logger.info("connect attempt %s: %s", attempt.id, error)
            await self._close(attempt, error.fault, error.told)
            raise
        logger.info("account %r was connected", made.account)
        await self._close(attempt, CONNECTED, made.told)
        return made

    async def progress(self, attempt_id: str) -> Progress | None:
        """How an attempt stands, for whoever waits for it; None of one that is not known any more."""
        async with self._database.read() as connection:
            attempt = await read_attempt(connection, attempt_id)
        if attempt is None:
            return None
        outcome = attempt.outcome or (EXPIRED if attempt.expired else None)
        return Progress(attempt.account_id, outcome, attempt.told, attempt.expires_at)

    async def _take(self, state: str, browser_key: str | None) -> tuple[Attempt, str | None]:
        """The attempt that expects this state, and its code verifier; neither is there a second time."""
        used = _digest(f"used {state}")
        async with self._database.write() as connection:
            attempt = await take_attempt(connection, _digest(state), used)
            if attempt is None:
                before = await attempt_that_used(connection, used)
                told = f"belongs to connect attempt {before}, which had it before" if before else "was never asked for"
                logger.warning("a callback was refused: its state %s, or is too old", told)
                raise refused(Fault.UNKNOWN_STATE)
            account = await account_by_id(connection, attempt.account_id)
            if account is not None and _same_browser(attempt, browser_key):
                await note_answer(connection, attempt.id, unfinished(account.name), ANSWER_SECONDS)
            verifier = await self._vault.get(connection, TABLE, attempt.account_id, attempt.id)
            await self._vault.delete(connection, TABLE, attempt.account_id, attempt.id)
        return attempt, verifier.decode() if verifier else None

    async def _finish(self, attempt: Attempt, callback: Callback, verifier: str | None) -> Connected:
        opened = await self._open(attempt)
        name = opened.account.name
        try:
            check_issuer(callback, attempt.issuer, required=attempt.issuer_required)
            captured = captured_from(callback, opened.integration)
        except BadCallback as error:
            raise refused(Fault.BAD_CALLBACK, name, detail=str(error)) from None
        if callback.code is None:
            raise refused_by_person(name, callback)
        try:
            opened = await self._discovery.complete(opened)
            auth = opened.integration.auth
            assert isinstance(auth, OAuth2Auth), "nobody else is invited"
            source = AuthorizationCode(opened, auth, callback.code, attempt.redirect_uri, verifier, captured)
            reply = await self._exchange.run(opened, source, self._judge(opened, auth, attempt))
        except DiscoveryFailed as failed:
            raise refused(Fault.PROVIDER, name, failed.refusal) from None
        except Refused as error:
            raise refused(Fault.EXCHANGE, name, error.refusal) from None
        except Unidentified as error:
            raise refused(Fault.UNIDENTIFIED, name, detail=str(error)) from None
        except CredentialError as error:
            raise refused(Fault.BUSY, name, detail=str(error)) from None
        return connected(attempt.id, opened, auth, reply)

    def _judge(self, opened: OpenAccount, auth: OAuth2Auth, attempt: Attempt) -> Accept:
        """Whether the tokens that came may take the place of what is in force; what may not is given back.

        Not while it may be the same person's as what is in force: some providers know one grant for each person and
        client, and revoking what came would end what is there.
        """

        async def judge(reply: TokenReply) -> Accepted:
            for secret in (reply.token, reply.refresh_token or ""):
                LIVE_SECRETS.add(secret)
            try:
                reply = await look_around(self._http, opened, reply)
                who = external_id(auth, reply)
                before = await self._exchange.store.identity(opened.account.id)
                if not attempt.replaces and is_another(before, auth, reply):
                    raise refused(Fault.OTHER_ACCOUNT, opened.account.name)
            except (ConnectError, Unidentified) as error:
                if isinstance(error, ConnectError) or not await self._exchange.store.in_force(
                    opened.account.id, basis(opened)
                ):
                    came = StoredToken(reply.token, reply.refresh_token, dict(reply.captured))
                    await revoke(self._http, self._discovery, opened, came)
                raise
            return Accepted(reply, who)

        return judge

    async def _open(self, attempt: Attempt) -> OpenAccount:
        async with self._database.read() as connection:
            account = await account_by_id(connection, attempt.account_id)
        if account is None:
            raise refused(Fault.UNKNOWN_LINK)
        try:
            opened = await self._resolver.open(account.name)
        except CredentialError as error:
            raise refused(Fault.BUSY, account.name, detail=str(error)) from None
        if not opened.integration.by_consent:
            raise refused(Fault.NOT_BY_CONSENT, account.name)
        return opened

    async def _close(self, attempt: Attempt, outcome: str, told: str) -> None:
        async with self._database.write() as connection:
            await close_attempt(connection, attempt.id, outcome, told)


_KEY = re.compile(r"[A-Za-z0-9_-]{43}")


def _same_browser(attempt: Attempt, browser_key: str | None) -> bool:
    return bool(browser_key) and hmac.compare_digest(_digest(browser_key or ""), attempt.browser_hash or "")


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
