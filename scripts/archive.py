"""Write everything that was made, with its sources and the account of how, into one zip that is the same anywhere."""

import base64
import datetime
import hashlib
import json
import os
import platform
import sys
import tomllib
from pathlib import Path

from pipeline.archive import ArchiveError, accounts, recorded_jobs, write_zip
from pipeline.config import read_yaml
from pipeline.crate import crate_text
from pipeline.files import written_whole
from pipeline.jobs import job_log
from pipeline.project import CRATE
from pipeline.sums import SUMS, sha256, sums_text

SNAKEMAKES_RECORDS = Path(".snakemake/metadata")


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
        "jobs": [{"job": job.name, "rule": job.rule} | times(job) for job in jobs],
    }


def times(job):
    """When a job was at work, if Snakemake noted that in this folder."""
    record = SNAKEMAKES_RECORDS / base64.urlsafe_b64encode(job.outputs[0].encode()).decode()
    try:
        told = json.loads(record.read_text(encoding="utf-8"))
        return {"start": utc(told["starttime"]), "end": utc(told["endtime"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def utc(seconds):
    """A time since the epoch as ISO 8601."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")


if __name__ == "__main__":
    with job_log(snakemake):
        sources, results = list(snakemake.input.sources), list(snakemake.input.results)
        try:
            jobs = recorded_jobs(results)
            results += accounts(jobs)
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
