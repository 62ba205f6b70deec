"""Certificates and passwords of a cluster, as files of its clients: what an administrator hands out, and what is wrong."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

USER = "monitor"


def pkcs8(pem: bytes, encryption: KeySerializationEncryption) -> bytes:
    """A private key in the one form that Kafka takes."""
    return load_pem_private_key(pem, None).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@dataclass
class Keys:
    """All of them below one directory. `secret` is what no output may hold."""

    home: Path
    password: str = field(default_factory=lambda: f"pass-{secrets.token_hex(8)}")
    key_password: str = field(default_factory=lambda: f"key-{secrets.token_hex(8)}")

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        authority, stranger = trustme.CA(), trustme.CA()
        server = authority.issue_cert("127.0.0.1", "localhost")
        client, other = authority.issue_cert("trainer@example.org"), stranger.issue_cert("trainer@example.org")
        self.server = self._write(
            "server.pem", pkcs8(server.private_key_pem.bytes(), NoEncryption()), *(pem.bytes() for pem in server.cert_chain_pems)
        )
        self.ca = self._write("ca.pem", authority.cert_pem.bytes())
        self.wrong_ca = self._write("wrong-ca.pem", stranger.cert_pem.bytes())
        self.certificate = self._write("client.pem", *(pem.bytes() for pem in client.cert_chain_pems))
        self.wrong_certificate = self._write("stranger.pem", *(pem.bytes() for pem in other.cert_chain_pems))
        self.wrong_key = self._write("stranger.key", other.private_key_pem.bytes())
        self.key = self._write("client.key", client.private_key_pem.bytes())
        locked = BestAvailableEncryption(self.key_password.encode())
        self.locked_key = self._write("locked.key", pkcs8(client.private_key_pem.bytes(), locked))
        self.password_file = self._write("password", f"{self.password}\n".encode())
        self.wrong_password_file = self._write("wrong-password", b"guess-1234567890\n")
        self.key_password_file = self._write("key-password", self.key_password.encode())
        self.empty_file = self._write("empty", b"\n")

    def _write(self, name: str, *pieces: bytes) -> Path:
        file = self.home / name
        file.write_bytes(b"".join(pieces))
        file.chmod(0o600)
        return file

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no output may hold."""
        return (self.password, self.key_password, "guess-1234567890")
