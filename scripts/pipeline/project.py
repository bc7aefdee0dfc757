"""The project's own files: one rule for the report, its stamps, the sums and the archive."""

import os
import subprocess
from fnmatch import fnmatchcase

from pipeline.sums import SUMS, read_sums

CRATE = "ro-crate-metadata.json"
GENERATED = {"results", "rebuild", "wheels", "node_modules", "__pycache__", "pipeline-report"}  # folders
LEFTOVERS = (
    "*~",
    "#*#",
    "*.bak",
    "*.orig",
    "*.rej",
    "*.sw?",
    "*.tmp",
    "*___",
    "*.pyc",
    "Thumbs.db",
    "desktop.ini",
    "*:*",
)
MARK = "Snakefile"  # a file that every copy has


def project_files():
    """The project's files as sorted relative paths, also those that are not there.

    Where git tracks the Snakefile, what git tracks; in an unpacked archive, what its sums name; elsewhere every file
    that is neither hidden nor generated nor an editor's leftover. Raises SumsError if those sums cannot be read.
    """
    return git_files() or (_archived() if os.path.exists(SUMS) else _named())


def git_files():
    """What git tracks, if it tracks this folder and not just one around it; no variable may lead it elsewhere."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    try:
        done = subprocess.run(command, capture_output=True, env=environment, check=False)
    except OSError:
        return []  # there is no git
    names = sorted({*filter(None, os.fsdecode(done.stdout).split("\0"))})
    return names if done.returncode == 0 and MARK in names else []


def _archived():
    return sorted(name for name in read_sums() if not name.startswith("results/") and name != CRATE)


def _named():
    found = []
    for place, folders, names in os.walk("."):
        folders[:] = [name for name in folders if not (name.startswith(".") or name in GENERATED)]
        found += [os.path.relpath(os.path.join(place, name)) for name in names if is_source_name(name)]
    return sorted(found)


def is_source_name(name):
    """Whether a file of this name is meant to be kept: not hidden, and no editor's or system's leftover."""
    return not name.startswith(".") and not any(fnmatchcase(name, pattern) for pattern in LEFTOVERS)


def untracked(folder):
    """The files below a folder that look like sources and are none: nobody told git about them."""
    known = set(project_files())
    return [path for path in _named() if path.startswith(f"{folder}/") and path not in known]
