"""Say in words which jobs a run would start and why: `make why`, or this script with the arguments of the run.

Snakemake's dry run prints the whole parameters of a job before and now; here what differs in them is named.
"""

import ast
import logging
import re
import sys

from snakemake import cli
from snakemake_interface_logger_plugins.common import LogEvent

from pipeline.provenance import BLOCKS

MOST = 3  # names of a list that are written out
REASONS = (
    "Missing output files",
    "Incomplete output files",
    "Updated input files",
    "Input files updated by another job",
    "Set of input files has changed",
    "Code has changed",
    "Params have changed",
    "Software environment",
)
NOTHING = "<nothing exclusive>"
SHARE = re.compile(r"-\d+-of-\d+\.")  # in the names of what the jobs of a scatter write
GONE = "what it writes is temporary"


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
    makers = {output: rule for rule, records in jobs.items() for record in records for output in record.output}
    lines = []
    for rule, records in jobs.items():
        causes = dict.fromkeys(cause for record in records for cause in causes_of(rule, record.reason, makers))
        if len(causes) > 1:
            causes.pop(GONE, None)  # it says why a job runs only if nothing else does
        count = f" ({len(records)} jobs)" if len(records) > 1 else ""
        lines.append(f"{rule}{count}: {'; '.join(causes)}.")
    total = sum(map(len, jobs.values()))
    return "\n".join([*lines, f"In all {total} {'job' if total == 1 else 'jobs'}."])


def causes_of(rule, reason, makers):
    """Why a job of the rule would run, in words. reason: Snakemake's; makers: {file: rule} of what will be made."""
    for part in re.split(f"; (?={'|'.join(REASONS)})", reason):
        kind, _, rest = part.partition(": ")
        names = rest.split(", ")
        if kind == "Missing output files" and all(map(SHARE.search, names)):
            yield GONE
        elif kind == "Missing output files":
            yield f"{some(names, 'is', 'are')} missing"
        elif kind == "Incomplete output files":
            yield f"{some(names, 'was', 'were')} not finished"
        elif kind == "Updated input files":
            yield f"{some(names, 'has', 'have')} changed"
        elif kind == "Input files updated by another job":
            yield f"after {some(sorted({makers.get(name, name) for name in names}))}"
        elif kind.startswith("Params have changed"):
            yield from differences(rule, rest)
        elif kind.startswith("Set of input files"):
            yield "it reads other files than before"
        else:
            yield part[:1].lower() + part[1:].rstrip(".")


def differences(rule, text):
    """What differs between the parameters before and now, in words. text: Snakemake's account of them."""
    try:
        before, now = (
            flat(rule, side) for side in re.search(r"before: (.*?) now: (.*?)\s*$", text, re.DOTALL).groups()
        )
    except (AttributeError, SyntaxError, ValueError):
        yield "its parameters have changed"
        return
    changed = [name for name in before | now if before.get(name) != now.get(name)]
    if not changed:
        yield "its parameters stand in another order"
    files = [name for name in changed if "/" in name]
    if files:
        yield f"{some(files, 'has', 'have')} changed"
    for name in changed:
        if name not in files:
            yield f"{name} is {now.get(name, 'not used')}, was {before.get(name, 'not used')}"


def flat(rule, text):
    """{name: value} of all parameters of one side: files by path, keys of the configuration dotted, packages."""
    values = [] if text == NOTHING else ast.literal_eval(f"[{text}]")
    found = {}
    for value in values:
        if isinstance(value, dict):
            code = any(name.startswith("scripts/") for name in value)
            block = f"{BLOCKS[int(rule[1]) - 1]}." if rule[1].isdigit() and not code else ""
            found |= leaves(value, block)
        elif isinstance(value, str) and "\n" in value:  # what sha256sum prints
            found |= {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in value.splitlines()}
        else:
            found["a parameter"] = value
    return found


def leaves(values, path):
    """{dotted name: value}; what is told of a single file keeps the name of the file."""
    found = {}
    for key, value in values.items():
        if isinstance(value, dict) and "/" not in key:
            found |= leaves(value, f"{path}{key}.")
        else:
            found[f"{path}{key}"] = value
    return found


def some(names, one="", more=""):
    """Names in words with the verb for one or for more of them; at most MOST are written out."""
    shown = names if len(names) <= MOST else [*names[: MOST - 1], f"{len(names) - MOST + 1} others"]
    listed = " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
    return f"{listed} {one if len(names) == 1 else more}".strip()


if __name__ == "__main__":
    print(explanation(planned(sys.argv[1:])))
