"""Which program renders the report, and the environment that it is started in.

That is Quarto where it is on PATH and new enough, else the embedded engine: the Pandoc inside the package
pypandoc_binary and the Typst of the package typst. No setting of the user's changes the document: the embedded Pandoc
gets none of the user's variables, Quarto none that concern it but those that say where its parts are.
"""

import functools
import os
import re
import shutil
import signal
import subprocess
from importlib.metadata import version
from pathlib import Path

OLDEST_QUARTO = (1, 10)
PATIENCE = 30  # seconds in which Quarto has to say its version
OF_THE_USER = re.compile(r"(QUARTO|DENO|TYPST|PANDOC|LUA)_|GHCRTS$|XDG_(DATA|CONFIG)_|SOURCE_DATE_EPOCH$")
PARTS = re.compile(r"QUARTO_(DENO|DENO_DOM|PANDOC|ESBUILD|TYPST|DART_SASS|SHARE_PATH|CONDA_PREFIX)$")  # conda sets them


@functools.cache
def chosen_engine(wish):
    """``quarto <version>`` or ``pandoc`` for the configured ``auto``, ``quarto`` or ``pandoc``.

    If Quarto is asked for and cannot be had it is ``quarto (<why>)``, for which ``refusal`` has the sentence.
    """
    if wish == "pandoc":
        return "pandoc"
    version, reason = _quarto()
    if version:
        return f"quarto {version}"
    return f"quarto ({reason})" if wish == "quarto" else "pandoc"


def refusal(engine):
    """One sentence if what ``chosen_engine`` returned cannot render, else None."""
    missing = re.fullmatch(r"quarto \((.*)\)", engine)
    return missing and (
        f"config: report.engine is quarto, but {missing[1]}; "
        "install Quarto 1.10 or newer (environment.yml has it), or set report.engine to auto or pandoc."
    )


def in_words(engine):
    """What ``chosen_engine`` returned, for readers: programs with their versions."""
    if engine != "pandoc":
        return engine.replace("quarto", "Quarto")
    return f"Pandoc {pandoc_version()} and Typst (package typst {version('typst')})"


def pandoc_version():
    """The version of the embedded Pandoc."""
    told = subprocess.run([embedded_pandoc(), "--version"], env={}, capture_output=True, text=True, check=True).stdout
    return told.split()[1]


def embedded_pandoc():
    """The path of the Pandoc inside the package; pypandoc itself would take whichever is newest on the machine."""
    import pypandoc  # only where something is rendered: it is slow to load

    return str(Path(pypandoc.__file__).parent / "files/pandoc")


def quartos_environment(data):
    """The variables that Quarto is started with.

    data: the folder in which it and its Pandoc look for what the user has added to them.
    """
    kept = {name: value for name, value in os.environ.items() if not OF_THE_USER.match(name) or PARTS.match(name)}
    return kept | {"NO_COLOR": "1", "TYPST_IGNORE_SYSTEM_FONTS": "true", "XDG_DATA_HOME": str(data)}


def _quarto():
    """(version, None), or (None, why there is none)."""
    if not shutil.which("quarto"):
        return None, "no quarto is on PATH"
    try:
        version = _said_version()
    except subprocess.TimeoutExpired:
        return None, f"quarto --version does not answer within {PATIENCE} seconds"
    except OSError as fault:
        return None, f"the quarto on PATH cannot be started ({fault.strerror})"
    numbers = version.split(".")[:2]
    if not all(part.isdigit() for part in numbers):
        return None, "quarto --version gives no version"
    if tuple(map(int, numbers)) < OLDEST_QUARTO:
        return None, f"the quarto on PATH is {version}"
    return version, None


def _said_version():
    """What ``quarto --version`` prints, nothing if it fails. Raises OSError, or TimeoutExpired after killing it."""
    program = subprocess.Popen(
        ["quarto", "--version"],
        env=quartos_environment(os.devnull),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # with a group of its own, so that what it started can be killed too
    )
    with program:
        try:
            printed, _ = program.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            raise
    return "" if program.returncode else printed.strip()
