"""Say in words which jobs a run would start and why: `make why`, or this script with the arguments of the run.

Snakemake's dry run prints the whole parameters of a job before and now; here what differs in them is named.
"""

import logging
import re
import sys

from snakemake import cli
from snakemake_interface_logger_plugins.common import LogEvent

sys.path.insert(0, __file__.rpartition("/")[0])  # python -P and -I leave it out

from pipeline import staleness
from pipeline.provenance import BLOCKS
from pipeline.words import some

SHARE = re.compile(r"-\d+-of-\d+\.")  # in the names of what the jobs of a scatter write
GONE = "what it writes is temporary"
MOST_VALUES = 8  # that are written out
LONGEST = 200  # characters of a value before and now that are shown


class Announced(logging.Filter):
    """Keeps the jobs that Snakemake announces, {rule: [record, ...]}, and lets only warnings and errors be printed."""

    def __init__(self):
        super().__init__()
        self.jobs = {}

    def filter(self, record):
        if getattr(record, "event", None) == LogEvent.JOB_INFO and record.rule_name != "all":
            self.jobs.setdefault(record.rule_name, []).append(record)
        return record.levelno >= logging.WARNING


def planned(arguments):
    """The jobs that a run with these arguments would start; ends the program where Snakemake would."""
    announced = Announced()
    logging.getLogger("snakemake.logging").addFilter(announced)
    try:
        cli.main(["--dry-run", "--cores", "1", *arguments])
    except SystemExit as end:
        if end.code:
            raise
    return announced.jobs


def explanation(jobs):
    """A line for each rule, in the order of the run."""
    if not jobs:
        return "Nothing would run: all results are up to date."
    makers = {output: rule for rule, own in jobs.items() for job in own for output in job.output}
    lines = []
    for rule, own in jobs.items():
        causes = dict.fromkeys(cause for job in own for cause in causes_of(job, makers))
        if len(causes) > 1:
            causes.pop(GONE, None)  # it says why a job runs only if nothing else does
        count = f" ({len(own)} jobs)" if len(own) > 1 else ""
        lines.append(f"{rule}{count}: {'; '.join(causes)}.")
    total = sum(map(len, jobs.values()))
    return "\n".join([*lines, f"In all {total} {'job' if total == 1 else 'jobs'}."])


def causes_of(job, makers):
    """Why a job would run, in words. job: what Snakemake announces; makers: {file: rule} of what will be made."""
    doubt = next((staleness.FOUND[path] for path in job.output if path in staleness.FOUND), None)
    if doubt:
        yield from doubts_in_words(job.rule_name, doubt)
    for part in job.reason.split("; "):
        kind, _, rest = part.partition(": ")
        names = rest.split(", ")
        if kind == "Missing output files":
            yield GONE if all(map(SHARE.search, names)) else f"{some(names, 'is', 'are')} missing"
        elif kind == "Incomplete output files":
            yield f"{some(names, 'was', 'were')} not finished"
        elif kind == "Updated input files":
            yield f"{some(names, 'has', 'have')} changed"
        elif kind == "Input files updated by another job" and not doubt:
            yield f"after {some(sorted({makers.get(name, name) for name in names}))}"
        elif not (doubt and kind in ("Forced execution", "Input files updated by another job")):
            yield part[:1].lower() + part[1:].rstrip(".")


def doubts_in_words(rule, doubt):
    """What is not as the records say, in words."""
    if doubt.damaged:
        yield f"{some(doubt.damaged, 'is', 'are')} not what a rule is known to have written"
    if doubt.changed:
        yield f"{some(doubt.changed, 'has', 'have')} changed"
    yield from values_in_words(rule, doubt.values)
    if doubt.regrouped:
        yield "it reads other files than before"
    if doubt.unnamed:
        yield "its parameters stand in another order"


def values_in_words(rule, values):
    """Which parameters and packages are others, in words; of very many the first. values: {name: (before, now)}."""
    block = f"{BLOCKS[int(rule[1]) - 1]}." if rule[1].isdigit() else ""
    for name, (before, now) in list(values.items())[:MOST_VALUES]:
        shown = ["not used" if value is None else value for value in (now, before)]
        told = "has changed" if len(str(shown)) > LONGEST else f"is {shown[0]}, was {shown[1]}"
        yield f"{re.sub(r'^(study|config)[.]', block, name)} {told}"
    if len(values) > MOST_VALUES:
        yield f"{len(values) - MOST_VALUES} other values have changed"


if __name__ == "__main__":
    print(explanation(planned(sys.argv[1:])))
