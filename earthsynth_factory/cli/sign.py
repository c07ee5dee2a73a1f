"""`sign FOLDER --out SIGNED`: content credentials for the images of an export, with a key of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earthsynth_factory.cli.say import say


def sign(
    folder: Annotated[Path, typer.Argument(help="An export, or any folder with images that say how they were made.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder, with the same files.")],
    certificate: Annotated[Path, typer.Option(help="PEM: the certificate of the key, then those that vouch for it.")],
    key: Annotated[Path, typer.Option(help="PEM: the private key, without a password.")],
    timestamp: Annotated[
        str | None, typer.Option(help="Address of a time stamp authority, asked once for each image.")
    ] = None,
) -> None:
    """Copy an export with every generated image signed (C2PA). Signing is not repeatable to the byte, so the export stays."""
    from earthsynth_factory.exports.signing import sign_folder
    from earthsynth_factory.io.credentials import open_key

    found = sign_folder(folder, out, open_key(certificate, key, timestamp))
    say(f"{out}: images signed: {found.signed}; other files, taken over as they are: {found.taken_over}")
    if found.packed:
        say(
            f"{found.packed} of them are archives: images inside are not signed; sign the images before they are packed"
        )
    if not found.signed:
        say("no image in it says that a program made it, so there was nothing to sign")
