"""Content credentials: a signed statement inside an image of how it came to be, which no longer holds once its bytes change.

C2PA's specification 2.x, by c2pa-python (extra `c2pa`). Nothing is fetched while an image is looked at.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earthsynth_factory import __version__
from earthsynth_factory.errors import InputError
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.bounded import read_bounded
from earthsynth_factory.io.provenance import VOCABULARY

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MAX_PEM = 1 << 20
"""Bytes of a certificate's or a key's file."""

LOOKED_AT = 1 << 20
"""Bytes of an image in which credentials begin, if it has them."""

TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
"""Images that can be signed, by the ends of their names."""

_SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},  # it would weigh more than a small image itself
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """certificates: PEM, the signer's own first, then those that vouch for it. key: PEM. algorithm: C2PA's name of it.

    authority: address of a time stamp authority (RFC 3161), which is asked for each image; None for no time stamp.
    """

    certificates: bytes
    key: bytes
    algorithm: str
    authority: str | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an image's statement says. state: `Valid` (whole), `Trusted` (and by a signer that the library trusts), `Invalid`.

    signer: the organisation in the certificate, or its name; None if it has neither.
    """

    state: str
    signer: str | None


def open_key(certificates: Path, key: Path, authority: str | None = None) -> SigningKey:
    """Raises InputError if a file is none of those asked for, the two do not belong together, the authority's address is not
    one, or the library is missing.
    """
    _library()
    if authority is not None and not authority.startswith(("http://", "https://")):
        raise InputError(f"{authority}: no address of a time stamp authority; it begins with http:// or https://")
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificates

    chain, secret = _read(certificates), _read(key)
    try:
        found = load_pem_x509_certificates(chain)
    except ValueError as error:
        raise InputError(
            f"{certificates}: no certificates in PEM ({error}); give the chain, the signer's own first"
        ) from error
    try:
        opened = load_pem_private_key(secret, password=None)
    except (ValueError, TypeError) as error:
        raise InputError(f"{key}: no private key in PEM without a password ({error})") from error
    if opened.public_key() != found[0].public_key():
        raise InputError(f"{key}: is not the key of the first certificate in {certificates}")
    _check_chain(certificates, found)
    return SigningKey(chain, secret, _algorithm(opened, key), authority)


def sign_image(source: Path, target: Path, made: str, key: SigningKey) -> None:
    """A signed copy of an image. made: IPTC's term for how it came to be. Raises InputError if it cannot be signed."""
    c2pa = _library()
    action = {"action": "c2pa.created", "digitalSourceType": VOCABULARY + made}
    manifest = {
        "title": source.name,
        "claim_generator_info": [{"name": "earthsynth-factory", "version": __version__}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }
    try:
        about = c2pa.C2paSignerInfo(key.algorithm, key.certificates, key.key, key.authority)
        with c2pa.Signer.from_info(about) as signer, c2pa.Builder(manifest, _context(c2pa)) as builder:
            signed = io.BytesIO()
            with source.open("rb") as given:
                builder.sign(signer, TYPES[source.suffix.lower()], given, signed)
    except c2pa.C2paError as error:
        if key.authority and "http" in str(error):
            raise InputError(
                f"{source}: no time stamp from {key.authority} ({error}); check the address and the network, or sign without "
                "--timestamp"
            ) from error
        raise InputError(
            f"{source}: cannot be signed ({error}); is the certificate one for signing content?"
        ) from error
    write_bytes(target, signed.getvalue(), durable=False)


def credentials_of(path: Path) -> Credentials | None:
    """Those of a PNG or JPEG file; None if it has none. Raises InputError if they cannot be looked at."""
    c2pa = _library()
    try:
        with path.open("rb") as file, c2pa.Reader(TYPES[path.suffix.lower()], file, context=_context(c2pa)) as reader:
            about = (reader.get_active_manifest() or {}).get("signature_info", {})
            return Credentials(str(reader.get_validation_state()), about.get("issuer") or about.get("common_name"))
    except c2pa.C2paError as error:
        if "ManifestNotFound" in f"{type(error).__name__} {error}":
            return None
        raise InputError(f"{path}: its content credentials cannot be read ({error})") from error


def seem_there(path: Path) -> bool:
    """Whether a file seems to hold credentials, to one who has no library for them. Raises OSError."""
    with path.open("rb") as file:
        start = file.read(LOOKED_AT)
    return any(label in start for label in (b"jumbc2pa", b"jumdc2pa"))


def _library() -> Any:
    try:
        import c2pa
    except ImportError:
        raise InputError("content credentials need c2pa-python; pip install 'earthsynth-factory[c2pa]'") from None
    return c2pa


def _context(c2pa: Any) -> Any:
    return c2pa.Context(c2pa.Settings.from_dict(_SETTINGS))


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, MAX_PEM)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _check_chain(path: Path, chain: Sequence[Certificate]) -> None:
    """C2PA allows no certificate that vouches for itself alone, and none that is out of date."""
    from datetime import UTC, datetime

    own = chain[0]
    if own.issuer == own.subject:
        raise InputError(f"{path}: the first certificate vouches for itself; C2PA wants one that an authority gave")
    if not own.not_valid_before_utc <= datetime.now(UTC) <= own.not_valid_after_utc:
        raise InputError(
            f"{path}: valid from {own.not_valid_before_utc:%Y-%m-%d} to {own.not_valid_after_utc:%Y-%m-%d} only"
        )


def _algorithm(key: Any, path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return "ps256"
    raise InputError(f"{path}: C2PA signs with P-256, P-384, P-521, Ed25519, or RSA of 2,048 bits and more")
