"""Content credentials with a certificate made for the test: every marked image is signed, a changed one is found out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from earthsynth_factory.build.doctor import image_checks
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.errors import InputError
from earthsynth_factory.exports.coco import CocoSpec
from earthsynth_factory.exports.signing import sign_folder
from earthsynth_factory.io.credentials import SigningKey, credentials_of, open_key
from earthsynth_factory.io.provenance import DigitalSource, source_type_of
from tests.exports.stores import hashes, write
from tests.making import make_store

pytest.importorskip("c2pa", reason="needs the extra `c2pa`")


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A chain of two certificates, and the first one's key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now = datetime.now(UTC)

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, text)])

    def certificate(key: ec.EllipticCurvePrivateKey, text: str, authority: bool) -> bytes:
        public = key.public_key()
        usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                               "encipher_only", "decipher_only"), False)  # fmt: skip
        built = (
            x509.CertificateBuilder()
            .subject_name(name(text))
            .issuer_name(name("Test authority"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(authority, None), True)
            .add_extension(x509.KeyUsage(not authority, key_cert_sign=authority, crl_sign=authority, **usage), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), False)
        )
        if not authority:
            built = built.add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        return built.sign(root, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    folder = tmp_path_factory.mktemp("keys")
    (folder / "chain.pem").write_bytes(
        certificate(own, "Makers of images", False) + certificate(root, "Test authority", True)
    )
    (folder / "root.pem").write_bytes(certificate(root, "Test authority", True))
    for file, key in (("key.pem", own), ("root-key.pem", root)):
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / file).write_bytes(secret)
    return folder / "chain.pem", folder / "key.pem"


@pytest.fixture
def key(pem: tuple[Path, Path]) -> SigningKey:
    return open_key(*pem)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """COCO with images that say that a model made them."""
    from earthsynth_factory.io.provenance import marked

    store = BuildReader(make_store(tmp_path / "store"))
    for record in store.samples():
        path = store.image_file(record).path
        path.write_bytes(marked(path.read_bytes(), DigitalSource.GENERATED))
    write(store, tmp_path / "out", CocoSpec())
    return tmp_path / "out" / "coco"


def test_every_generated_image_is_signed_and_nothing_else_differs(
    tmp_path: Path, export: Path, key: SigningKey
) -> None:
    before = hashes(export)
    images = [path for path in export.rglob("*.png") if source_type_of(path)]
    found = sign_folder(export, tmp_path / "signed", key)
    assert found.signed == len(images) > 0 and hashes(export) == before
    for path in (one for one in export.rglob("*") if one.is_file()):
        copy = tmp_path / "signed" / path.relative_to(export)
        if path not in images:
            assert copy.read_bytes() == path.read_bytes()
            continue
        assert source_type_of(copy) == DigitalSource.GENERATED
        credentials = credentials_of(copy)
        assert credentials and (credentials.state, credentials.signer) == ("Valid", "Makers of images")
        assert _pixels(copy) == _pixels(path)
    assert "Makers of images" in image_checks(copy_of(images[0], export, tmp_path))[1].found


def copy_of(path: Path, export: Path, tmp_path: Path) -> Path:
    return tmp_path / "signed" / path.relative_to(export)


def _pixels(path: Path) -> bytes:
    import PIL.Image

    return PIL.Image.open(path).tobytes()


def test_a_changed_image_is_found_out(tmp_path: Path, export: Path, key: SigningKey) -> None:
    sign_folder(export, tmp_path / "signed", key)
    path = next(one for one in (tmp_path / "signed").rglob("*.png") if source_type_of(one))
    data = bytearray(path.read_bytes())
    data[-30] ^= 1
    path.write_bytes(data)
    credentials = credentials_of(path)
    assert credentials and credentials.state == "Invalid"
    check = image_checks(path)[1]
    assert not check.ok and "changed since" in check.found
    unsigned = next(one for one in export.rglob("*.png") if source_type_of(one))
    assert credentials_of(unsigned) is None and image_checks(unsigned)[1].found == "none"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, k: (k, k), "no certificates in PEM"),
        (lambda c, k: (c, c), "no private key in PEM"),
        (lambda c, k: (c.with_name("no.pem"), k), "cannot be read"),
        (lambda c, k: (c, c.with_name("root-key.pem")), "is not the key of the first certificate"),
        (lambda c, k: (c.with_name("root.pem"), c.with_name("root-key.pem")), "vouches for itself"),
    ],
)
def test_wrong_keys_are_named(
    pem: tuple[Path, Path], change: Callable[[Path, Path], tuple[Path, Path]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        open_key(*change(*pem))


def test_a_time_stamp_that_is_not_to_be_had_is_named(tmp_path: Path, export: Path, pem: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="no address of a time stamp authority"):
        open_key(*pem, "ftp://stamps")
    key = open_key(*pem, "http://127.0.0.1:9/stamps")  # nobody listens there
    with pytest.raises(InputError, match=r"no time stamp from http://127\.0\.0\.1:9/stamps .* without --timestamp"):
        sign_folder(export, tmp_path / "signed", key)
    assert not (tmp_path / "signed").exists()


def test_builds_and_folders_that_are_there_are_refused(tmp_path: Path, export: Path, key: SigningKey) -> None:
    with pytest.raises(InputError, match="sign an export of it"):
        sign_folder(tmp_path / "store", tmp_path / "signed", key)
    with pytest.raises(InputError, match="is there already"):
        sign_folder(export, tmp_path / "store", key)
    with pytest.raises(InputError, match="no such folder"):
        sign_folder(tmp_path / "nowhere", tmp_path / "signed", key)
    (export / "link.png").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="a link"):
        sign_folder(export, tmp_path / "signed", key)
    assert not (tmp_path / "signed").exists()
