"""Compute everything again from the sources, in a folder of its own, and compare it with the results that are here.

    python scripts/rebuild.py

Each result is ``identical``, ``equal to 6 digits``, ``different`` or ``missing``. Equal to 6 digits are two tables,
figures, pages or texts whose words are the same and whose numbers differ by at most one unit of the sixth significant
digit of the larger one: the last digit of a rounded number may fall either way. What only looks like numbers is words:
checksums, versions, names. A checksum that follows a table's last digit is hence a difference; so is any byte of a PDF.
Exit code: 0 if nothing is different or missing.
"""

import csv
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path

from pypdf import PdfReader

sys.path.insert(0, __file__.rpartition("/")[0])  # python -P and -I leave it out

from pipeline.archive import ArchiveError, source_files
from pipeline.jobs import claimed
from pipeline.sums import SUMS, SumsError, mismatches, read_sums, sha256, sums_text

FOLDER = Path("rebuild")
RECORD = "results/report/config.yaml"  # the configuration of the run whose results are here
CONFIG = "archived.yaml"  # a copy of it that no job deletes to write it anew
ARCHIVE_RULE = "workflow/rules/archive.smk"
IDENTICAL, EQUAL, DIFFERENT, MISSING = "identical", "equal to 6 digits", "different", "missing"
WITH_NUMBERS = {".csv", ".html", ".md", ".svg", ".yaml", ".yml"}
TEXT = WITH_NUMBERS | {".log", ".sha256", ".txt"}
NUMBER = re.compile(r"(?<![\w.])([-+−]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,4})?)(?!\w|\.[0-9])")
BLOCK = 2**20
AROUND = 30  # characters shown on either side of a difference


def compare(here, rebuilt):
    """(verdict, where they differ in words) of two files, read piece by piece."""
    if gone := [path for path in (here, rebuilt) if not os.path.isfile(path)]:
        return MISSING, " and ".join(f"there is no {path}" for path in gone)
    offset = differing_byte(here, rebuilt)
    if offset is None:
        return IDENTICAL, ""
    kind = Path(here).suffix
    if kind in TEXT:
        line = differing_line(here, rebuilt, exact=kind not in WITH_NUMBERS)
        if line is None:
            return EQUAL, ""
        return DIFFERENT, (differing_cell(here, rebuilt) if kind == ".csv" else None) or line
    return DIFFERENT, (differing_page(here, rebuilt) if kind == ".pdf" else None) or f"byte {offset}"


def differing_byte(here, rebuilt):
    """The offset of the first byte in which two files differ, counted from 0; None if they are identical."""
    offset = 0
    with open(here, "rb") as first, open(rebuilt, "rb") as second:
        while True:
            a, b = first.read(BLOCK), second.read(BLOCK)
            if a != b:
                return offset + _common(a, b)
            if not a:
                return None
            offset += len(a)


def differing_line(here, rebuilt, exact=False):
    """The first line that is not equal, with both texts; None if there is none. exact: numbers count as words."""
    with _text(here) as first, _text(rebuilt) as second:
        for number, (a, b) in enumerate(zip_longest(first, second), start=1):
            if a is None or b is None:
                return f"line {number} is only {'in what was rebuilt' if a is None else 'here'}: {_around(a or b, 0)}"
            if place := disagreement(a, b, exact):
                return f"line {number}: {_around(a, place[0])} here, {_around(b, place[1])} rebuilt"
    return None


def differing_cell(here, rebuilt):
    """The first cell of two tables that is not equal, with both values; None if that cannot be told."""
    with _text(here) as first, _text(rebuilt) as second:
        try:
            rows = zip_longest(csv.reader(first), csv.reader(second), fillvalue=[])
            names = None
            for number, (a, b) in enumerate(rows):
                names = names or a
                for column, (old, new) in enumerate(zip_longest(a, b)):
                    if old is None or new is None or disagreement(old, new):
                        name = names[column] if column < len(names) else column + 1
                        row = f"row {number}" if number else "the header"
                        return f"{row}, column {name}: {_cell(old)} here, {_cell(new)} rebuilt"
        except csv.Error:
            return None
    return None


def differing_page(here, rebuilt):
    """The first page of two PDFs whose texts differ; None if there is none, or one cannot be read."""
    try:
        first, second = PdfReader(here).pages, PdfReader(rebuilt).pages
        for number, (a, b) in enumerate(zip_longest(first, second), start=1):
            if a is None or b is None or a.extract_text() != b.extract_text():
                return f"page {number}"
    except Exception:  # a damaged PDF leads pypdf to errors of any kind
        return None
    return None


def disagreement(a, b, exact=False):
    """Where two texts part, as a place in each; None if they are equal but for the last digit of numbers.

    exact: numbers are words, too.
    """
    if a == b:
        return None
    pieces = [[a], [b]] if exact else [NUMBER.split(a), NUMBER.split(b)]  # words and numbers by turns
    place, other = 0, 0
    for turn, (old, new) in enumerate(zip_longest(*pieces, fillvalue="")):
        is_number = turn % 2 and old and new
        if old != new and not (is_number and agree(old, new)):
            common = 0 if is_number else _common(old, new)
            return place + common, other + common
        place, other = place + len(old), other + len(new)
    return None


def agree(old, new):
    """Whether two numbers differ by at most one unit of the sixth significant digit of the larger one."""
    old, new = (Decimal(text.replace("−", "-")) for text in (old, new))
    larger = max(old.copy_abs(), new.copy_abs())
    return abs(old - new) <= Decimal(1).scaleb(larger.adjusted() - 5)


def prepare():
    """Copy the sources, their sums and the configuration into a fresh folder; returns the results to compare, or None.

    In a clone the results are not known before they are made: None. Raises ArchiveError where a source is not the
    archive's, or there is nothing to compare with.
    """
    if not os.path.isfile(RECORD):
        raise ArchiveError(
            f"There is no {RECORD}, hence nothing to compare with: make report, or unzip the archive again."
        )
    archived = read_sums() if os.path.exists(SUMS) else None
    names = source_files()
    needed = {*names, RECORD}
    faults = mismatches({path: digest for path, digest in (archived or {}).items() if path in needed})
    if faults:
        raise ArchiveError(f"{', '.join(faults)}: not as in the archive; nothing is rebuilt, unzip the archive again.")
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    for name in names:
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(name, FOLDER / name)
    shutil.copyfile(RECORD, FOLDER / CONFIG)
    sums = archived or {name: sha256(name) for name in names}  # tell the rule of the archive what the sources are
    (FOLDER / SUMS).write_text(sums_text(sums), encoding="utf-8")
    return archived and sorted(path for path in archived if path.startswith("results/"))


def made():
    """What the run in the folder has made, logs apart: relative paths, sorted."""
    files = (path.relative_to(FOLDER) for path in (FOLDER / "results").rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in files if path.parts[1] != "logs")


def run(*arguments):
    """Run Snakemake in the folder, its messages shown; ends the program where that fails."""
    command = [sys.executable, "-m", "snakemake", "--cores", "all", *arguments, "--configfile", CONFIG]
    code = subprocess.run(command, cwd=FOLDER, check=False).returncode
    if code:
        sys.exit(code)


def report(results):
    """Compare each result and print what comes of it; returns how many there are of each verdict."""
    count = Counter()
    for path in results:
        verdict, where = compare(path, FOLDER / path)
        count[verdict] += 1
        print(f"{verdict}: {path}{where and f' ({where})'}", flush=True)
    summary = ", ".join(f"{count[verdict]} {verdict}" for verdict in (IDENTICAL, EQUAL, DIFFERENT, MISSING))
    print(f"{summary}.", flush=True)
    return count


def rebuild():
    """Rebuild and compare; returns the exit code."""
    results = prepare()
    run()
    count = report(results or made())
    if count[IDENTICAL] == count.total() and os.path.exists(ARCHIVE_RULE):
        run("archive", "--config", "report={engine: pandoc}")
        for path in sorted((FOLDER / "results/archive").glob("*.zip")):
            print(f"The archive of what was rebuilt has the SHA-256 sum\n{sha256(path)}  {path}")
    return 1 if count[DIFFERENT] or count[MISSING] else 0


def _common(a, b):
    """How many characters or bytes two texts have in common at their beginnings."""
    return next((place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _text(path):
    """The file as text whose lines keep their ends, whatever its bytes."""
    return open(path, encoding="utf-8", errors="surrogateescape", newline="\n")


def _around(line, place):
    """The part of a line around a place, in quotes."""
    start, end = max(0, place - AROUND), place + AROUND
    part = line[start:end].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return repr(f"{'…' * (start > 0)}{part}{'…' * (end < len(line))}")


def _cell(text):
    return "nothing" if text is None else _around(text, 0)


if __name__ == "__main__":
    try:
        with claimed("rebuild.lock"):
            sys.exit(rebuild())
    except BlockingIOError:
        sys.exit("Another rebuild is at work in this folder; wait until it is done, then start again.")
    except (ArchiveError, SumsError) as fault:
        sys.exit(str(fault))
