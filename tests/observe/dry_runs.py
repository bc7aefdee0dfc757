"""Many dry runs for the price of few: Snakemake is loaded once, each dry run is its command line's main in a fork.

Reads one JSON object a line, ``{"arguments": [...], "path": [...], "without": [...]}``, and answers each with one line
for the dry run with these arguments and with folders put first on Python's path; if ``without`` names files, with one
line for each of them, for the dry run without that file: the Snakefile is then parsed once. An answer is
``{"code": exit code, "jobs": {rule: number of jobs}, "reasons": {rule: text}, "printed": text}``.
"""

import json
import logging
import os
import sys
import tempfile

import jsonschema  # noqa: F401  (these two are what Snakemake and the configuration load)
import pandas  # noqa: F401
from snakemake import cli
from snakemake.api import DAGApi
from snakemake_interface_logger_plugins.common import LogEvent


def answer(request):
    """Print the answers to one request."""
    in_fork(lambda: dry_run(request))


def in_fork(work):
    """Do the work in a child; returns its exit code."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            code = work()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def dry_run(request):
    """Snakemake's dry run in this process, which prints its answer, or has it printed for each file left out."""
    answers = os.fdopen(os.dup(1), "w")
    printed = tempfile.TemporaryFile("w+")  # noqa: SIM115 (the process ends with it)
    os.dup2(printed.fileno(), 1)
    os.dup2(printed.fileno(), 2)
    sys.path[:0] = request.get("path", [])
    planned = Planned()
    logging.getLogger("snakemake.logging").addFilter(planned)
    if request.get("without"):
        execute = DAGApi.execute_workflow
        DAGApi.execute_workflow = once_without_each(request["without"], execute, planned, printed, answers)
    code = exit_code(lambda: cli.main(sys.argv[1:]), ["snakemake", "--dry-run", "--cores", "1", *request["arguments"]])
    if not request.get("without"):
        planned.write(code, printed, answers)
    return 0


def once_without_each(files, execute, planned, printed, answers):
    """``execute`` such that it is done once for each file, which is away meanwhile."""

    def execute_for_each(*arguments, **options):
        for file in files:

            def without(file=file):
                os.rename(file, f"{file}.away")
                code = exit_code(lambda: execute(*arguments, **options))
                os.rename(f"{file}.away", file)
                planned.write(code, printed, answers)
                return 0

            in_fork(without)

    return execute_for_each


def exit_code(work, command=None):
    """Do the work as a program of its own; returns its exit code."""
    if command:
        sys.argv = command
    try:
        work()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1 if end.code else 0
    return 0


class Planned(logging.Filter):
    """Notes the jobs that Snakemake announces."""

    def __init__(self):
        super().__init__()
        self.jobs, self.reasons = {}, {}

    def filter(self, record):
        if getattr(record, "event", None) == LogEvent.JOB_INFO:
            self.jobs[record.rule_name] = self.jobs.get(record.rule_name, 0) + 1
            self.reasons[record.rule_name] = record.reason
        return True

    def write(self, code, printed, answers):
        sys.stdout.flush()
        sys.stderr.flush()
        printed.seek(0)
        answer = {"code": code, "jobs": self.jobs, "reasons": self.reasons, "printed": printed.read()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    for line in sys.stdin:
        answer(json.loads(line))
