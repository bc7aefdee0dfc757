"""Whose code the jobs run: the project's and the environment's own, whatever the user's variables say.

Every process of a run calls ``settle`` before it loads anything else of the project. The standard library alone.
"""

import os
import site
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]
KEPT = {"PYTHONHASHSEED"}  # of the variables of Python
MENDS = {
    "PYTHONPATH": "unset PYTHONPATH",
    "The user's own folder of packages": "set PYTHONNOUSERSITE=1",
    "This folder": "rename it",
}
READ_WHEN_IMPORTED = ("MPLBACKEND", "MATPLOTLIBRC")  # by Matplotlib


def check_place(project):
    """Exit with one sentence unless the current folder is the project's, and one that Snakemake can work in."""
    if Path.cwd() != project:
        sys.exit(
            f"This workflow runs in its own folder, and not as a module of another: cd {project}, then start again."
        )
    if set("{}") & set(str(project)):
        sys.exit(f"{project}: Snakemake takes braces in the name of a folder for wildcards; rename it.")
    for name in (".snakemake", "results"):
        if os.path.lexists(name) and not os.path.isdir(name):
            sys.exit(f"{name} has to be a folder, or a link to one that is there; delete it, then start again.")


def settle():
    """Clear what would bring other modules or settings into this process and its jobs.

    Exits with one sentence if such modules are loaded already.
    """
    foreign = _foreign_folders()
    if loaded := _loaded_from(foreign):
        name, folder, origin = loaded
        sys.exit(
            f"{origin} brings a module {name} from {folder}, where the environment's own is needed; "
            f"{MENDS[origin]}, then start again."
        )
    sys.path[:] = [str(SCRIPTS), *(path for path in sys.path if os.path.realpath(path) not in {*foreign, str(SCRIPTS)})]
    sys.dont_write_bytecode = True  # a helper edited within one second would otherwise run as its stale bytecode
    for name in [name for name in os.environ if name.startswith("PYTHON") and name not in KEPT]:
        del os.environ[name]
    for name in READ_WHEN_IMPORTED:
        os.environ.pop(name, None)
    os.environ.update(
        PYTHONPATH=str(SCRIPTS),  # before every package of the same name
        PYTHONSAFEPATH="1",  # the folder in which one stands holds no modules
        PYTHONNOUSERSITE="1",
        PYTHONDONTWRITEBYTECODE="1",
        OMP_NUM_THREADS="1",  # the matrices are small: jobs run side by side, each on one thread
        OPENBLAS_NUM_THREADS="1",
        MKL_NUM_THREADS="1",
        MPLCONFIGDIR=str(Path(".snakemake/matplotlib").absolute()),
        LOGNAME=os.environ.get("LOGNAME", str(os.getuid())),  # Snakemake asks: a user in a container has no name
    )


def _foreign_folders():
    """{folder: what brought it} of the folders on Python's path that the environment does not have by itself."""
    named = [] if sys.flags.ignore_environment else os.environ.get("PYTHONPATH", "").split(os.pathsep)
    found = {os.path.realpath(path): "PYTHONPATH" for path in filter(None, named)}
    if site.ENABLE_USER_SITE:
        found[os.path.realpath(site.getusersitepackages())] = "The user's own folder of packages"
    found[os.getcwd()] = "This folder"  # which is on the path of python -m snakemake
    own = {str(SCRIPTS), *map(os.path.realpath, site.getsitepackages())}
    return {folder: origin for folder, origin in found.items() if folder not in own}


def _loaded_from(folders):
    """(module, folder, what brought it) of a loaded module that lies in one of the folders, or None."""
    for name, module in sorted(sys.modules.items()):
        place = getattr(module, "__file__", None)
        if place and "." not in name and os.path.isfile(place):
            folder = Path(os.path.realpath(place)).parents[place.endswith("__init__.py")].as_posix()
            if folder in folders:
                return name, folder, folders[folder]
    return None
