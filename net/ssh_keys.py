"""Private keys and certificates that accounts log in with: read them, or say in plain words why that cannot be done.

No message holds anything of a key: asyncssh's own name no material either, but are not relied on.
"""

import base64
import binascii
import struct
from dataclasses import dataclass

import asyncssh

from net.sftp_errors import SftpError

MAX_KEY_LENGTH = 64 * 1024
MAX_ROUNDS = 1024
"""Of bcrypt: 16 to 24 are usual and take a tenth of a second. A key must not keep a worker busy for hours."""

_MAGIC = b"openssh-key-v1\0"
_OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----"
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
    _bound_the_work(text)
    encrypted = _is_encrypted(text)
    if encrypted and passphrase is None:
        raise _bad("the private key is encrypted; store its passphrase with the account")
    try:
        key = asyncssh.import_private_key(text + "\n", passphrase if encrypted else None)
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


def _is_encrypted(text: str) -> bool:
    if text.startswith(_OPENSSH):
        cipher, _, _ = _openssh_header(text)
        return cipher != b"none"
    return "-----BEGIN ENCRYPTED PRIVATE KEY-----" in text or "Proc-Type: 4,ENCRYPTED" in text


def _bound_the_work(text: str) -> None:
    if text.startswith(_OPENSSH):
        _, kdf, options = _openssh_header(text)
        if kdf == b"bcrypt" and _rounds(options) > MAX_ROUNDS:
            raise _bad(f"the private key asks for more than {MAX_ROUNDS} rounds of bcrypt; encrypt it with fewer")


def _openssh_header(text: str) -> tuple[bytes, bytes, bytes]:
    """Cipher, key derivation and its options (PROTOCOL.key of OpenSSH)."""
    try:
        body = base64.b64decode("".join(text.partition("-----END")[0].splitlines()[1:]))
        if not body.startswith(_MAGIC):
            raise ValueError
        fields, rest = [], body[len(_MAGIC) :]
        for _ in range(3):
            (length,) = struct.unpack_from(">I", rest)
            fields.append(rest[4 : 4 + length])
            rest = rest[4 + length :]
    except (ValueError, binascii.Error, struct.error):
        raise _bad("the private key is damaged: its lines do not decode") from None
    return fields[0], fields[1], fields[2]


def _rounds(options: bytes) -> int:
    return int.from_bytes(options[-4:], "big")


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
