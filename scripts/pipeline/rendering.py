"""The two engines that render the report, and the one check of its sources that both have to pass.

Everything happens in a private folder that holds the Quarto project: ``solutions.qmd`` with its includes, filters,
templates, fonts, figures, tables and variables. A warning is an error.
"""

import datetime
import os
import re
import subprocess

import typst

from pipeline.engine import embedded_pandoc, quartos_environment

SOURCE = "solutions.qmd"
PDF_STANDARDS = ["a-3a", "ua-1"]  # archival and accessible
COLOUR = re.compile(r"\x1b\[[\d;]*m")  # some of Quarto's filters colour what they say though NO_COLOR is set
HARMLESS = re.compile(r"verapdf", re.IGNORECASE)  # Quarto warns where this checker is not installed
WARNING = re.compile(r"\bWARN(ING)?\b|\bwarning:|\bERROR\b")  # after an error in a filter Quarto may go on
ERROR = re.compile(r"\berror\b|\[typst\]", re.IGNORECASE)
TRACE = re.compile(r"stack trace", re.IGNORECASE)
MOST = 12  # lines of a fault that are told


class RenderingError(RuntimeError):
    """What an engine, or the check before it, found wrong."""


def check_sources(folder):
    """Raise RenderingError with every fault of the sources, by file and name; ``folder`` holds the staged project."""
    reader = ("--from", "engine/reader.lua", "--to", "native", "--output", os.devnull, SOURCE)
    _pandoc("The check of the sources", folder, *reader)


def render_with_pandoc(folder, format, date):
    """Render with the embedded Pandoc and Typst. format: ``html`` or ``pdf``; returns the document's path."""
    if format == "html":
        _pandoc("Pandoc", folder, "--defaults", "engine/html.yaml", "--output", "solutions.html", SOURCE)
        return folder / "solutions.html"
    _pandoc("Pandoc", folder, "--defaults", "engine/typst.yaml", "--output", "solutions.typ", SOURCE)
    document = folder / "solutions.pdf"
    try:
        _, warnings = typst.compile_with_warnings(
            str(folder / "solutions.typ"),
            output=str(document),
            root=str(folder),
            font_paths=[str(folder / "fonts")],
            ignore_system_fonts=True,
            pdf_standards=PDF_STANDARDS,
            timestamp=_seconds(date),
        )
    except typst.TypstError as fault:
        raise RenderingError(f"Typst found faults:\n{fault}") from None
    if warnings:
        raise RenderingError("\n".join(["Typst warns:", *map(str, warnings)]))
    return document


def render_with_quarto(folder, format, date):
    """Render with the Quarto on PATH; arguments and result as for ``render_with_pandoc``."""
    target = {"html": "html", "pdf": "typst"}[format]
    environment = alone_with_quarto(folder) | {"SOURCE_DATE_EPOCH": str(_seconds(date))}
    code, log = _run(["quarto", "render", SOURCE, "--to", target], folder, environment)
    if code:
        raise RenderingError(f"Quarto found faults:\n{first_fault(log)}")
    if warned := warnings(log):
        raise RenderingError("\n".join(["Quarto warns:", *warned]))
    print(*said(log), sep="\n", flush=True)
    return folder / f"solutions.{format}"


def alone_with_quarto(folder):
    """The variables that Quarto is started with in the staged project: nothing of the user's is read there."""
    (folder / "pandoc").mkdir(exist_ok=True)  # were it missing, Quarto's Pandoc would look into the home folder
    return quartos_environment(folder.absolute())


def said(log):
    """The lines of Quarto's log without colours and the document's metadata, which it prints indented."""
    return [line for line in COLOUR.sub("", log).splitlines() if line.strip() and not line.startswith("  ")]


def warnings(log):
    """The lines of Quarto's log that warn of what spoils the document, wherever in the line they do."""
    return [line for line in said(log) if WARNING.search(line) and not HARMLESS.search(line)]


def first_fault(log):
    """A few lines of Quarto's log from the first error on, or else from its end."""
    lines = [line for line in TRACE.split(COLOUR.sub("", log))[0].splitlines() if line.strip()]
    first = next((line for line in said(log) if ERROR.search(line)), None) or next(iter(warnings(log)), None)
    start = lines.index(first) if first in lines else max(0, len(lines) - MOST)
    return "\n".join(lines[start : start + MOST])


def _pandoc(who, folder, *arguments):
    """Run the embedded Pandoc, with its data folder (init.lua, templates, …) inside the project and not the user's."""
    command = [embedded_pandoc(), "--data-dir", "engine", "--fail-if-warnings", *arguments]
    code, log = _run(command, folder, environment={"LC_ALL": "C.UTF-8"})
    if code:
        raise RenderingError(f"{who} found faults:\n{log}")
    print(log, end="\n" if log else "", flush=True)


def _run(command, folder, environment):
    """Run a program in ``folder``; returns (exit code, what it printed)."""
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def _seconds(date):
    """Seconds since 1970 of the start of a day, YYYY-MM-DD, in UTC."""
    return int(datetime.datetime.fromisoformat(f"{date}T00:00:00+00:00").timestamp())
