"""What a failed SFTP operation means for its run, and who can help: one table, apart from the code that moves bytes.

An SFTP operation may always be repeated, because the next attempt looks what this one has done. So the question is only
whether repeating can help.
"""

import re
from dataclasses import dataclass

from definitions.run import Actor, Failure, SftpCall, Verdict
from definitions.sftp import HostKeyChange
from net.redaction import LIVE_SECRETS
from net.sftp_errors import SftpError

PATIENCE = 5
"""Times after which a server is believed that tells only of a `failure`, or breaks the protocol: so does one with a
file that is in use for a moment, or that is restarted, and one that will never do what is asked."""
BELIEVED = frozenset({"failure", "protocol_error"})
UNSURE = frozenset({"connection_lost", "timeout", "stalled", "protocol_error"})
"""Errors after which a change may have been made all the same."""
SETBACKS = frozenset({"content_differs", "source_changed"})
"""What makes an upload begin anew. It is as patient with these. Each is counted alone: a line that is lost a hundred
times is no sign of a server that changes what it is sent, or will not take it."""


class Refused(Exception):
    """An operation that cannot be done as things stand; `category` is one of the table. The text may be shown.

    `action`: the next step, where more is known than the table tells. `times`: how often it has happened, where that
    is counted before.
    """

    def __init__(self, category: str, message: str, action: str | None = None, times: int | None = None) -> None:
        super().__init__(message)
        self.category = category
        self.action = action
        self.times = times


def folder_in_the_way(place: str) -> Refused:
    """Where a file was to be written."""
    return Refused("already_exists", f"{place} is a folder", f"end it with a slash to write into it: {place}/")


@dataclass(frozen=True, slots=True)
class Judged:
    """`action` is the next step for whoever is to act; ACCOUNT, ADAPTER and PROFILE in it stand for their names."""

    verdict: Verdict
    actor: Actor
    action: str


_LATER = "nothing: it goes on where it stopped after a wait"
_BUSY = Judged(Verdict.AGAIN, Actor.PROVIDER, _LATER)
_HOST_KEY = (
    "ask whoever runs the server whether it has a new key, and compare the fingerprints; then "
    "tieline runs decide RUN trust --why TEXT, or fail"
)

_TABLE: dict[str, Judged] = {
    "egress_denied": Judged(
        Verdict.FINAL, Actor.OPERATOR, "allow the address with TIELINE_EGRESS_ALLOW=HOST:PORT if it is meant"
    ),
    "dns_failed": Judged(Verdict.AGAIN, Actor.OPERATOR, "check the host of account ACCOUNT"),
    "connect_failed": Judged(
        Verdict.AGAIN, Actor.OPERATOR, "check that the host and port of account ACCOUNT can be reached from here"
    ),
    "connection_lost": _BUSY,
    "timeout": Judged(Verdict.AGAIN, Actor.USER, "nothing: it goes on where it stopped; give it a longer timeout"),
    "stalled": _BUSY,
    "protocol_error": Judged(Verdict.AGAIN, Actor.PROVIDER, "look whether the port is one of an SFTP server"),
    "auth_refused": Judged(
        Verdict.RECONNECT, Actor.OPERATOR, "renew the account's secrets: tieline accounts set-secrets ACCOUNT"
    ),
    "bad_key": Judged(
        Verdict.RECONNECT, Actor.OPERATOR, "save a key that can be used: tieline accounts set-secrets ACCOUNT"
    ),
    "host_key_changed": Judged(Verdict.RECONNECT, Actor.OPERATOR, _HOST_KEY),
    "host_key_unknown": Judged(Verdict.RECONNECT, Actor.OPERATOR, _HOST_KEY),
    "no_trust": Judged(
        Verdict.FINAL,
        Actor.OPERATOR,
        "say which host keys are the server's: tieline accounts trust-host-key ACCOUNT KEY; where the integration says "
        "host_key: insecure, give it another policy",
    ),
    "not_found": Judged(
        Verdict.FINAL,
        Actor.USER,
        "look what there is: tieline sftp ls ADAPTER --profile PROFILE, or sftp.list over HTTP; if the root folder "
        "itself is missing, correct it in the parameters of account ACCOUNT or in the integration's base_url",
    ),
    "permission_denied": Judged(
        Verdict.FINAL, Actor.PROVIDER, "have the login of account ACCOUNT be given the right to do this"
    ),
    "already_exists": Judged(
        Verdict.FINAL, Actor.USER, "choose another name, or say overwrite: replace or skip_if_same"
    ),
    "not_a_directory": Judged(Verdict.FINAL, Actor.USER, "correct the path: a part of it is a file"),
    "not_a_file": Judged(Verdict.FINAL, Actor.USER, "correct the path: it is not a file"),
    "not_empty": Judged(Verdict.FINAL, Actor.USER, "say recursive: true to delete all that the folder holds"),
    "no_space": Judged(Verdict.FINAL, Actor.PROVIDER, "have whoever runs the server make room, then run it again"),
    "unsupported": Judged(Verdict.FINAL, Actor.OPERATOR, "say in the integration's sftp what this server cannot do"),
    "failure": Judged(Verdict.AGAIN, Actor.PROVIDER, "ask whoever runs the server: it gives no reason"),
    "bad_name": Judged(Verdict.FINAL, Actor.PROVIDER, "have the file renamed: its name cannot be used safely"),
    "bad_path": Judged(Verdict.FINAL, Actor.USER, "correct the path: it stays below the account's root folder"),
    "invalid_request": Judged(Verdict.FINAL, Actor.USER, "correct the operation"),
    "misconfigured": Judged(Verdict.FINAL, Actor.OPERATOR, "correct the integration, or the account ACCOUNT"),
    "too_large": Judged(Verdict.FINAL, Actor.USER, "raise max_bytes if a file of this size is meant"),
    "too_many_entries": Judged(Verdict.FINAL, Actor.USER, "name a folder further down, or a narrower pattern"),
    "checksum_mismatch": Judged(Verdict.FINAL, Actor.USER, "ask for the file, or for its checksum, once more"),
    "content_differs": Judged(Verdict.AGAIN, Actor.PROVIDER, "nothing: the file is sent again from its beginning"),
    "not_readable_back": Judged(
        Verdict.FINAL, Actor.USER, "say verify: size, as the server lets nobody read what was sent"
    ),
    "open_ended": Judged(
        Verdict.FINAL,
        Actor.PROVIDER,
        "have the API say how long its answers are (Content-Length, or chunks); or say verify: size to take what comes",
    ),
    "source_changed": Judged(Verdict.AGAIN, Actor.PROVIDER, "nothing: the file is fetched again from its beginning"),
    "asset_missing": Judged(Verdict.FINAL, Actor.USER, "put the file again: its asset is gone"),
    "asset_damaged": Judged(
        Verdict.FINAL, Actor.OPERATOR, "restore the asset store from a backup, or put the file again"
    ),
    "asset_store_unavailable": Judged(Verdict.AGAIN, Actor.OPERATOR, "bring the asset store back: tieline doctor"),
    "asset_store_full": Judged(
        Verdict.AGAIN, Actor.OPERATOR, "make room where assets are written (tieline assets gc): it goes on then"
    ),
    "temporal_unreachable": Judged(Verdict.AGAIN, Actor.OPERATOR, "bring Temporal back: tieline doctor"),
    "outcome_unknown": Judged(
        Verdict.UNKNOWN, Actor.OPERATOR, "look on the server which of the two names there is, then decide"
    ),
}
_EXISTS = {
    "sftp.mkdir": "choose another name",
    "sftp.move": "choose another name, or say overwrite: replace",
    "sftp.download": "take that away, or move the sources elsewhere (move_to)",
}
"""The next step after `already_exists`, where operations have no such choice."""
_HOPELESS: dict[str, Judged] = {
    "content_differs": Judged(
        Verdict.FINAL,
        Actor.PROVIDER,
        "ask whoever runs the server whether it changes what it is sent, such as line ends",
    ),
    "source_changed": Judged(
        Verdict.FINAL, Actor.PROVIDER, "run it again when the source is at rest: it changed each time while it was read"
    ),
}
_UNFORESEEN = Judged(Verdict.AGAIN, Actor.TIELINE, "report it; it is tried again meanwhile")


def judge(category: str, times: int = 1) -> Judged:
    """What this category means for a run to which it happens the so many-th time."""
    judged = _TABLE.get(category, _UNFORESEEN)
    if times < PATIENCE:
        return judged
    if category in SETBACKS:
        return _HOPELESS[category]
    if category in BELIEVED:
        return Judged(Verdict.FINAL, judged.actor, judged.action)
    return judged


def sftp_failure(
    call: SftpCall,
    category: str,
    message: str,
    *,
    account: str | None = None,
    times: int = 1,
    host_key: HostKeyChange | None = None,
    action: str | None = None,
) -> Failure:
    """The failure of an operation, scrubbed of every live secret. `action`: instead of the table's."""
    judged = judge(category, times)
    if action is None:
        told = _EXISTS.get(call.operation.type, judged.action) if category == "already_exists" else judged.action
        action = _filled(told, call, account)
    return Failure(
        verdict=judged.verdict,
        category=_TOLD_AS.get(category, category),
        message=LIVE_SECRETS.scrub(f"{call.summary}: {message}"),
        actor=judged.actor,
        suggested_action=LIVE_SECRETS.scrub(action),
        account=account,
        host_key=host_key,
    )


def _filled(action: str, call: SftpCall, account: str | None) -> str:
    named = {"ACCOUNT": account or "ACCOUNT", "ADAPTER": call.credential.adapter, "PROFILE": call.credential.profile}
    return re.sub("|".join(named), lambda found: named[found[0]], action)


def failure_of_error(call: SftpCall, error: SftpError | Refused, account: str, times: int = 1) -> Failure:
    """The failure that an error stands for, at the so many-th time."""
    if isinstance(error, Refused):
        told, action = str(error), error.action
        return sftp_failure(call, error.category, told, account=account, times=times, action=action)
    return sftp_failure(call, error.code, str(error), account=account, times=times, host_key=error.keys)


_TOLD_AS = {"auth_refused": "credential_refused", "bad_key": "credential_refused"}
"""What other protocols call the same."""
