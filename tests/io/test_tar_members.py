"""Headers of tar members: those that Python's own module makes, whatever the name and the size."""

from __future__ import annotations

import random
import string
import tarfile

import pytest

from earthsynth_factory.io.tar_members import MAX_MEMBER, header, parse_header

SIGNS = string.ascii_letters + string.digits + "._-/ "


@pytest.mark.parametrize("seed", range(50))
def test_a_header_is_that_of_tarfile_and_is_read_back(seed: int) -> None:
    chance = random.Random(seed)
    name = "".join(chance.choices(SIGNS, k=chance.randint(1, 99))) + "x"
    size = chance.choice([0, 1, 511, 512, MAX_MEMBER, chance.randint(0, MAX_MEMBER)])
    theirs = tarfile.TarInfo(name)
    theirs.size = size
    assert header(name, size) == theirs.tobuf(tarfile.USTAR_FORMAT)
    assert parse_header(header(name, size)) == (name, size)


@pytest.mark.parametrize(("name", "size"), [("", 1), ("x" * 101, 1), ("ü.png", 1), ("a", -1), ("a", MAX_MEMBER + 1)])
def test_what_no_header_of_ours_can_say_is_refused(name: str, size: int) -> None:
    with pytest.raises(ValueError):
        header(name, size)


@pytest.mark.parametrize("place", [0, 99, 100, 124, 134, 148, 156, 157, 257, 329, 511])
def test_one_other_byte_makes_it_none_of_ours(place: int) -> None:
    block = bytearray(header("0000000.png", 77))
    block[place] ^= 0x80
    assert parse_header(bytes(block)) is None


@pytest.mark.parametrize("block", [b"", b"\0" * 512, b"\xff" * 512, b" " * 512, b"0" * 511])
def test_blocks_that_are_no_headers(block: bytes) -> None:
    assert parse_header(block) is None
