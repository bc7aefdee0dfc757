"""What every room uses: the checked configuration, the files behind a script, and the ending of a run."""

import gc
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

from pipeline.archive import ArchiveError, sha256, source_files, unadopted
from pipeline.config import ConfigError, default_problems, load_config
from pipeline.jobs import RUN, claim_folder
from pipeline.results import category, described, write_caption
from pipeline.sources import fingerprint, sources


def checked_config():
    """The configuration with every layer of the command line, or one sentence and exit code 1."""
    try:
        return load_config(workflow.overwrite_configfiles, workflow.config_settings.config)
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


refuse_unadopted()
CHECKED_CONFIG = checked_config()
