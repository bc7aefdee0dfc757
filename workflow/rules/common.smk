"""What every room uses: the checked configuration, the files behind a script, and the ending of a run."""

import gc
import math
import os
import shlex
import sys
from functools import partial
from pathlib import Path

gc.disable()  # until all is parsed: looking for garbage in what libraries load takes a quarter of an idle run
sys.executable = shlex.quote(sys.executable)  # Snakemake puts it into shell commands as it is, spaces and all
PROJECT_FOLDER = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
sys.path.insert(0, str(PROJECT_FOLDER / "scripts"))

from pipeline import environment

environment.check_place(PROJECT_FOLDER)
environment.settle()

from pipeline import cost, memory, staleness
from pipeline.archive import ArchiveError, source_files
from pipeline.config import ConfigError, default_problems, load_config
from pipeline.jobs import claim_folder, clear_leftovers, forget_lock, join_run
from pipeline.project import project_files
from pipeline.staleness import Doubt, doubts, leftovers, plans, set_times, source_sums
from pipeline.results import category, label, write_captions
from pipeline.sources import fingerprint, sources
from pipeline.sums import SumsError, sha256
from pipeline.words import some

# False if the jobs are sent to other machines, and in the process of a job, which has its memory.
RUNS_HERE = workflow.is_main_process and workflow.resource_settings.nodes is None


def checked_config():
    """The configuration with every layer of the command line, or one sentence and exit code 1."""
    try:
        return load_config(workflow.overwrite_configfiles, workflow.config_settings, here=RUNS_HERE)
    except ConfigError as fault:
        sys.exit(str(fault))


def only(block, *keys):
    """The named keys of one block of the configuration: what a rule depends on, and no more."""
    return {key: config[block][key] for key in keys}


MIB = 2**20  # bytes
AROUND = 300  # MiB that Snakemake itself takes on a node of a cluster, around the script


def growing(amount):
    """A resource that a scheduler is asked for: so much, and twice as much with each further attempt."""

    def asked(wildcards, attempt):
        return math.ceil(amount * 2 ** (attempt - 1))

    return asked


def megabytes(needed):
    """The resource mem_mb of a job whose script needs so many bytes."""
    return growing(needed / MIB + AROUND)


def minutes_of_share(replicates, seconds):
    """The resource runtime of one of the shares of so many replicates, each of so many seconds."""

    def asked(wildcards, attempt):
        shares = int(wildcards.scatteritem.split("-of-")[1])
        return growing(cost.minutes(math.ceil(replicates / shares) * seconds))(wildcards, attempt)

    return asked


report: "../captions/overview.rst"


KILLED = (
    "A job was killed from outside, most likely since memory ran out: "
    "close other programs, or run fewer jobs at once (--cores 1), then start again."
)
CAPTIONS = Path(".snakemake/captions").absolute()  # written when that report is made


def reported(path):
    """The output, marked for Snakemake's own report with its chapter, its title and its caption."""
    name = Path(path).relative_to("results").as_posix()
    return report(path, caption=f"{CAPTIONS}/{name}.rst", category=category(name), labels=partial(label, name))


def every_replicate(path, mark=reported):
    """A table with rows for each replicate: kept, or only until the summaries are made of it, as the key `keep` says."""
    return mark(path) if config["double_descent"]["keep"] == "whole" else temp(path)


def decide(prepare):
    """Snakemake's method that prepares a run, and after it what may be kept: see pipeline/staleness.py."""

    def prepare_and_decide(*arguments, **options):
        prepare(*arguments, **options)
        PLANS.update(plans(workflow.rules))
        SOURCES.update(source_sums(PLANS))
        DOUBTS.update(doubts(PLANS))
        set_times(PLANS, DOUBTS.keys())
        workflow.dag.forcefiles.update(DOUBTS)
        if workflow.executor_plugin and not (workflow.dryrun or workflow.touch):
            clear_leftovers(leftovers(PLANS, DOUBTS.keys()))

    return prepare_and_decide


def caption(create_report):
    """Snakemake's method that makes its own report, and before it the captions; refused about what a run would make anew."""

    def caption_and_create(*arguments, **options):
        shown = [str(path) for path in rules.all.input]
        stale = doubts(plans(workflow.rules)).keys() & shown
        if stale:
            sys.exit(
                f"{some(sorted(stale), 'is', 'are')} not up to date; run snakemake first, then ask for its report."
            )
        write_captions(CAPTIONS, shown)
        create_report(*arguments, **options)

    return caption_and_create


def begin(jobs):
    """Refuse what cannot end well, tell what has to be made anew, and claim the folder. jobs: those that will run."""
    made = {job.rule.name for job in jobs}
    refuse_unrendered(made)
    if "archive" in made:
        check_archive()
    damaged = {path for job in jobs for path in job.output if path in DOUBTS.get(path, Doubt()).damaged}
    if damaged:
        print(f"Made anew, since no record fits: {some(sorted(damaged))}.", flush=True)
    claim_folder(PLANS, SOURCES, workflow.non_local_exec)


def summary(jobs):
    """One line for the end of a run: where the archive is, or the report and how many claims hold, if it was about them."""
    made = {job.rule.name for job in jobs}
    if workflow.touch:
        return "Only times were set: nothing was computed, and nothing was checked."
    if "archive" in made:
        return f"The archive is {ARCHIVE}.zip, its SHA-256 sum {sha256(f'{ARCHIVE}.zip')}."
    if "all" not in made:
        return "Done."
    return f"The report is in {' and '.join(REPORT_DOCUMENTS)}. {Path('results/gate.txt').read_text().strip()}"


def failure(logs):
    """The lines for the end of a run that failed: whether a job was killed, and what became of an earlier report.

    logs: Snakemake's own of this run.
    """
    killed = any("SIGKILL" in Path(log).read_text(encoding="utf-8", errors="replace") for log in logs)
    return "\n".join(filter(None, [KILLED if killed else "", fate_of_the_report()]))


def fate_of_the_report():
    """What became of the report of an earlier run.

    Snakemake deletes the outputs of jobs that it starts; a report whose claims fail the gate is never started.
    """
    lock = Path(".snakemake/run.lock")
    began = lock.stat().st_mtime if lock.exists() else 0
    earlier = [path for path in map(Path, REPORT_DOCUMENTS) if path.exists() and path.stat().st_mtime < began]
    if not earlier or workflow.touch:
        return "The run failed; what was finished stays."
    if Path("results/gate.txt").exists():
        return f"The run failed; what was finished stays, and {' and '.join(map(str, earlier))} are of an earlier run."
    for path in earlier:
        path.unlink()
    return "The run failed; the earlier report is deleted, because its claims have not passed the gate again."


def refuse_unrendered(made):
    """End a run that would render the report, or say in it what rendered it, if there is no such engine.

    made: the names of the rules that will run.
    """
    if refusal(ENGINE) and not made.isdisjoint({"report_numbers", "report_html", "report_pdf"}):
        sys.exit(refusal(ENGINE))


def check_archive():
    """Exit with one sentence if no archive can be made of what the rules read."""
    if chosen_engine(config["report"]["engine"]) != "pandoc":
        sys.exit("An archive is made with the embedded engine, for it to be the same anywhere: make archive does this.")
    try:
        found = source_files()
    except ArchiveError as fault:
        sys.exit(str(fault))
    stray = sorted({*SOURCE_FILES, *sources("scripts/archive.py")}.difference(found))
    if stray:
        sys.exit(f"The archive holds what git tracks, and {stray[0]}, which the rules read, is not; git add it.")


PLANS, SOURCES, DOUBTS = {}, {}, staleness.FOUND
if workflow.is_main_process:
    forget_lock()
    workflow._prepare_dag = decide(workflow._prepare_dag)
    workflow.create_report = caption(workflow.create_report)
if workflow.remote_exec:
    join_run("This job")  # before Snakemake, here on a node of a cluster, deletes the outputs to make them anew
CHECKED_CONFIG = checked_config()
try:
    PROJECT_FILES = [path for path in project_files() if os.path.isfile(path)]
except SumsError as fault:
    sys.exit(str(fault))
if RUNS_HERE and "mem_mb" not in workflow.global_resources:
    workflow.register_resource("mem_mb", memory.allowed_bytes()[0] // MIB)  # jobs side by side, too, have to fit
