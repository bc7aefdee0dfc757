"""Adopt the results of an unpacked archive: write Snakemake's records of how they were made, so that it knows them.

    python scripts/adopt.py

What SHA256SUMS vouches for is adopted. A result that differs is moved out of the way, so that the next run makes it
again with all that depends on it. Where a source differs, nothing is adopted: the results would not be its results.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

from pipeline.archive import CRATE, MARKS, RECORDS, ArchiveError, mismatches, read_sums
from pipeline.config import ConfigError, load_config, merge
from pipeline.engine import chosen_engine
from pipeline.jobs import FOLDER, claim_folder
from pipeline.sources import versions
from pipeline.tables import COUNTS, written_whole

RECORD = "results/report/config.yaml"  # the configuration of the archived run
CONFIG = "archived.yaml"  # a copy of it that no job deletes to write it anew
MADE = "results/report/_metadata.yml"  # says with which versions
LOGS = "results/logs/"
ASIDE = FOLDER / "set_aside"
READ_BY_PATTERN = ("report/**/*", "scripts/**/*.py", "workflow/rules/*.smk")


def refuse(sums, faults):
    """Raise ArchiveError if a source or the run's configuration is not the archive's, or a source was added."""
    needed = [path for path in faults if path == RECORD or (not path.startswith("results/") and path != CRATE)]
    if RECORD not in sums or needed:
        names = _listed(needed or [RECORD])
        raise ArchiveError(f"{names} not as in the archive: nothing is adopted; unzip the archive again.")
    found = {path.as_posix() for pattern in READ_BY_PATTERN for path in Path().glob(pattern) if path.is_file()}
    if added := sorted(found - set(sums)):
        raise ArchiveError(f"{_listed(added)} not in the archive, and a run would read it: move it away, then adopt.")


def set_aside(path):
    """Move a file of results to where no run looks; returns the new path."""
    place = ASIDE / path
    place.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, place)
    return place


def count_rows(table):
    """Record how many rows a table has, as ``write_table`` does, so that one that is cut later is recognised."""
    with open(table, encoding="utf-8", newline="") as file, written_whole(COUNTS / table) as draft:
        draft.write_text(str(sum(1 for _ in csv.reader(file)) - 1), encoding="utf-8")


def doubt(outputs):
    """Mark outputs as Snakemake marks those of jobs at work: without a later record, the next run makes them again."""
    MARKS.mkdir(parents=True, exist_ok=True)
    for path in outputs:
        (MARKS / urlsafe_b64encode(path.encode()).decode()).write_text('{"external_jobid": null}', encoding="utf-8")


def outputs_of(logs):
    """The outputs of the jobs that write these logs, by Snakemake's records."""
    for record in RECORDS.iterdir():
        if not logs.isdisjoint(json.loads(record.read_text(encoding="utf-8"))["log"]):
            yield urlsafe_b64decode(record.name).decode()


def write_records(lock):
    """Have Snakemake date every result in its order and record code, parameters and inputs; exits if it cannot.

    lock: descriptor of the run's lock, which Snakemake holds too: it stays taken if only this process is killed.
    """
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--touch", "--forceall", "--no-hooks"]
    done = subprocess.run(
        [*command, "--configfile", RECORD],
        pass_fds=[lock],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{done.stdout.strip()}\nNothing can be relied on yet: mend that, then adopt again.")


def adopt():
    """Adopt what matches; returns the lines that tell of it. Raises ArchiveError if nothing can be adopted."""
    sums = read_sums()
    lock = claim_folder()
    faults = mismatches(sums)
    refuse(sums, faults)
    results = [path for path in sums if path.startswith("results/") and not path.startswith(LOGS)]
    sound = [path for path in results if path not in faults]
    doubt(results)  # until each has its record, for this may be interrupted
    lines = [_mended(path, fault) for path, fault in faults.items()]
    for path in sound:
        if path.endswith(".csv"):
            count_rows(path)
    write_records(lock)
    doubt(outputs_of({path for path in faults if path.startswith(LOGS)}))
    if MADE not in faults and (other := _other_versions()):
        lines.append(f"The results were made with {other}; the records name the versions that are installed here.")
    if faults:
        return [*lines, f"{len(sound)} of {len(results)} results are adopted; the rest is made by", command()]
    return [*lines, f"All {len(results)} results are adopted; nothing is to be done by", command()]


def command():
    """The command of a run with the archive's configuration; unless that is the default, copies it for the command."""
    if repr(_resolved(load_config())) == repr(_resolved(load_config([RECORD]))):
        return "snakemake --cores all"
    shutil.copyfile(RECORD, CONFIG)
    return f"snakemake --cores all --configfile {CONFIG}"


def _resolved(config):
    """The configuration with the engine that it comes to on this machine."""
    return merge(config, {"report": {"engine": chosen_engine(config["report"]["engine"]).split()[0]}})


def _mended(path, fault):
    """Make way for a file that is not as it was archived; returns a line that tells of it."""
    if path == CRATE:
        return f"{path} {fault if fault == 'differs' else 'is missing'}; make archive writes it again."
    if fault == "missing":
        return f"{path} is missing; the next run makes it again."
    return f"{path} differs: it is moved to {set_aside(path)}, and the next run makes it again."


def _other_versions():
    """The versions that the archive's report names and that are not those installed here, in words."""
    archived = json.loads(Path(MADE).read_text(encoding="utf-8"))["made"]["packages"].split(", ")
    return ", ".join(
        name for name in archived if name not in {f"{name} {version}" for name, version in versions().items()}
    )


def _listed(paths):
    """Paths with their verb; only the first three are written out."""
    shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if paths[3:] else "")
    return f"{shown} {'are' if paths[1:] else 'is'}"


if __name__ == "__main__":
    try:
        print(*adopt(), sep="\n")
    except (ArchiveError, ConfigError) as fault:
        sys.exit(str(fault))
