"""Certificates of a private authority, or of nobody, and a TLS listener that writes down what it is told."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = ("127.0.0.1", "localhost")
DAY = dt.timedelta(days=1)


class Certificate(NamedTuple):
    """A server's certificate and its key, as files."""

    certificate: Path
    key: Path

    @property
    def settings(self) -> dict[str, str | int | bool]:
        """The settings of influxd that use it."""
        return {
            "http.https-enabled": True,
            "http.https-certificate": str(self.certificate),
            "http.https-private-key": str(self.key),
        }


class Authority:
    """Signs certificates; `certificate` is the file that a client has to trust.

    Without `key_usage` it is one of the kind that Python before 3.13 takes, and later versions refuse.
    """

    def __init__(self, directory: Path, name: str = "authority", *, key_usage: bool = True) -> None:
        self._directory = directory
        self._name = _common_name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(self._name, self._key.public_key(), 2)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        if key_usage:
            builder = builder.add_extension(_signing(), critical=True)
        signed = builder.issuer_name(self._name).sign(self._key, hashes.SHA256())
        self.certificate = _write(directory / f"{name}.pem", signed)

    def issue(self, name: str, *, hosts: Sequence[str] = HERE, days: int = 2) -> Certificate:
        """A certificate for these hosts; one of -1 days has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_common_name(name), key.public_key(), days).add_extension(_names(hosts), critical=False)
        known = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(known, critical=False)
        signed = builder.issuer_name(self._name).sign(self._key, hashes.SHA256())
        return Certificate(_write(self._directory / f"{name}.pem", signed), _write_key(self._directory, name, key))


def self_signed(directory: Path, name: str = "certificate") -> Certificate:
    """A certificate for 127.0.0.1 and localhost that nobody else has signed: `ca_file` can name it itself."""
    subject, key = _common_name("localhost"), ec.generate_private_key(ec.SECP256R1())
    builder = _builder(subject, key.public_key(), 2).add_extension(_names(HERE), critical=False)
    signed = builder.issuer_name(subject).sign(key, hashes.SHA256())
    return Certificate(_write(directory / f"{name}.pem", signed), _write_key(directory, name, key))


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    """What all have in common: valid since long ago, for so many days from now on."""
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(subject_name=subject, public_key=key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    return builder.not_valid_before(now - 10 * DAY).not_valid_after(now + days * DAY)


def _names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_host(host) for host in hosts])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _signing() -> x509.KeyUsage:
    """The key may sign certificates, and nothing else."""
    others = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    no = dict.fromkeys((*others, "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(**no, key_cert_sign=True, crl_sign=True)


def _write(path: Path, certificate: x509.Certificate) -> Path:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


def _write_key(directory: Path, name: str, key: ec.EllipticCurvePrivateKey) -> Path:
    path = directory / f"{name}.key"
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    return path


class TlsListener:
    """A server that only listens: `received` is what came through TLS, `connections` how many came at all."""

    def __init__(self, certificate: Certificate) -> None:
        self.received = b""
        self.connections = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> TlsListener:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _listen(self) -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    with self._context.wrap_socket(connection, server_side=True) as secured:
                        while piece := secured.recv(1 << 16):
                            self.received += piece
