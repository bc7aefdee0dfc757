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
)

from pipeline.config import ConfigError, default_problems, load_config
from pipeline.jobs import claim_folder
from pipeline.results import category, described, write_caption
from pipeline.sources import fingerprint, sources


def checked_config():
    """The configuration with every layer of the command line, or one sentence and exit code 1."""
    try:
        return load_config(workflow.overwrite_configfiles, workflow.config_settings.config)
    except ConfigError as fault:
        sys.exit(str(fault))


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
    """One line for the end of a run: where the report is and how many claims hold, if the run was about them."""
    if not any(job.rule.name == "all" for job in jobs):
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


CHECKED_CONFIG = checked_config()
