"""The archive: the files and jobs that belong to it, and a zip that is the same anywhere."""

import datetime
import os
import shutil
import stat
import zipfile
from pathlib import Path
from typing import NamedTuple

from pipeline.project import git_files, project_files
from pipeline.records import RECORDS, read_records
from pipeline.words import some

EARLIEST, LATEST = datetime.date(1980, 1, 1), datetime.date(2107, 12, 31)  # what a zip can say


class Job(NamedTuple):
    """What is told of one job."""

    name: str
    rule: str
    inputs: list  # its code among them
    outputs: list

    @property
    def log(self):
        """The path of its log."""
        return f"results/logs/{self.name}.log"

    @property
    def record(self):
        """The path of its record."""
        return f"{RECORDS}/{self.name}.json"


class ArchiveError(ValueError):
    """What keeps an archive from being made, as one sentence with the mend."""


def source_files():
    """The project's own files, sorted. Raises ArchiveError if they cannot be told, or one is not there."""
    names = project_files()
    if Path(".git").exists() and not git_files():
        raise ArchiveError("The archive holds what git tracks, and git cannot tell that here; install git, or git add.")
    missing = [name for name in names if not os.path.isfile(name)]
    if missing:
        raise ArchiveError(
            f"{some(missing, 'is', 'are')} not there; restore the sources (git restore, or unzip again)."
        )
    return names


def recorded_jobs(outputs):
    """The jobs that made these files, in the files' order. Raises ArchiveError.

    Behind them come those that made the temporary results that these were made from.
    """
    makers = {path: record for record in read_records() for path in record.outputs}
    jobs, waiting = {}, list(dict.fromkeys(outputs))
    for path in waiting:
        if path not in makers:
            raise ArchiveError(f"{path} has no record of how it was made; delete it and make the archive again.")
        made = makers[path]
        if made.job in jobs:
            continue
        code = [name for name in made.code if "/" in name]
        jobs[made.job] = Job(made.job, made.rule, [*code, *made.inputs], list(made.outputs))
        waiting += [path for path in made.inputs if path.startswith("results/")]
    return list(jobs.values())


def accounts(jobs):
    """The log and the record of each job. Raises ArchiveError if one is not there."""
    found = {path: job for job in jobs for path in (job.log, job.record)}
    for path, job in found.items():
        if not os.path.isfile(path):
            raise ArchiveError(f"{path} is missing; delete {job.outputs[0]} and make the archive again.")
    return list(found)


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
