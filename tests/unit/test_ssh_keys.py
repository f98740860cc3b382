"""Private keys: every kind that OpenSSH writes is read, or it is said plainly why not, and nothing of it is shown."""

import base64
import struct
from pathlib import Path

import asyncssh
import cryptography_vectors
import pytest
from asyncssh.asn1 import ObjectIdentifier, der_encode

from net.sftp_errors import SftpError
from net.ssh_keys import read_login_key

VECTORS = Path(cryptography_vectors.__file__).parent / "asymmetric"
OPENSSH = VECTORS / "OpenSSH"
PASSPHRASE = "password"


def _private_keys(folder: Path, pattern: str) -> list[str]:
    return sorted(
        str(path.relative_to(VECTORS))
        for path in folder.rglob(pattern)
        if path.is_file() and b"PRIVATE KEY" in path.read_bytes()
    )


OPENSSH_KEYS = _private_keys(OPENSSH, "*.key")
OTHER_KEYS = [name for name in _private_keys(VECTORS, "*.pem") if name not in OPENSSH_KEYS]
LOADED = {
    "ecdsa-nopsw.key": b"ecdsa-sha2-nistp256",
    "ecdsa-psw.key": b"ecdsa-sha2-nistp384",
    "ed25519-aesgcm-psw.key": b"ssh-ed25519",
    "ed25519-nopsw.key": b"ssh-ed25519",
    "ed25519-psw.key": b"ssh-ed25519",
    "rsa-nopsw.key": b"ssh-rsa",
    "rsa-psw.key": b"ssh-rsa",
}
REFUSED = {
    "dsa-nopsw.key": "DSA",
    "dsa-psw.key": "DSA",
    "sk-ecdsa-nopsw.key": "security key",
    "sk-ecdsa-psw.key": "security key",
    "sk-ed25519-nopsw.key": "security key",
    "sk-ed25519-psw.key": "security key",
}
ENCRYPTED = sorted(name for name in (*LOADED, *REFUSED) if "-psw" in name)


def _refusal(text: str, passphrase: str | None = None, certificate: str | None = None) -> str:
    with pytest.raises(SftpError) as refused:
        read_login_key(text, passphrase, certificate)
    assert refused.value.code == "bad_key"
    return str(refused.value)


def _field(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _pem(kind: str, body: bytes, headers: str = "") -> str:
    encoded = base64.encodebytes(body).decode()
    return f"-----BEGIN {kind} PRIVATE KEY-----\n{headers}{encoded}-----END {kind} PRIVATE KEY-----\n"


def _read_or_refusal(text: str) -> str:
    try:
        return read_login_key(text, PASSPHRASE, None).key.algorithm.decode()
    except SftpError as refused:
        return f"{refused.code}: {refused}"


def _vector(name: str) -> str:
    return (OPENSSH / name).read_text()


def test_every_openssh_key_of_the_vectors_is_spoken_for() -> None:
    names = {Path(name).name for name in OPENSSH_KEYS}

    assert names == LOADED.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", LOADED)
def test_an_openssh_key_is_read(name: str) -> None:
    login = read_login_key(_vector(name), PASSPHRASE, None)

    assert login.key.algorithm == LOADED[name]
    assert login.key.convert_to_public() == asyncssh.import_public_key(_vector(f"{name}.pub"))


@pytest.mark.parametrize("name", REFUSED)
def test_a_key_that_no_server_would_take_is_refused_with_the_reason(name: str) -> None:
    reason = _refusal(_vector(name), PASSPHRASE)

    assert REFUSED[name] in reason
    assert "ssh-keygen -t ed25519" in reason


@pytest.mark.parametrize("name", ENCRYPTED)
def test_an_encrypted_key_without_a_passphrase_asks_for_it(name: str) -> None:
    assert _refusal(_vector(name)) == "the private key is encrypted; store its passphrase with the account"


@pytest.mark.parametrize("name", ["ed25519-psw.key", "rsa-psw.key"])
def test_a_wrong_passphrase_is_called_that(name: str) -> None:
    assert _refusal(_vector(name), "not-it") == "the passphrase does not open the private key"


@pytest.mark.parametrize("name", OTHER_KEYS)
def test_a_key_of_another_program_is_read_or_refused_without_a_word_of_it(name: str) -> None:
    text = (VECTORS / name).read_text(encoding="utf-8", errors="replace")

    said = _read_or_refusal(text)

    assert not any(line in said for line in text.splitlines() if len(line) > 20)


@pytest.mark.parametrize("name", ["Ed25519/ed25519-pkcs8.pem", "EC/high-bit-set.pem", "PKCS8/unenc-rsa-pkcs8.pem"])
def test_a_pem_key_is_read(name: str) -> None:
    login = read_login_key((VECTORS / name).read_text(), None, None)

    assert login.key.algorithm in (b"ssh-ed25519", b"ecdsa-sha2-nistp256", b"ssh-rsa")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("   \n", "empty"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA me@here", "public key"),
        ("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----", "public key"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----", "public key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", "puttygen KEY.ppk -O private-openssh"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "X.509"),
        ("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nAAAA\n", "ssh.com"),
        ("hunter2", "no private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk", "cut off"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n!!!!\n-----END OPENSSH PRIVATE KEY-----", "damaged"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----", "damaged"),
        ("x" * 70_000, "is it the right file"),
    ],
)
def test_what_is_no_key_is_called_what_it_is(text: str, said: str) -> None:
    assert said in _refusal(text)


BUSY_OPENSSH = b"openssh-key-v1\0" + _field(b"aes256-ctr") + _field(b"bcrypt") + _field(_field(b"salt") + b"\xff" * 4)
PBES2, PBKDF2, AES, P12_DES3 = (
    ObjectIdentifier(name)
    for name in ("1.2.840.113549.1.5.13", "1.2.840.113549.1.5.12", "2.16.840.1.101.3.4.1.42", "1.2.840.113549.1.12.1.3")
)
HOURS = 2**31 - 1
BUSY_PBKDF2 = der_encode(((PBES2, ((PBKDF2, (b"saltsalt", HOURS)), (AES, b"0" * 16))), b"0" * 32))
BUSY_PKCS12 = der_encode(((P12_DES3, (b"saltsalt", HOURS)), b"0" * 32))


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("OPENSSH", BUSY_OPENSSH, "rounds of bcrypt"),
        ("ENCRYPTED", BUSY_PBKDF2, "more than 10,000,000 iterations"),
        ("ENCRYPTED", BUSY_PKCS12, "more than 10,000,000 iterations"),
    ],
    ids=["bcrypt", "PBKDF2", "PKCS12"],
)
@pytest.mark.parametrize(
    "before", ["", "Bag Attributes\n", "-----BEGIN EC PARAMETERS-----\nBgU=\n-----END EC PARAMETERS-----\n"]
)
def test_a_key_that_would_keep_a_worker_busy_for_hours_is_refused_unopened(
    kind: str, body: bytes, said: str, before: str
) -> None:
    assert said in _refusal(before + _pem(kind, body), PASSPHRASE)


@pytest.mark.parametrize(
    ("kind", "body"), [("OPENSSH", BUSY_OPENSSH), ("ENCRYPTED", BUSY_PBKDF2)], ids=["bcrypt", "PBKDF2"]
)
def test_nothing_that_another_reader_would_take_for_a_header_hides_what_a_key_asks_for(kind: str, body: bytes) -> None:
    modest = base64.b64encode(body.replace(b"\xff" * 4, b"\0\0\0\1").replace(b"\x7f\xff\xff\xff", b"\0\0\0\1")).decode()

    assert "damaged" in _refusal(_pem(kind, body, f"{modest}:\n"), PASSPHRASE)


def test_a_key_with_text_before_it_is_read() -> None:
    text = "a key of ours\n" + _vector("ed25519-psw.key")

    assert read_login_key(text, PASSPHRASE, None).key.algorithm == b"ssh-ed25519"


def test_line_ends_and_space_around_a_pasted_key_do_not_matter() -> None:
    pasted = "\n  " + _vector("ed25519-nopsw.key").replace("\n", "\r\n") + "\n\n"

    assert read_login_key(pasted, None, None).key.algorithm == b"ssh-ed25519"


def test_a_passphrase_that_the_key_does_not_need_does_no_harm() -> None:
    assert read_login_key(_vector("ed25519-nopsw.key"), "unneeded", None).key.algorithm == b"ssh-ed25519"


def test_a_certificate_goes_with_its_key() -> None:
    login = read_login_key(_vector("ed25519-nopsw.key"), None, _vector("ed25519-nopsw.key-cert.pub"))

    assert login.pair().has_cert


@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        ("rsa-nopsw.key-cert.pub", "another key"),
        ("ed25519-nopsw.key.pub", "-cert.pub"),
        ("ed25519-nopsw.key", "is a private key"),
    ],
)
def test_a_certificate_that_does_not_fit_is_called_that(certificate: str, said: str) -> None:
    assert said in _refusal(_vector("ed25519-nopsw.key"), None, _vector(certificate))
