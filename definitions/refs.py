"""How a step names its credential without holding it."""

from definitions.base import Model


class CredentialRef(Model):
    """`(adapter, profile[, subject])`: resolved to a credential at the moment a step runs, never before."""

    adapter: str
    profile: str
    subject: str | None = None

    def __str__(self) -> str:
        return f"{self.adapter} · {self.profile}" + (f" · {self.subject}" if self.subject else "")

    @property
    def fairness_key(self) -> str:
        """Groups work so that one noisy account does not starve the others."""
        return ":".join(part for part in (self.adapter, self.profile, self.subject) if part)
