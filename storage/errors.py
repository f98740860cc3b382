"""What can go wrong with what is stored. Messages name the thing and the next step, never a password or a secret."""

from collections.abc import Iterable
from difflib import get_close_matches


class StorageError(Exception):
    """The base of every error of this room."""


class DatabaseUnavailable(StorageError):
    """The database cannot be reached, opened or written."""


class BadDatabaseUrl(DatabaseUnavailable):
    """TIELINE_DATABASE_URL is no URL that can be used: nothing was asked of any database."""


class SchemaTooNew(StorageError):
    """A newer Tieline has migrated this database."""


class DatabaseTaken(StorageError):
    """The database holds somebody else's tables."""


class UnreadableDefinition(StorageError):
    """A definition was stored by another version of Tieline, and this one cannot read it."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(
            f"{kind} {key!r} was applied with another version of Tieline, which this one cannot read: apply it again"
        )


class UnfitSubject(StorageError):
    """A subject cannot be stored under this name."""


class NotFound(StorageError):
    """There is nothing of this kind under this name."""

    def __init__(self, thing: str, name: str, known: Iterable[str] = ()) -> None:
        self.thing = thing
        self.name = name
        self.known = tuple(sorted(known))
        near = get_close_matches(name, self.known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self.known[:10]) or 'none'}"
        super().__init__(f"there is no {thing} {name!r}; {hint}")


class AlreadyExists(StorageError):
    """The name is taken."""

    def __init__(self, thing: str, name: str) -> None:
        self.thing = thing
        self.name = name
        super().__init__(f"{thing} {name!r} exists already: choose another name, or change the existing one")


class AssetMissing(StorageError):
    """No asset has this SHA-256, or its content is not where it should be."""


class AssetDamaged(StorageError):
    """The content of an asset is not what was put there, or not what was announced."""


class AssetTooLarge(StorageError):
    """A file has more bytes than it may have."""


class AssetStoreUnavailable(StorageError):
    """The folder or bucket of assets cannot be read or written."""


class AssetStoreFull(AssetStoreUnavailable):
    """A file does not fit on the disk on which assets are written."""
