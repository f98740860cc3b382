"""Private keys and certificates that accounts log in with: read them, or say in plain words why that cannot be done.

No message holds anything of a key: asyncssh's own name no material either, but are not relied on.
"""

import base64
import binascii
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import asyncssh
from asyncssh.asn1 import der_decode

from net.sftp_errors import SftpError

MAX_KEY_LENGTH = 64 * 1024
MAX_ROUNDS = 1024
"""Of bcrypt: 16 to 24 are usual and take a tenth of a second. A key must not keep a worker busy for hours."""
MAX_ITERATIONS = 10_000_000
"""Of what derives the key of PKCS#8: OpenSSL takes 2,048, careful people a million. These take seconds."""

_MAGIC = b"openssh-key-v1\0"
_BLOCK = re.compile(
    r"^-----BEGIN (?P<kind>[A-Z0-9 ]*?) ?PRIVATE KEY-----[ \t\r]*\n(?P<body>.*?)^-----END ", re.MULTILINE | re.DOTALL
)
_DAMAGED = "the private key is damaged: its lines do not decode"
_UNUSABLE = {
    b"ssh-dss": "DSA, which SSH servers no longer accept",
    b"sk-ssh-ed25519@openssh.com": "kept in a security key, which a person has to touch at every login",
    b"sk-ecdsa-sha2-nistp256@openssh.com": "kept in a security key, which a person has to touch at every login",
}
_ADVICE = "make one with `ssh-keygen -t ed25519`"
_WRONG = "the passphrase does not open the private key"
_CONVERT = "convert it with `puttygen KEY.ppk -O private-openssh -o KEY`"


@dataclass(frozen=True, slots=True, repr=False)
class LoginKey:
    """A private key, and the certificate that goes with it."""

    key: asyncssh.SSHKey
    certificate: asyncssh.SSHCertificate | None = None

    def pair(self) -> asyncssh.SSHKeyPair:
        """For one connection: asyncssh notes in it what the server can verify."""
        return asyncssh.load_keypairs([(self.key, self.certificate) if self.certificate else self.key])[0]


def read_login_key(text: str, passphrase: str | None, certificate: str | None) -> LoginKey:
    """The key of an account. Costs up to a tenth of a second when it is encrypted.

    Raises:
        SftpError: `bad_key`, with the reason.
    """
    login = LoginKey(_private_key(text.strip(), passphrase or None), _certificate((certificate or "").strip()))
    try:
        login.pair()
    except ValueError:
        raise _bad("the certificate belongs to another key than the account's private key") from None
    return login


def _private_key(text: str, passphrase: str | None) -> asyncssh.SSHKey:
    _look_like_a_key(text)
    text, encrypted = _only_block(text)
    if encrypted and passphrase is None:
        raise _bad("the private key is encrypted; store its passphrase with the account")
    try:
        key = asyncssh.import_private_key(text, passphrase if encrypted else None)
    except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as error:
        raise _bad(_reason(error, encrypted=encrypted)) from None
    except Exception:  # parsers of keys have more ways to fail than they document
        raise _bad(f"the private key is damaged or of a kind that cannot be used; {_ADVICE}") from None
    if key.algorithm in _UNUSABLE:
        raise _bad(f"the private key is {_UNUSABLE[key.algorithm]}; {_ADVICE}")
    return key


def _look_like_a_key(text: str) -> None:
    if not text:
        raise _bad("the private key is empty")
    if len(text) > MAX_KEY_LENGTH:
        raise _bad(f"the private key is longer than {MAX_KEY_LENGTH} characters; is it the right file?")
    if text.startswith("PuTTY-User-Key-File-"):
        raise _bad(f"the private key is in PuTTY's format; {_CONVERT}")
    if text.startswith(("ssh-", "ecdsa-", "sk-")) or "PUBLIC KEY-----" in text or "SSH2 PUBLIC KEY" in text:
        raise _bad("this is a public key; the account needs the private key that belongs to it (the file without .pub)")
    if "-----BEGIN CERTIFICATE" in text and "PRIVATE KEY-----" not in text:
        raise _bad("this is an X.509 certificate; the account needs an SSH private key")
    if "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----" in text:
        raise _bad("the private key is in the format of ssh.com; convert it with `ssh-keygen -i -f KEY`")
    if "-----BEGIN" not in text or "PRIVATE KEY-----" not in text:
        raise _bad("this is no private key; expected text that begins with -----BEGIN OPENSSH PRIVATE KEY-----")
    if "-----END" not in text:
        raise _bad("the private key is cut off: its last line is missing")


def _only_block(text: str) -> tuple[str, bool]:
    """The key's block, and whether it is encrypted. What bounds the work is read from the bytes that are opened then:
    there is more than one way to read a block with headers, or one that follows another."""
    found = _BLOCK.search(text)
    if found is None:
        raise _bad(_DAMAGED)
    kind, lines = found["kind"].strip(), found["body"]
    if kind not in ("OPENSSH", "ENCRYPTED"):
        return text[found.start() :] + "\n", "Proc-Type: 4,ENCRYPTED" in lines
    body = _decoded(lines)
    encrypted = _bound_openssh(body) if kind == "OPENSSH" else _bound_pkcs8(body)
    encoded = base64.encodebytes(body).decode()
    return f"-----BEGIN {kind} PRIVATE KEY-----\n{encoded}-----END {kind} PRIVATE KEY-----\n", encrypted


def _decoded(lines: str) -> bytes:
    try:
        return base64.b64decode("".join(lines.split()), validate=True)
    except (ValueError, binascii.Error):
        raise _bad(_DAMAGED) from None


def _bound_openssh(body: bytes) -> bool:
    """Whether it is encrypted. The header is cipher, key derivation and its options (PROTOCOL.key of OpenSSH)."""
    try:
        if not body.startswith(_MAGIC):
            raise ValueError
        fields, rest = [], body[len(_MAGIC) :]
        for _ in range(3):
            (length,) = struct.unpack_from(">I", rest)
            fields.append(rest[4 : 4 + length])
            rest = rest[4 + length :]
    except (ValueError, struct.error):
        raise _bad(_DAMAGED) from None
    cipher, derivation, options = fields
    if derivation == b"bcrypt" and int.from_bytes(options[-4:], "big") > MAX_ROUNDS:
        raise _bad(f"the private key asks for more than {MAX_ROUNDS} rounds of bcrypt; encrypt it with fewer")
    return cipher != b"none"


def _bound_pkcs8(body: bytes) -> bool:
    """All numbers that say how the key is derived: iterations, and lengths that are small (RFC 8018, appendix A)."""
    try:
        algorithm, _ = cast("tuple[object, object]", der_decode(body))
    except Exception:  # whatever it is, it is no PKCS#8
        raise _bad(_DAMAGED) from None
    if max(_numbers(algorithm), default=0) > MAX_ITERATIONS:
        asked = f"the private key asks for more than {MAX_ITERATIONS:,} iterations to open it"
        raise _bad(f"{asked}; encrypt it with fewer")
    return True


def _numbers(value: object) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _numbers(each)


def _reason(error: Exception, *, encrypted: bool) -> str:
    text = str(error)
    if "Unknown OpenSSH private key algorithm" in text or "Unknown key algorithm" in text:
        return f"the private key is of a type that cannot be used; {_ADVICE}"
    if "PKCS#8 algorithm" in text or "Unknown PEM key type" in text:
        return f"the private key is of a type that SSH does not know; {_ADVICE}"
    if "cipher" in text or "kdf" in text or "algorithm" in text or "function" in text:
        return "the private key is encrypted in a way that cannot be read; encrypt it anew with `ssh-keygen -p`"
    if encrypted and text.startswith("Unable to decrypt"):
        return f"{_WRONG}, or it is encrypted in a way that cannot be read; `ssh-keygen -p -f KEY` encrypts it anew"
    if encrypted:
        return _WRONG
    return f"the private key is damaged or of a kind that cannot be used; {_ADVICE}"


def _certificate(text: str) -> asyncssh.SSHCertificate | None:
    if not text:
        return None
    if "PRIVATE KEY" in text:
        raise _bad("the certificate is a private key; expected the file that ends in -cert.pub")
    try:
        certificate = asyncssh.import_certificate(text)
    except ValueError:
        raise _bad("the certificate cannot be read; expected the file that ends in -cert.pub") from None
    if certificate.is_x509:
        raise _bad("the certificate is an X.509 certificate; expected an OpenSSH user certificate")
    return certificate


def _bad(reason: str) -> SftpError:
    return SftpError("bad_key", reason)
