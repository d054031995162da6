"""A private certificate authority, and a TLS listener that writes down what it is told."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tests.support.servers import openssl

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
HERE = "IP:127.0.0.1,DNS:localhost"


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
    """Signs certificates; `certificate` is the file that a client has to trust."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self.certificate, self._key = directory / f"{name}.pem", directory / f"{name}.key"
        arguments = ("-subj", f"/CN={name}", "-days", "2", "-keyout", self._key, "-out", self.certificate)
        openssl("req", "-x509", *NEW_KEY, *arguments)

    def issue(self, name: str, *, hosts: str = HERE, days: int = 2) -> Certificate:
        """A certificate for these hosts; one of -1 days has expired."""
        request, signed, key = (self._directory / f"{name}.{suffix}" for suffix in ("csr", "pem", "key"))
        subject = ("-subj", f"/CN={name}", "-addext", f"subjectAltName={hosts}")
        openssl("req", *NEW_KEY, *subject, "-keyout", key, "-out", request)
        signer = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial")
        lifetime = ("-days", str(days), "-copy_extensions", "copyall")
        openssl("x509", "-req", "-in", request, *signer, *lifetime, "-out", signed)
        return Certificate(signed, key)


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
