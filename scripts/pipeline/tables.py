"""Tables as CSV files: six significant digits, Unix line ends, written whole or not at all, read strictly."""

import functools
import os
import re
import tempfile
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd
import yaml

from pipeline.jobs import DRAFT, TableError

SIGNIFICANT_DIGITS = 6
COUNTS = Path(".snakemake/rows")  # beside Snakemake's own records: how many rows each table was written with


@contextmanager
def written_whole(path):
    """Yield a temporary path beside ``path`` and rename it onto ``path`` when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=DRAFT, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        yield Path(draft)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(draft, 0o666 & ~umask)
        os.replace(draft, path)
    finally:
        Path(draft).unlink(missing_ok=True)


def write_table(table, path):
    """Write a DataFrame as CSV: floats to six significant digits, booleans as yes and no."""
    table = table.copy()
    for name in table.columns:
        if pd.api.types.is_bool_dtype(table[name]):
            table[name] = table[name].map({True: "yes", False: "no"})
        elif pd.api.types.is_float_dtype(table[name]):
            table[name] = table[name] + 0.0  # a negative zero is printed as 0
    if _is_result(path):
        with written_whole(COUNTS / path) as draft:
            draft.write_text(str(len(table)), encoding="utf-8")
    with written_whole(path) as draft:
        table.to_csv(draft, index=False, float_format=f"%.{SIGNIFICANT_DIGITS}g", lineterminator="\n")


def read_table(path):
    """Read a CSV written by ``write_table``; empty cells of text columns stay empty strings."""
    return _read(path, keep_default_na=False, na_values={})


def read_numbers(path):
    """A CSV of numbers and names for computing on: every digit is kept, empty cells are nan."""
    return _read(path)


def read_text(path):
    """A CSV, every cell as it was written."""
    return _read(path, dtype=str, keep_default_na=False)


def _read(path, **options):
    """The table, if it is what its rule wrote, as far as the dictionary of results and the count of its rows tell."""
    try:
        table = pd.read_csv(path, **options)
        fault = _cut_off(path) or (_fault(path, table) if _is_result(path) else None)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        fault = f"is no table that can be read ({' '.join(str(error).split())})"
    if fault:
        raise TableError(f"{path}: {fault}; delete it and run snakemake again: {_maker(path)}.")
    return table


@functools.cache
def _dictionary():
    """The dictionary of results, read here once more: the computing rules need none of what shows it to readers."""
    return yaml.safe_load(Path("workflow/results.yaml").read_text(encoding="utf-8"))


def _columns(name):
    """What the columns of a table below results/ are: {name: {type, about, missing}}."""
    return next(entry["columns"] for pattern, entry in _dictionary().items() if fnmatchcase(name, pattern))


def _cut_off(path):
    """What is wrong with the end of the file, or None."""
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return None if file.read() == b"\n" else "its last line is cut off"


def _fault(path, table):
    """What is wrong with the table, in words, or None."""
    columns = _columns(Path(path).relative_to("results").as_posix())
    if list(table.columns) != list(columns) or not isinstance(table.index, pd.RangeIndex):
        return f"its columns are not {', '.join(columns)}"
    count = COUNTS / path
    if count.exists() and len(table) != int(count.read_text(encoding="utf-8")):
        return f"{len(table)} of {count.read_text(encoding='utf-8')} rows are there"
    if not count.exists() and table.empty:
        return "it has no rows"
    for name, column in columns.items():
        cells = table[name]
        empty = cells.isna() | (cells == "")
        if empty.any() and not column.get("missing"):
            return f"row {empty.idxmax() + 1} has no {name}"
        wrong = _wrong(cells[~empty], column["type"])
        if wrong.any():
            return f"row {wrong.idxmax() + 1} has {cells[wrong.idxmax()]!r} as {name}"
    return None


def _wrong(cells, kind):
    """Which cells are not of a type that the dictionary of results names."""
    if kind in ("integer", "number"):
        numbers = pd.to_numeric(cells, errors="coerce")
        return numbers.isna() | ((numbers % 1 != 0) if kind == "integer" else False)
    if kind == "yes_no":
        return ~cells.isin(["yes", "no"])
    return pd.Series(False, index=cells.index)


def _maker(path):
    """Which rule makes a file, in words, as far as its path stands in the rule files."""
    wanted = re.sub(r"\d+-of-\d+", "{scatteritem}", str(path))
    for file in sorted(Path("workflow/rules").glob("*.smk")):
        for rule, output in re.findall(
            r"^rule (\w+):.*?^    output:(.*?)^    log:", file.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        ):
            if f'"{wanted}"' in output:
                return f"the rule {rule} makes it"
    return "a rule makes it"


def _is_result(path):
    return Path(path).parts[0] == "results"
