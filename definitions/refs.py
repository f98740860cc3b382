"""How a step names its credential without holding it."""

import hashlib

from definitions.base import Model

FAIRNESS_KEY_LENGTH = 64
"""What Temporal takes, in bytes."""


class CredentialRef(Model):
    """`(adapter, profile[, subject])`: resolved to a credential at the moment a step runs, never before."""

    adapter: str
    profile: str
    subject: str | None = None

    def __str__(self) -> str:
        return f"{self.adapter} · {self.profile}" + (f" · {self.subject}" if self.subject else "")

    @property
    def fairness_key(self) -> str:
        """Groups work so that one noisy account does not starve the others.

        The subject is hashed: Temporal keeps these keys in clear.
        """
        whole = ":".join((self.adapter, self.profile, *([_digest(self.subject)[:16]] if self.subject else [])))
        return whole if len(whole.encode()) <= FAIRNESS_KEY_LENGTH else _digest(whole)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
