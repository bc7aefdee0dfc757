"""The two engines that render the report, and the one check of its sources that both have to pass.

Everything happens in a private folder that holds the Quarto project: ``solutions.qmd`` with its includes, filters,
templates, fonts, figures, tables and variables. A warning is an error.
"""

import datetime
import os
import re
import subprocess

import pypandoc
import typst

SOURCE = "solutions.qmd"
PDF_STANDARDS = ["a-3a", "ua-1"]  # archival and accessible
HARMLESS = re.compile(r"verapdf", re.IGNORECASE)  # Quarto warns where this checker is not installed
WARNING = re.compile(r"^\s*(\[?WARNING|WARN\b|warning:)|Unable to resolve|not found|Could not", re.MULTILINE)


class RenderingError(RuntimeError):
    """What an engine, or the check before it, found wrong."""


def check_sources(folder):
    """Raise RenderingError with every fault of the sources, by file and name; ``folder`` holds the staged project."""
    _pandoc(folder, "--from", "engine/reader.lua", "--to", "native", "--output", os.devnull, SOURCE)


def render_with_pandoc(folder, format, date):
    """Render with the embedded Pandoc and Typst. format: ``html`` or ``pdf``; returns the document's path."""
    if format == "html":
        _pandoc(folder, "--defaults", "engine/html.yaml", "--output", "solutions.html", SOURCE)
        return folder / "solutions.html"
    _pandoc(folder, "--defaults", "engine/typst.yaml", "--output", "solutions.typ", SOURCE)
    document = folder / "solutions.pdf"
    _, warnings = typst.compile_with_warnings(
        str(folder / "solutions.typ"),
        output=str(document),
        root=str(folder),
        font_paths=[str(folder / "fonts")],
        ignore_system_fonts=True,
        pdf_standards=PDF_STANDARDS,
        timestamp=_seconds(date),
    )
    if warnings:
        raise RenderingError("\n".join(str(warning) for warning in warnings))
    return document


def render_with_quarto(folder, format, date):
    """Render with the Quarto on PATH; arguments and result as for ``render_with_pandoc``."""
    target = {"html": "html", "pdf": "typst"}[format]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(_seconds(date)), "NO_COLOR": "1"}
    log = _run(["quarto", "render", SOURCE, "--to", target], folder, environment)
    warnings = [line for line in log.splitlines() if WARNING.search(line) and not HARMLESS.search(line)]
    if warnings:
        raise RenderingError("\n".join(warnings))
    return folder / f"solutions.{format}"


def _pandoc(folder, *arguments):
    return _run([pypandoc.get_pandoc_path(), "--fail-if-warnings", *arguments], folder)


def _run(command, folder, environment=None):
    """Run a program in ``folder``; returns what it printed, raises RenderingError if it failed."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    printed = (done.stdout + done.stderr).strip()
    if done.returncode:
        raise RenderingError(f"{os.path.basename(command[0])} found faults:\n{printed}")
    print(printed, flush=True)
    return printed


def _seconds(date):
    """Seconds since 1970 of the start of a day, YYYY-MM-DD, in UTC."""
    return int(datetime.datetime.fromisoformat(f"{date}T00:00:00+00:00").timestamp())
