"""What every room uses: the checked configuration, the files behind a script, and the ending of a run."""

import os
import shlex
import sys
from pathlib import Path

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


def summary():
    """One line for the end of a run: where the report is and how many claims hold."""
    gate = Path("results/gate.txt")
    if not gate.exists():
        return "Done."
    return f"The report is in {' and '.join(REPORT_DOCUMENTS)}. {gate.read_text().strip()}"


CHECKED_CONFIG = checked_config()
