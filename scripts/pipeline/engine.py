"""Which program renders the report: Quarto where it is on PATH and new enough, else the embedded Pandoc and Typst."""

import functools
import shutil
import subprocess
from importlib.metadata import version

OLDEST_QUARTO = (1, 9)


@functools.cache
def chosen_engine(wish):
    """``quarto <version>`` or ``pandoc`` for the configured ``auto``, ``quarto`` or ``pandoc``.

    Exits with one sentence if Quarto is asked for and cannot be had.
    """
    if wish == "pandoc":
        return "pandoc"
    version, reason = _quarto()
    if version:
        return f"quarto {version}"
    if wish == "quarto":
        raise SystemExit(
            f"config: report.engine is quarto, but {reason}; "
            "install Quarto 1.9 or newer (environment.yml has it), or set report.engine to auto or pandoc."
        )
    return "pandoc"


def in_words(engine):
    """What ``chosen_engine`` returned, for readers: programs with their versions."""
    if engine != "pandoc":
        return engine.replace("quarto", "Quarto")
    import pypandoc  # only where something is rendered: it is slow to load

    return f"Pandoc {pypandoc.get_pandoc_version()} and Typst (package typst {version('typst')})"


def _quarto():
    """(version, None), or (None, why there is none)."""
    if not shutil.which("quarto"):
        return None, "no quarto is on PATH"
    answer = subprocess.run(["quarto", "--version"], capture_output=True, text=True, check=False)
    version = answer.stdout.strip()
    numbers = version.split(".")[:2]
    if answer.returncode or not all(part.isdigit() for part in numbers):
        return None, "quarto --version gives no version"
    if tuple(map(int, numbers)) < OLDEST_QUARTO:
        return None, f"the quarto on PATH is {version}"
    return version, None
