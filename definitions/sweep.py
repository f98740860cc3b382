"""What the refresh sweep's workflow passes on: ids of accounts and counts, nothing that says whose they are."""

from definitions.base import Model


class Batch(Model):
    """Accounts whose tokens are due. All that ask one host are in one batch: it alone paces the requests."""

    accounts: tuple[str, ...]


class Due(Model):
    """One page of what is due."""

    batches: tuple[Batch, ...] = ()


class Tally(Model):
    """What became of the accounts of a sweep so far."""

    renewed: int = 0
    placed: int = 0
    """Put where they belong: with their token endpoint, from which the next page takes them, or with those of which no
    token is renewed."""
    failed: int = 0
    """To be tried again later; what is stored is as it was."""
    ended: int = 0
    """Their grant is dead: somebody must reconnect them."""
    left: int = 0
    """Not asked for now: their host is closed, their client was refused, or time was up."""

    @property
    def moved(self) -> int:
        """How many are not due any more, or at another place: without any, another page would bring the same again."""
        return self.renewed + self.placed + self.failed + self.ended

    def plus(self, others: "list[Tally]") -> "Tally":
        """All of them together."""
        every = [self, *others]
        return Tally(**{name: sum(getattr(each, name) for each in every) for name in Tally.model_fields})


class Sweep(Model):
    """What a sweep takes along when it continues as a new run."""

    tally: Tally = Tally()
