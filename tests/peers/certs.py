"""Certificates for tests, good and bad ones, made when they are needed."""

import base64
import datetime
import hashlib
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
DAY = datetime.timedelta(days=1)

KEYS = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
}


def name_of(common_name, organization=None):
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Pair:
    """A certificate with its key, and the files that hold them: `cert` also has the chain."""

    def __init__(self, folder, file, certificate, key, chain=()):
        self.certificate, self.key = certificate, key
        self.cert_file = folder / f"{file}.pem"
        self.key_file = folder / f"{file}.key"
        pem = [each.public_bytes(serialization.Encoding.PEM) for each in (certificate, *chain)]
        self.cert_file.write_bytes(b"".join(pem))
        form = serialization.PrivateFormat.PKCS8
        self.key_file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        )

    @property
    def pin(self):
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        der = self.key.public_key().public_bytes(serialization.Encoding.DER, form)
        return "sha256/" + base64.b64encode(hashlib.sha256(der).digest()).decode()


class Authority(Pair):
    """A CA; `by` None: a root."""

    def __init__(self, folder, name="Test CA", by=None, **dates):
        self.folder = folder
        key = KEYS["p256"]()
        builder = started(name_of(name), by.certificate.subject if by else name_of(name), key, **dates)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        certificate = builder.sign(by.key if by else key, hashes.SHA256())
        self.chain = [certificate, *by.chain] if by else []
        super().__init__(folder, name.lower().replace(" ", "-"), certificate, key)

    def issue(self, file, names=("localhost", "127.0.0.1"), subject=None, kind="p256", use="server", **dates):
        key = KEYS[kind]()
        builder = started(subject or name_of(names[0] if names else file), self.certificate.subject, key, **dates)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([alternative(name) for name in names]), critical=False
            )
        usage = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}[use]
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return Pair(self.folder, file, builder.sign(self.key, hashes.SHA256()), key, self.chain)


def started(subject, issuer, key, not_before=NOW - DAY, not_after=NOW + 365 * DAY):
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )


def self_signed(folder, file, names=("localhost", "127.0.0.1"), ca=True, **dates):
    """As `openssl req -x509` makes them: its own issuer, and with CA:TRUE."""
    key = KEYS["p256"]()
    name = name_of(names[0])
    builder = started(name, name, key, **dates)
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([alternative(each) for each in names]), critical=False
    )
    return Pair(folder, file, builder.sign(key, hashes.SHA256()), key)
