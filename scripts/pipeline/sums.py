"""SHA-256 sums of files, and lists of them as ``sha256sum`` prints them."""

import hashlib
import os
import re
from pathlib import Path, PurePosixPath

SUMS = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


class SumsError(ValueError):
    """What keeps a list of sums from being read, as one sentence with the mend."""


def sha256(path):
    """The SHA-256 sum of a file of any size, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums_text(sums):
    """{path: digest} as ``sha256sum`` prints it, sorted by path."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items()))


def read_sums(path=SUMS):
    """{path: digest} of a file in the format of ``sha256sum`` whose paths lie below this folder. Raises SumsError."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        raise SumsError(f"{path} cannot be read ({fault}); it lies in an unpacked archive, unzip it again.") from None
    matches = [LINE.fullmatch(line) for line in lines]
    if None in matches or not matches:
        raise SumsError(f"{path} holds no sums, or more than them; unzip it again.")
    sums = {match[2]: match[1] for match in matches}
    for name in sums:
        if not lies_inside(name):
            raise SumsError(f"{path} names {name!r}, which lies outside this folder; do not use this archive.")
    return sums


def lies_inside(name):
    """Whether a path, as it is written, is relative and leads nowhere but down."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and name == "/".join(parts)


def mismatches(sums):
    """{path: "missing" or "differs"} of the files that are not what the sums say."""
    return {
        path: "differs" if os.path.isfile(path) else "missing"
        for path, digest in sums.items()
        if not os.path.isfile(path) or sha256(path) != digest
    }
