"""Private keys of SFTP accounts are tried when they are saved: none that cannot be opened waits for the first login."""

import asyncssh
import pytest

from auth.secret import SecretError
from definitions.loading import load_text
from storage.errors import NotFound
from tests.fixtures.refreshing import Bench

DEFINITION = """
kind: integration
key: files
name: Files
base_url: "sftp://files.example"
auth: {type: sftp, host_key: insecure}
"""
PASSPHRASE = "open sesame 4f1c9a77"
KEY = asyncssh.generate_private_key("ssh-ed25519")
OTHER = asyncssh.generate_private_key("ssh-ed25519")
PLAIN = KEY.export_private_key().decode()
ENCRYPTED = KEY.export_private_key("pkcs8-pem", PASSPHRASE).decode()
PUBLIC = KEY.export_public_key().decode()
CERTIFICATE = OTHER.generate_user_certificate(OTHER, "ann", principals=["ann"]).export_certificate().decode()


@pytest.fixture
async def files(bench: Bench) -> Bench:
    await bench.definitions.apply(load_text(DEFINITION, "files.yaml"))
    return bench


async def create(bench: Bench, **secrets: str) -> None:
    await bench.accounts.create("files", "files", {}, {"username": "ann", **secrets})


UNUSABLE = [
    ({"private_key": PUBLIC}, "this is a public key"),
    ({"private_key": ENCRYPTED}, "is encrypted; .*: --secret passphrase=env:VARIABLE$"),
    ({"private_key": ENCRYPTED, "passphrase": "another one"}, "the passphrase does not open the private key"),
    ({"private_key": "PuTTY-User-Key-File-3: ssh-ed25519"}, "in PuTTY's format; convert it"),
    ({"private_key": PLAIN, "certificate": CERTIFICATE}, "the certificate belongs to another key"),
]


@pytest.mark.parametrize(("secrets", "told"), UNUSABLE)
async def test_an_account_is_not_created_with_a_key_that_no_login_could_use(
    files: Bench, secrets: dict[str, str], told: str
) -> None:
    with pytest.raises(SecretError, match=told) as refused:
        await create(files, **secrets)
    assert not [value for value in secrets.values() if value in str(refused.value)]
    with pytest.raises(NotFound):
        await files.accounts.get("files")


async def test_a_key_that_its_passphrase_opens_is_saved(files: Bench) -> None:
    await create(files, private_key=ENCRYPTED, passphrase=PASSPHRASE)
    assert await files.accounts.secret_names(await files.accounts.get("files")) == [
        "passphrase",
        "private_key",
        "username",
    ]


@pytest.mark.parametrize(("secrets", "told"), UNUSABLE)
async def test_a_key_that_works_is_not_replaced_by_one_that_does_not(
    files: Bench, secrets: dict[str, str], told: str
) -> None:
    await create(files, private_key=PLAIN)
    with pytest.raises(SecretError, match=told):
        await files.accounts.set_secrets("files", secrets)
    assert (await files.accounts.get("files")).version == 1


async def test_what_is_replaced_is_tried_with_what_is_stored_already(files: Bench) -> None:
    await create(files, private_key=ENCRYPTED, passphrase=PASSPHRASE)
    with pytest.raises(SecretError, match="the passphrase does not open the private key"):
        await files.accounts.set_secrets("files", {"passphrase": "another one"})
    anew = OTHER.export_private_key("pkcs8-pem", PASSPHRASE).decode()
    assert (await files.accounts.set_secrets("files", {"private_key": anew})).version == 2


@pytest.mark.parametrize(("secrets", "told"), UNUSABLE)
async def test_no_key_that_no_login_could_use_is_shared_by_all_accounts(
    files: Bench, secrets: dict[str, str], told: str
) -> None:
    await files.accounts.set_integration_secrets("files", {"username": "ann", "private_key": PLAIN})
    with pytest.raises(SecretError, match=told):
        await files.accounts.set_integration_secrets("files", secrets)
    await create(files)
    credential = await files.resolver().resolve_account("files")
    assert credential.values["private_key"].reveal() == PLAIN


async def test_what_all_accounts_share_is_tried_with_what_they_share_already(files: Bench) -> None:
    await files.accounts.set_integration_secrets("files", {"private_key": ENCRYPTED, "passphrase": PASSPHRASE})
    with pytest.raises(SecretError, match="the passphrase does not open the private key"):
        await files.accounts.set_integration_secrets("files", {"passphrase": "another one"})
