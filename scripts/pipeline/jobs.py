"""The one place where scripts meet Snakemake: the job's log and the locks of a run."""

import fcntl
import os
import sys
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(".snakemake")
BUSY = (
    "Another run is at work in this folder, or a job outlived its own run. "
    "Wait until it is done (fuser .snakemake/*.lock names the processes), then start again."
)


@contextmanager
def job_log(job):
    """Send what the job prints to its log file, and hold the jobs' lock until the process ends.

    job: the ``snakemake`` object of the script. A job that outlives its killed run keeps the lock, so that it cannot
    overwrite what a later run has made: the later run is refused until it is gone.
    """
    _lock("jobs.lock", fcntl.LOCK_SH)
    with open(job.log[0], "w", encoding="utf-8") as log:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        yield


def claim_folder():
    """Take the run's lock until the process ends; returns its file descriptor, or exits if the folder is busy."""
    try:
        os.close(_lock("jobs.lock", fcntl.LOCK_EX | fcntl.LOCK_NB))
        return _lock("run.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(BUSY)


def _lock(name, mode):
    """Lock a file of the folder; the lock lasts until its descriptor is closed, at the latest by the process's end."""
    FOLDER.mkdir(exist_ok=True)
    descriptor = os.open(FOLDER / name, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        fcntl.flock(descriptor, mode)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor
