"""Write everything that was made, with its sources and the account of how, into one zip that is the same anywhere."""

import datetime
import hashlib
import json
import os
import platform
import sys
import tomllib
from pathlib import Path

from pipeline.archive import CRATE, SUMS, ArchiveError, recorded_jobs, sha256, sums_text, write_zip
from pipeline.config import read_yaml
from pipeline.crate import crate_text
from pipeline.jobs import job_log
from pipeline.tables import written_whole


def account(path, jobs):
    """What differs from run to run: the archive's sum, the machine, and when each job was at work, in UTC."""
    return {
        "archive": {"name": Path(path).name, "sha256": sha256(path)},
        "machine": {
            "host": platform.node(),
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "Python": platform.python_version(),
        },
        "jobs": [{"job": job.name, "rule": job.rule, "start": utc(job.start), "end": utc(job.end)} for job in jobs],
    }


def utc(seconds):
    """A time since the epoch as ISO 8601."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")


def logs(jobs):
    """The log of each job. Raises ArchiveError if one is not there."""
    for job in jobs:
        if not os.path.isfile(job.log):
            raise ArchiveError(f"{job.log} is missing; delete {job.outputs[0]} and make the archive again.")
    return [job.log for job in jobs]


if __name__ == "__main__":
    with job_log(snakemake):
        sources, results = list(snakemake.input.sources), list(snakemake.input.results)
        try:
            jobs = recorded_jobs(results)
            results += logs(jobs)
            sums = {path: sha256(path) for path in [*sources, *results]}
            config = read_yaml("results/report/config.yaml")
            project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
            crate = crate_text(project, read_yaml("CITATION.cff"), config, snakemake.params.steps, jobs, sums)
        except ArchiveError as fault:
            sys.exit(str(fault))
        texts = {CRATE: crate}
        texts[SUMS] = sums_text(sums | {CRATE: hashlib.sha256(crate.encode()).hexdigest()})
        with written_whole(snakemake.output.archive) as draft:
            write_zip(draft, results, sources, texts, config["report"]["date"])
        with written_whole(snakemake.output.run) as draft:
            draft.write_text(json.dumps(account(snakemake.output.archive, jobs), indent=1) + "\n", encoding="utf-8")
