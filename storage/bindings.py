"""Which account an app's own end user (a subject) has behind an adapter."""

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.errors import NotFound, UnfitSubject
from storage.schema import accounts, subject_bindings
from storage.waiters import wake_for_subject

MAX_SUBJECT = 255
REBOUND = "the subject's binding was changed"

_NAME = (
    select(accounts.c.name)
    .join(subject_bindings, subject_bindings.c.account_id == accounts.c.id)
    .where(
        subject_bindings.c.profile == bindparam("of_profile"),
        subject_bindings.c.adapter == bindparam("of_adapter"),
        subject_bindings.c.subject == bindparam("of_subject"),
    )
)


async def account_of_subject(connection: AsyncConnection, profile: str, adapter: str, subject: str) -> str | None:
    """The name of the subject's account, or None."""
    if not _fits(subject):  # PostgreSQL refuses to be asked
        return None
    where = {"of_profile": profile, "of_adapter": adapter, "of_subject": subject}
    name: str | None = (await connection.execute(_NAME, where)).scalar()
    return name


async def hold_subject(connection: AsyncConnection, profile: str, adapter: str, subject: str | None) -> None:
    """Let nobody change a subject's binding until the transaction ends.

    Not by a lock that is shared: whoever wants to change it would wait for as long as others keep coming.
    """
    if subject is None or not _fits(subject):
        return
    key = (subject_bindings.c.profile, subject_bindings.c.adapter, subject_bindings.c.subject)
    wanted = [column == value for column, value in zip(key, (profile, adapter, subject), strict=True)]
    await connection.execute(select(subject_bindings.c.account_id).where(*wanted).with_for_update())


async def bind_subject(connection: AsyncConnection, profile: str, adapter: str, subject: str, account_id: str) -> None:
    """Bind, in place of what was bound before.

    Raises:
        UnfitSubject: the subject is empty, too long or no printable text.
        NotFound: the account is gone.
    """
    if not _fits(subject):
        raise UnfitSubject(f"a subject is a printable text of 1 to {MAX_SUBJECT} characters")
    module = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = module.insert(subject_bindings).values(
        profile=profile, adapter=adapter, subject=subject, account_id=account_id
    )
    key = [subject_bindings.c.profile, subject_bindings.c.adapter, subject_bindings.c.subject]
    try:
        await connection.execute(statement.on_conflict_do_update(index_elements=key, set_={"account_id": account_id}))
    except IntegrityError:
        raise NotFound("account", account_id) from None
    await wake_for_subject(connection, profile, adapter, subject, REBOUND)


async def unbind_subject(connection: AsyncConnection, profile: str, adapter: str, subject: str) -> None:
    """Forget a subject's binding. Wakes nobody: its runs could only fail."""
    await connection.execute(
        delete(subject_bindings).where(
            subject_bindings.c.profile == profile,
            subject_bindings.c.adapter == adapter,
            subject_bindings.c.subject == subject,
        )
    )


def _fits(subject: str) -> bool:
    return 0 < len(subject) <= MAX_SUBJECT and subject.isprintable()
