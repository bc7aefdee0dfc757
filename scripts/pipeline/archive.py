"""The archive: the files and jobs that belong to it, their SHA-256 sums, and a zip that is the same anywhere."""

import base64
import datetime
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path
from typing import NamedTuple

RECORDS = Path(".snakemake/metadata")
MARKS = Path(".snakemake/incomplete")  # names the outputs of jobs at work
SUMS = "SHA256SUMS"
CRATE = "ro-crate-metadata.json"
EARLIEST, LATEST = datetime.date(1980, 1, 1), datetime.date(2107, 12, 31)  # what a zip can say
LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


class Job(NamedTuple):
    """What Snakemake recorded of one job."""

    name: str  # its log's
    rule: str
    inputs: list
    outputs: list
    log: str
    start: float
    end: float


class ArchiveError(ValueError):
    """What keeps an archive from being made or read, as one sentence with the mend."""


def source_files():
    """The project's own files, sorted: what git tracks or, in an unpacked archive, what its sums name.

    Raises ArchiveError if neither can be told, or a file is not there.
    """
    names = _tracked() if Path(".git").exists() else _unpacked()
    missing = [name for name in names if not os.path.isfile(name)]
    if missing:
        raise ArchiveError(f"{_some(missing)} not there; restore the sources (git restore, or unzip again).")
    return names


def unadopted():
    """Whether results of an archive lie here of which Snakemake has no record: it would believe whatever lies here."""
    known = (folder.is_dir() and any(folder.iterdir()) for folder in (RECORDS, MARKS))
    if not os.path.exists(SUMS) or any(known):
        return False
    return any(os.path.exists(path) for path in read_sums() if re.match("results/(?!logs/)", path))


def recorded_jobs(outputs):
    """The jobs that made these files, from Snakemake's records, in the files' order. Raises ArchiveError.

    Behind them come those that made the temporary results that these were made from.
    """
    jobs, waiting = {}, list(dict.fromkeys(outputs))
    for path in waiting:
        made = _recorded_job(path)
        job = jobs.setdefault(made.log, made)
        job.outputs.append(path)
        waiting += [path for path in job.inputs if path.startswith("results/") and path not in waiting]
    return list(jobs.values())


def _recorded_job(path):
    """The job that made a file, without its outputs. Raises ArchiveError."""
    record = RECORDS / base64.urlsafe_b64encode(path.encode()).decode()
    try:
        told = json.loads(record.read_text(encoding="utf-8"))
        return Job(
            name=Path(told["log"][0]).stem,
            rule=told["rule"],
            inputs=list(dict.fromkeys(told["input"])),
            outputs=[],
            log=told["log"][0],
            start=told["starttime"],
            end=told["endtime"],
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        raise ArchiveError(
            f"{path}: Snakemake has no record of how it was made; delete the file and make the archive again."
        ) from None


def sha256(path):
    """The SHA-256 sum of a file of any size, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums_text(sums):
    """{path: digest} as ``sha256sum`` prints it, sorted by path."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items()))


def read_sums(path=SUMS):
    """{path: digest} of a file in the format of ``sha256sum``. Raises ArchiveError if it is no such file."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        raise ArchiveError(
            f"{path} cannot be read ({fault}); it lies in an unpacked archive, unzip it again."
        ) from None
    matches = [LINE.fullmatch(line) for line in lines]
    if None in matches or not matches:
        raise ArchiveError(f"{path} holds no sums, or more than them; unzip it again.")
    return {match[2]: match[1] for match in matches}


def mismatches(sums):
    """{path: "missing" or "differs"} of the files that are not what the sums say."""
    return {
        path: "differs" if os.path.isfile(path) else "missing"
        for path, digest in sums.items()
        if not os.path.isfile(path) or sha256(path) != digest
    }


def write_zip(path, results, sources, texts, date):
    """Write the archive: members sorted and stored, modes and times fixed.

    results, sources: paths of files, which are their names too; texts: {name: text}; date: of the results, YYYY-MM-DD.
    The sources are a day older, so that nothing seems newer than what it rests on after any unzipper that sets times.
    """
    day = min(max(datetime.date.fromisoformat(date), EARLIEST + datetime.timedelta(days=1)), LATEST)
    days = dict.fromkeys(sources, day - datetime.timedelta(days=1)) | dict.fromkeys([*results, *texts], day)
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(days):
            member = zipfile.ZipInfo(name, (*days[name].timetuple()[:3], 0, 0, 0))
            member.create_system = 3  # Unix, wherever it is written; stored, for zlib's builds deflate differently
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            if name in texts:
                archive.writestr(member, texts[name])
                continue
            member.file_size = os.path.getsize(name)  # tells whether the member needs the large format
            with open(name, "rb") as file, archive.open(member, "w") as copy:
                shutil.copyfileobj(file, copy)


def _tracked():
    try:
        done = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ArchiveError("The archive holds what git tracks, and there is no program git; install it.") from None
    if done.returncode:
        raise ArchiveError(f"git cannot list the sources ({' '.join(done.stderr.split())}); mend that first.")
    return sorted(filter(None, done.stdout.split("\0")))


def _unpacked():
    if not Path(SUMS).exists():
        raise ArchiveError(
            f"Here is neither .git nor {SUMS}, so that nothing tells which files are the sources; "
            "work in a clone (git clone) or in an unpacked archive."
        )
    return sorted(name for name in read_sums() if not name.startswith("results/") and name != CRATE)


def _some(names):
    more = f" and {len(names) - 1} more" if names[1:] else ""
    return f"{names[0]}{more} {'are' if names[1:] else 'is'}"
