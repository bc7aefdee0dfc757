"""The one place where scripts meet Snakemake: the job's log and record, the locks of a run, what is said of a fault."""

import errno
import fcntl
import os
import shutil
import sys
import time
import traceback
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.files import DRAFT
from pipeline.records import AGAIN, RecordError, begun, finished, write_plan

FOLDER = Path(".snakemake")
SNAKEMAKES_LOCK = FOLDER / "locks"
RESULTS = Path("results")
FOREIGN = {".git", ".snakemake", ".venv", "node_modules"}  # folders with neither sources nor results
RUN = "HW6_RUN"  # environment variable: the name of the run that a job belongs to
CLUSTER = "cluster-"  # what the name begins with if the jobs are sent to other machines
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # what a file system without locks answers
BUSY = (
    "Another run is at work in this folder, or a job outlived its own run. Wait until it is done "
    "(fuser .snakemake/*.lock names the processes, squeue the jobs of a cluster), then start again."
)
MENDS = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room within the quota",
    errno.EROFS: "make that place writable",
    errno.EACCES: "make that place writable for this user",
    errno.EPERM: "make that place writable for this user",
    errno.ENOMEM: "free memory, or raise the limit (ulimit -v)",
}


@contextmanager
def job_log(job):
    """Send what the job prints to its log file, hold the jobs' lock until the process ends, and write its record.

    job: the ``snakemake`` object of the script. A job that outlives its killed run keeps the lock, so that it cannot
    overwrite what a later run has made: the later run is refused until it is gone. One that had not taken the lock by
    then finds the name of another run beside it, and ends. A fault becomes one sentence, in the log and on the screen.
    """
    join_run(f"The rule {job.rule}")
    _open_streams()
    console = os.dup(2)
    try:
        with open(job.log[0], "w", encoding="utf-8") as log:
            sys.stdout, sys.stderr = sys.stdout or log, sys.stderr or log
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            in_run = bool(os.environ.get(RUN))
            record = begun(job, in_run)
            yield
            finished(job, record, in_run)
    except Exception as fault:
        if not _is_known(fault):
            traceback.print_exc()
        sentence = f"The rule {job.rule} failed: {in_words(fault)}"
        os.write(console, f"{sentence}\n".encode())  # the log may lie on the disk that is full
        sys.exit(sentence)


def join_run(who):
    """Hold the jobs' lock until the process ends; exits if the run that started the process was replaced by another."""
    _lock("jobs.lock", fcntl.LOCK_SH)
    if os.environ.get(RUN) and os.environ[RUN] != _run_at_work():
        sys.exit(f"{who} belongs to a run that is over, and another has begun: its results stay unmade.")


def _open_streams():
    """Open as nothing what is closed of input, output and standard error, before a file takes their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def in_words(fault):
    """One sentence for an exception: the cause and the mend."""
    if isinstance(fault, RecordError):
        return str(fault)
    if isinstance(fault, MemoryError):
        return f"the memory does not suffice ({_one_line(fault)}); {MENDS[errno.ENOMEM]}, and {AGAIN}"
    if _is_known(fault):
        place = f"{fault.filename}: " if fault.filename else ""
        return f"{place}{fault.strerror}; {MENDS[fault.errno]}, and {AGAIN}"
    frame = traceback.extract_tb(fault.__traceback__)[-1]
    place = f"line {frame.lineno} of {Path(frame.filename).name}"
    return f"{type(fault).__name__} in {place} ({_one_line(fault)}); mend that, and {AGAIN}"


def _is_known(fault):
    """Whether the fault is one that the machine or a file has, not the code."""
    return isinstance(fault, RecordError | MemoryError) or (isinstance(fault, OSError) and fault.errno in MENDS)


def forget_lock():
    """Delete Snakemake's own lock, which outlives a killed run, unless that run had sent its jobs to a cluster.

    Of a run whose jobs are processes of this machine, the locks here tell whether it or one of its jobs is alive. They
    see no job that waits in a queue: there Snakemake's lock stays until somebody has looked and says ``--unlock``.
    """
    if SNAKEMAKES_LOCK.exists() and not _run_at_work().startswith(CLUSTER) and _locks_are_possible():
        shutil.rmtree(SNAKEMAKES_LOCK, ignore_errors=True)


def claim_folder(planned, sources, cluster=False):
    """Take the run's lock until the process ends and clear what killed jobs left; exits if that cannot be.

    planned, sources: of ``write_plan``, for the jobs.  cluster: whether these are sent to other machines.
    """
    try:
        jobs = _lock("jobs.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
        run = _lock("run.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
        check_writable()
        clear_drafts()
        date_back()
        write_plan(planned, sources)
        _name_run(run, cluster)
    except BlockingIOError:
        sys.exit(BUSY)
    except OSError as fault:
        sys.exit(f"The run cannot begin: {in_words(fault)}")
    os.close(jobs)  # last of all: until now no job of an earlier run could begin
    return run


def check_writable():
    """Raise PermissionError, with its name, for a folder of results that cannot be written."""
    for folder in (FOLDER, RESULTS, *RESULTS.rglob("*/")):
        if folder.is_dir() and not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def clear_drafts():
    """Delete what jobs that were killed left half made; no job may be at work."""
    for draft in RESULTS.rglob(f"{DRAFT}*"):
        shutil.rmtree(draft) if draft.is_dir() else draft.unlink(missing_ok=True)


def clear_leftovers(paths):
    """Delete these files unless a run or a job is at work."""
    with suppress(BlockingIOError), claimed("jobs.lock"), claimed("run.lock"):
        for path in paths:
            Path(path).unlink(missing_ok=True)


@contextmanager
def claimed(name):
    """Hold a lock of the folder alone; raises BlockingIOError if somebody else has it."""
    lock = _lock(name, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield
    finally:
        os.close(lock)


def date_back():
    """Date files of the future now: after a clock was set back, nothing new would seem newer than what it rests on."""
    now = time.time()
    for place, folders, files in os.walk("."):
        folders[:] = set(folders) - FOREIGN
        for path in (Path(place, name) for name in files):
            if path.is_file() and path.stat().st_mtime > now:
                os.utime(path, (now, now))


def _name_run(run, cluster):
    """Write a new name into the run's lock file, and tell it to the jobs that this process starts."""
    os.environ[RUN] = (CLUSTER if cluster else "") + uuid.uuid4().hex
    os.ftruncate(run, 0)
    os.write(run, os.environ[RUN].encode())


def _run_at_work():
    """The name of the run that began last; empty if there is none."""
    lock = FOLDER / "run.lock"
    return lock.read_text(encoding="utf-8") if lock.exists() else ""


def _lock(name, mode):
    """Lock a file of the folder; the lock lasts until its descriptor is closed, at the latest by the process's end.

    On a file system without locks nothing is locked: there Snakemake's own lock stays (``forget_lock``).
    """
    FOLDER.mkdir(exist_ok=True)
    descriptor = os.open(FOLDER / name, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        fcntl.flock(descriptor, mode)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError as fault:
        if fault.errno not in NO_LOCKS:
            raise
    return descriptor


def _locks_are_possible():
    """Whether the file system has locks; some of those that the machines of a cluster share have none."""
    descriptor = os.open(FOLDER, os.O_RDONLY)  # the folder itself, which nothing else locks
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as fault:
        return fault.errno not in NO_LOCKS
    finally:
        os.close(descriptor)
    return True


def _one_line(fault):
    return " ".join(str(fault).split()) or "no message"
