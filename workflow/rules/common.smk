"""What every room uses: the checked configuration, the files behind a script, and the ending of a run."""

import gc
import math
import os
import shlex
import sys
from pathlib import Path

gc.disable()  # until all is parsed: looking for garbage in what libraries load takes a quarter of an idle run
sys.dont_write_bytecode = True  # a helper edited within one second would otherwise run as its stale bytecode
sys.executable = shlex.quote(sys.executable)  # Snakemake puts it into shell commands as it is, spaces and all
sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))
os.environ.update(
    PYTHONDONTWRITEBYTECODE="1",
    OMP_NUM_THREADS="1",  # the matrices are small: jobs run side by side, each on one thread
    OPENBLAS_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    MPLCONFIGDIR=str(Path(".snakemake/matplotlib").absolute()),
    LOGNAME=os.environ.get("LOGNAME", str(os.getuid())),  # Snakemake asks for it: a user in a container has no name
)

from pipeline import cost, memory
from pipeline.archive import ArchiveError, sha256, source_files, unadopted
from pipeline.config import ConfigError, default_problems, load_config
from pipeline.jobs import RUN, claim_folder, forget_lock, join_run
from pipeline.results import category, described, write_caption
from pipeline.sources import fingerprint, sources

# False if the jobs are sent to other machines, and in the process of a job, which has its memory.
RUNS_HERE = workflow.is_main_process and workflow.resource_settings.nodes is None


def checked_config():
    """The configuration with every layer of the command line, or one sentence and exit code 1."""
    try:
        return load_config(workflow.overwrite_configfiles, workflow.config_settings.config, here=RUNS_HERE)
    except ConfigError as fault:
        sys.exit(str(fault))


def refuse_unadopted():
    """End a run, not its jobs, among results of which Snakemake cannot tell whether this configuration made them."""
    if "--touch" not in sys.argv and not os.environ.get(RUN) and unadopted():
        sys.exit(
            "The results here came with an archive, and Snakemake has no record of how they were made: "
            "make adopt, then start again (or delete results/ to have them made anew)."
        )


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


def reported(path):
    """The output, marked for Snakemake's own report with its chapter, its title and its caption."""
    if not any(argument.startswith("--report") for argument in sys.argv):
        return path  # nothing else looks at the mark, and each job would read the dictionary for it
    name = Path(path).relative_to("results").as_posix()
    return report(
        path,
        caption=write_caption(name, ".snakemake/captions"),
        category=category(name),
        labels={"result": f"{described(name)['title']} ({name})"},
    )


def every_replicate(path):
    """A table with rows for each replicate: kept, or only until the summaries are made of it, as the key `keep` says."""
    return path if config["double_descent"]["keep"] == "whole" else temp(path)


def summary(jobs):
    """One line for the end of a run: where the archive is, or the report and how many claims hold, if it was about them."""
    made = {job.rule.name for job in jobs}
    if "archive" in made:
        return f"The archive is {ARCHIVE}.zip, its SHA-256 sum {sha256(f'{ARCHIVE}.zip')}."
    if "all" not in made:
        return "Done."
    return f"The report is in {' and '.join(REPORT_DOCUMENTS)}. {Path('results/gate.txt').read_text().strip()}"


def failure():
    """One line for the end of a run that failed: what became of the report of an earlier one.

    Snakemake deletes the outputs of jobs that it starts; a report whose claims fail the gate is never started.
    """
    began = Path(".snakemake/run.lock").stat().st_mtime
    earlier = [path for path in map(Path, REPORT_DOCUMENTS) if path.exists() and path.stat().st_mtime < began]
    if not earlier:
        return "The run failed; what was finished stays."
    if Path("results/gate.txt").exists():
        return f"The run failed; what was finished stays, and {' and '.join(map(str, earlier))} are of an earlier run."
    for path in earlier:
        path.unlink()
    return "The run failed; the earlier report is deleted, because its claims have not passed the gate again."


def archived_sources(wildcards):
    """The sources, asked for only if an archive is to be made; one sentence and exit code 1 if none can be."""
    if chosen_engine(config["report"]["engine"]) != "pandoc":
        sys.exit("An archive is made with the embedded engine, for it to be the same anywhere: make archive does this.")
    try:
        found = source_files()
    except ArchiveError as fault:
        sys.exit(str(fault))
    stray = sorted({*SOURCE_FILES, *sources("scripts/archive.py")}.difference(found))
    if stray:
        sys.exit(f"The archive holds what git tracks, and {stray[0]}, which the rules read, is not; git add it.")
    return found


if workflow.is_main_process:
    forget_lock()
if workflow.remote_exec:
    join_run("This job")  # before Snakemake, here on a node of a cluster, deletes the outputs to make them anew
refuse_unadopted()
CHECKED_CONFIG = checked_config()
if RUNS_HERE and "mem_mb" not in workflow.global_resources:
    workflow.register_resource("mem_mb", memory.allowed_bytes()[0] // MIB)  # jobs side by side, too, have to fit
