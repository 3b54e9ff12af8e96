"""A certificate authority, a server's certificate and a client's, as PEM text."""

import datetime
import ipaddress
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@dataclass(frozen=True)
class Pair:
    key: str
    certificate: str


@dataclass(frozen=True)
class Authority:
    certificate: str
    server: Pair
    client: Pair


def _pem(key: Any) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _sign(name: str, key: Any, *, issuer: str, issuer_key: Any, authority: bool) -> str:
    now = datetime.datetime.now(datetime.UTC)
    names = {who: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, who)])
             for who in (name, issuer)}  # fmt: skip
    addresses = [x509.DNSName('localhost'), x509.IPAddress(ipaddress.ip_address('127.0.0.1'))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(names[name])
        .issuer_name(names[issuer])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


def make_authority() -> Authority:
    """Makes new keys and certificates for 127.0.0.1, valid today."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    names = ['authority', 'server', 'client']
    certificates = [
        _sign(name, key, issuer='authority', issuer_key=keys[0], authority=name == 'authority')
        for name, key in zip(names, keys, strict=True)
    ]
    _, server, client = (
        Pair(_pem(key), text) for key, text in zip(keys, certificates, strict=True)
    )
    return Authority(certificates[0], server, client)
