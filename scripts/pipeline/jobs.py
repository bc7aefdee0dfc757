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
    """Send what the job prints to its log file, and hold the jobs' lock while it works.

    job: the ``snakemake`` object of the script. A job that outlives its killed run keeps the lock, so that it cannot
    overwrite what a later run has made: the later run is refused until it is gone.
    """
    with open(job.log[0], "w", encoding="utf-8") as log, _locked("jobs.lock", fcntl.LOCK_SH):
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        yield


def claim_folder():
    """Take the run's lock, which dies with its process; returns the open file, or exits if the folder is busy."""
    try:
        with _locked("jobs.lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
            pass
        return _locked("run.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(BUSY)


def _locked(name, mode):
    FOLDER.mkdir(exist_ok=True)
    file = open(FOLDER / name, "a")  # noqa: SIM115 (the caller closes it)
    try:
        fcntl.flock(file, mode)
    except BlockingIOError:
        file.close()
        raise
    return file
