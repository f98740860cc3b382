"""Published definitions: immutable by version, one version of each in force."""

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import yaml
from sqlalchemy import and_, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from definitions.integration import Integration
from definitions.loading import Document
from definitions.profile import Profile
from storage.database import Database, db_now
from storage.errors import NotFound
from storage.schema import accounts, definition_versions, definitions

Kind = Literal["integration", "profile"]
_MODELS: dict[str, type[Integration] | type[Profile]] = {"integration": Integration, "profile": Profile}

_IN_FORCE = and_(
    definitions.c.kind == definition_versions.c.kind,
    definitions.c.key == definition_versions.c.key,
    definitions.c.version == definition_versions.c.version,
)


@dataclass(frozen=True, slots=True)
class Change:
    """What applying one document does, or would do. `diff` is a unified diff of the two versions as YAML."""

    kind: str
    key: str
    action: Literal["created", "updated", "unchanged"]
    version: str
    diff: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a document; `created_at` in epoch seconds."""

    version: str
    created_at: float
    in_force: bool


class DefinitionStore:
    """Reads and applies definitions. Models are kept by version: a version never changes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._models: dict[tuple[str, str], Integration | Profile] = {}

    async def apply(self, documents: Sequence[Document], *, dry_run: bool = False) -> Sequence[Change]:
        """Put all these documents into force in one transaction, or only say what that would do."""
        models = [document.model for document in documents]
        opened = self._database.read() if dry_run else self._database.write()
        async with opened as connection:
            changes = [await self._change(connection, model) for model in models]
            if not dry_run:
                for model, change in zip(models, changes, strict=True):
                    await _store(connection, model, change)
            return [await _warned(connection, model, change) for model, change in zip(models, changes, strict=True)]

    async def integration(self, key: str) -> Integration:
        """The integration in force. Raises NotFound."""
        found = await self.get("integration", key)
        assert isinstance(found, Integration)
        return found

    async def profile(self, name: str) -> Profile:
        """The profile in force. Raises NotFound."""
        found = await self.get("profile", name)
        assert isinstance(found, Profile)
        return found

    async def get(self, kind: Kind, key: str) -> Integration | Profile:
        """The document in force. Raises NotFound."""
        async with self._database.read() as connection:
            return await self.read(connection, kind, key)

    async def read(self, connection: AsyncConnection, kind: Kind, key: str) -> Integration | Profile:
        """The same within a transaction."""
        row = (await connection.execute(_GET, {"wanted_kind": kind, "wanted_key": key})).first()
        if row is None:
            keys = select(definitions.c.key).where(definitions.c.kind == kind)
            raise NotFound(kind, key, (await connection.scalars(keys)).all())
        return self.model_of(kind, row.version, row.document)

    def model_of(self, kind: str, version: str, document: str) -> Integration | Profile:
        """The model of a stored version, parsed once."""
        model = self._models.get((kind, version))
        if model is None:
            model = self._models[kind, version] = _MODELS[kind].model_validate_json(document)
        return model

    async def list(self, kind: Kind) -> Sequence[str]:
        """The keys of all documents in force, sorted."""
        query = select(definitions.c.key).where(definitions.c.kind == kind).order_by(definitions.c.key)
        async with self._database.read() as connection:
            return (await connection.scalars(query)).all()

    async def versions(self, kind: Kind, key: str) -> Sequence[Version]:
        """All versions of a document, the newest first."""
        query = (
            select(definition_versions.c.version, definition_versions.c.created_at, definitions.c.version.label("now"))
            .join(definitions, and_(definitions.c.kind == kind, definitions.c.key == key))
            .where(definition_versions.c.kind == kind, definition_versions.c.key == key)
            .order_by(definition_versions.c.created_at.desc())
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [Version(row.version, row.created_at, row.version == row.now) for row in rows]

    async def _change(self, connection: AsyncConnection, model: Integration | Profile) -> Change:
        key, version = key_of(model), _version(model)
        try:
            old = await self.read(connection, model.kind, key)
        except NotFound:
            return Change(model.kind, key, "created", version, _diff("", _yaml(model), key))
        if old == model:
            return Change(model.kind, key, "unchanged", version)
        return Change(model.kind, key, "updated", version, _diff(_yaml(old), _yaml(model), key))


_GET = (
    select(definition_versions.c.version, definition_versions.c.document)
    .join(definitions, _IN_FORCE)
    .where(definitions.c.kind == bindparam("wanted_kind"), definitions.c.key == bindparam("wanted_key"))
)


def key_of(model: Integration | Profile) -> str:
    """What a document is called by."""
    return model.key if isinstance(model, Integration) else model.name


def _canonical(model: Integration | Profile) -> str:
    """The same text for the same meaning: defaults left out, keys sorted."""
    data = model.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"kind": model.kind}
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _version(model: Integration | Profile) -> str:
    return hashlib.sha256(_canonical(model).encode()).hexdigest()


def _yaml(model: Integration | Profile) -> str:
    return yaml.safe_dump(json.loads(_canonical(model)), sort_keys=True, allow_unicode=True)


def _diff(old: str, new: str, key: str) -> str:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), f"{key} (in force)", f"{key} (new)", lineterm="")
    return "\n".join(lines)


async def _store(connection: AsyncConnection, model: Integration | Profile, change: Change) -> None:
    if change.action == "unchanged":
        return
    kind, key, version = change.kind, change.key, change.version
    known = select(definition_versions.c.version).where(
        definition_versions.c.kind == kind, definition_versions.c.key == key, definition_versions.c.version == version
    )
    if (await connection.execute(known)).first() is None:
        await connection.execute(
            insert(definition_versions).values(
                kind=kind, key=key, version=version, document=_canonical(model), created_at=db_now()
            )
        )
    if change.action == "created":
        await connection.execute(insert(definitions).values(kind=kind, key=key, version=version))
    else:
        where = (definitions.c.kind == kind, definitions.c.key == key)
        await connection.execute(update(definitions).where(*where).values(version=version))


async def _warned(connection: AsyncConnection, model: Integration | Profile, change: Change) -> Change:
    if isinstance(model, Profile):
        named = {binding.account for binding in model.adapters.values() if binding.account}
        found = set((await connection.scalars(select(accounts.c.name).where(accounts.c.name.in_(named)))).all())
        warnings = tuple(
            f"account {name!r} does not exist yet: tieline accounts create {name} --integration KEY"
            for name in sorted(named - found)
        )
    else:
        warnings = ()
    return Change(change.kind, change.key, change.action, change.version, change.diff, warnings)
