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
from pipeline.sources import fingerprint, sources


def checked_config():
    """The configuration with every layer of the command line, or one sentence and exit code 1."""
    try:
        return load_config(workflow.overwrite_configfiles, workflow.config_settings.config)
    except ConfigError as fault:
        sys.exit(str(fault))


def summary():
    """One line for the end of a run: where the report is and how many claims hold."""
    gate = Path("results/gate.txt")
    if not gate.exists():
        return "Done."
    return f"The report is in {' and '.join(REPORT_DOCUMENTS)}. {gate.read_text().strip()}"


CHECKED_CONFIG = checked_config()
