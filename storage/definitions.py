"""Published definitions: immutable by version, one version of each in force."""

import contextlib
import difflib
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import yaml
from pydantic import ValidationError
from sqlalchemy import and_, bindparam, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from definitions.integration import Integration
from definitions.loading import Document
from definitions.profile import Profile
from storage.accounts import accounts_of
from storage.database import Database, db_now
from storage.due_tokens import forgive_refusals
from storage.errors import NotFound, UnreadableDefinition
from storage.schema import accounts, definition_versions, definitions
from storage.vault_records import ACCOUNT_SECRETS, INTEGRATION_SECRETS, stored_fields
from storage.waiters import wake_for_profile

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
    rebound: frozenset[str] | None = None
    """The adapters of a profile that are bound in another way than before; None: any may be."""


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
            if not dry_run:
                await _lock(connection)
            changes = [await self._change(connection, model) for model in models]
            if not dry_run:
                for model, change in zip(models, changes, strict=True):
                    await _store(connection, model, change)
                for model, change in zip(models, changes, strict=True):  # all documents first, as others lock them
                    if isinstance(model, Integration) and change.action != "unchanged":
                        await forgive_refusals(connection, model.key)
                for change in changes:
                    await _wake(connection, change)
            return [await _warned(connection, model, change) for model, change in zip(models, changes, strict=True)]

    async def edit_profile(self, name: str, edit: Callable[[Profile | None], Profile]) -> Change:
        """Put a changed version of a profile into force; nobody else changes any definition in between."""
        async with self._database.write() as connection:
            await _lock(connection)
            try:
                before = await self.read(connection, "profile", name)
            except NotFound:
                before = None
            assert not isinstance(before, Integration), "the kind was asked for"
            model = edit(before)
            change = await self._change(connection, model)
            await _store(connection, model, change)
            await _wake(connection, change)
            return await _warned(connection, model, change)

    async def integration(self, key: str) -> Integration:
        """The integration in force. Raises NotFound."""
        found = await self.get("integration", key)
        assert isinstance(found, Integration)
        return found

    async def integrations(self, keys: Iterable[str]) -> Mapping[str, Integration]:
        """Those of these that are in force and can be read: one of another version keeps no other from being shown."""
        found: dict[str, Integration] = {}
        for key in set(keys):
            with contextlib.suppress(NotFound, UnreadableDefinition):
                found[key] = await self.integration(key)
        return found

    async def profile(self, name: str) -> Profile:
        """The profile in force. Raises NotFound."""
        found = await self.get("profile", name)
        assert isinstance(found, Profile)
        return found

    async def get(self, kind: Kind, key: str) -> Integration | Profile:
        """The document in force. Raises NotFound, UnreadableDefinition."""
        async with self._database.read() as connection:
            return await self.read(connection, kind, key)

    async def read(self, connection: AsyncConnection, kind: Kind, key: str) -> Integration | Profile:
        """The same within a transaction."""
        row = (await connection.execute(_GET, {"wanted_kind": kind, "wanted_key": key})).first()
        if row is None:
            keys = select(definitions.c.key).where(definitions.c.kind == kind)
            raise NotFound(kind, key, (await connection.scalars(keys)).all())
        return self.model_of(kind, row.version, row.document)

    async def hold(self, connection: AsyncConnection) -> None:
        """Let nobody apply until the transaction ends: first of all in it.

        Others may hold at the same time. Of whoever wants the table, PostgreSQL lets those who came first go first, and
        a row it does not: who wants to change one that others share waits for as long as more of them come.
        """
        if connection.dialect.name == "postgresql":
            await connection.execute(text("LOCK TABLE definitions IN ROW EXCLUSIVE MODE"))

    def model_of(self, kind: str, version: str, document: str) -> Integration | Profile:
        """The model of a stored version, parsed once. Raises UnreadableDefinition."""
        model = self._models.get((kind, version))
        if model is None:
            try:
                model = _MODELS[kind].model_validate_json(document)
            except ValidationError:
                raise UnreadableDefinition(kind, _key_in(document)) from None
            self._models[kind, version] = model
        return model

    async def profiles(self, connection: AsyncConnection) -> Sequence[Profile]:
        """All profiles in force, sorted by name."""
        query = _IN_FORCE_ALL.where(definitions.c.kind == "profile").order_by(definitions.c.key)
        models = [
            self.model_of("profile", row.version, row.document) for row in (await connection.execute(query)).all()
        ]
        return [model for model in models if isinstance(model, Profile)]

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
        except UnreadableDefinition:
            return Change(model.kind, key, "updated", version, _diff("", _yaml(model), key))
        if old == model:
            return Change(model.kind, key, "unchanged", version)
        diff = _diff(_yaml(old), _yaml(model), key)
        return Change(model.kind, key, "updated", version, diff, rebound=_rebound(old, model))


_IN_FORCE_ALL = select(definition_versions.c.version, definition_versions.c.document).join(definitions, _IN_FORCE)
_GET = _IN_FORCE_ALL.where(definitions.c.kind == bindparam("wanted_kind"), definitions.c.key == bindparam("wanted_key"))


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


def _rebound(old: Integration | Profile, new: Integration | Profile) -> frozenset[str] | None:
    if not isinstance(old, Profile) or not isinstance(new, Profile):
        return None
    # One that is bound no more wakes nobody: its runs could only fail.
    return frozenset(name for name, binding in new.adapters.items() if old.adapters.get(name) != binding)


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


async def _wake(connection: AsyncConnection, change: Change) -> None:
    """Wake the runs whose account was found through a profile that binds another one now. The last of all: who revives
    an account locks its token first and its runs then."""
    if change.kind == "profile" and change.action != "unchanged":
        await wake_for_profile(connection, change.key, change.rebound, f"profile {change.key} was changed")


async def _warned(connection: AsyncConnection, model: Integration | Profile, change: Change) -> Change:
    if isinstance(model, Profile):
        return replace(change, warnings=tuple(await _not_there_yet(connection, model)))
    return replace(change, warnings=tuple(await _left_incomplete(connection, model)))


async def _not_there_yet(connection: AsyncConnection, profile: Profile) -> list[str]:
    """The accounts that a profile names and that do not exist."""
    named = {binding.account for binding in profile.adapters.values() if binding.account}
    found = set((await connection.scalars(select(accounts.c.name).where(accounts.c.name.in_(named)))).all())
    return [
        f"account {name!r} does not exist yet: tieline accounts create {name} --integration KEY"
        for name in sorted(named - found)
    ]


async def _left_incomplete(connection: AsyncConnection, integration: Integration) -> list[str]:
    """The accounts that lack what the integration asks for: what it asks for has changed."""
    required = [name for name, field in integration.secret_fields().items() if not field.optional]
    asked = [name for name, parameter in integration.parameters.items() if parameter.default is None]
    shared = await stored_fields(connection, INTEGRATION_SECRETS, integration.key)
    told = []
    for account in await accounts_of(connection, integration.key):
        own = await stored_fields(connection, ACCOUNT_SECRETS, account.id)
        if secrets := [name for name in required if name not in shared | own]:
            options = " ".join(f"--secret {name}=env:VARIABLE" for name in secrets)
            told.append(
                f"account {account.name!r} lacks secret {', '.join(secrets)}: "
                f"tieline accounts set-secrets {account.name} {options}"
            )
        if parameters := [name for name in asked if name not in account.parameters]:
            told.append(
                f"account {account.name!r} lacks parameter {', '.join(parameters)}: create it again, or give a default"
            )
    return told


async def _lock(connection: AsyncConnection) -> None:
    """Let nobody else apply until the transaction ends. On SQLite every writing transaction is alone anyway."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("LOCK TABLE definitions IN SHARE ROW EXCLUSIVE MODE"))


def _key_in(document: str) -> str:
    data = json.loads(document)
    return str(data.get("key") or data.get("name"))
