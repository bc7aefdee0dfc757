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


class _Fault(ValueError):
    """What is wrong with a table, in words."""


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


def write_table(table, path, digits=SIGNIFICANT_DIGITS):
    """Write a DataFrame as CSV: floats to so many significant digits, booleans as yes and no."""
    write_blocks([table], path, digits)


def write_blocks(blocks, path, digits=SIGNIFICANT_DIGITS):
    """Write tables with the same columns as one CSV, one below the other; one at a time is in memory.

    If there is none at all, the header comes from the dictionary of results.
    """
    rows = 0
    with written_whole(path) as draft:
        with open(draft, "w", encoding="utf-8", newline="") as file:
            for number, block in enumerate(blocks):
                _plain(block).to_csv(
                    file, header=number == 0, index=False, float_format=f"%.{digits}g", lineterminator="\n"
                )
                rows += len(block)
            if not file.tell():
                file.write(",".join(_columns(_name(path))) + "\n")
        if _is_result(path):
            with written_whole(COUNTS / path) as count:
                count.write_text(str(rows), encoding="utf-8")


def _plain(table):
    """The table with booleans as yes and no, and no negative zeros."""
    table = table.copy()
    for name in table.columns:
        if pd.api.types.is_bool_dtype(table[name]):
            table[name] = table[name].map({True: "yes", False: "no"})
        elif pd.api.types.is_float_dtype(table[name]):
            table[name] = table[name] + 0.0
    return table


def read_table(path):
    """Read a CSV written by ``write_table``; empty cells of text columns stay empty strings."""
    return _read(path, keep_default_na=False, na_values={})


def read_numbers(path):
    """A CSV of numbers and names for computing on: every digit is kept, empty cells are nan."""
    return _read(path)


def read_text(path):
    """A CSV, every cell as it was written."""
    return _read(path, dtype=str, keep_default_na=False)


def read_blocks(path, rows):
    """A CSV of numbers, so many rows at a time: yields DataFrames; one is in memory. For tables of any size."""
    done = 0
    with _refusing(path):
        _check_end(path)
        _check_count(path, _number_of_lines(path) - 1)
        for block in pd.read_csv(path, chunksize=rows):
            table = block.reset_index(drop=True)
            _check_rows(path, table, before=done)
            done += len(table)
            yield table


def _read(path, **options):
    """The table, if it is what its rule wrote, as far as the dictionary of results and the count of its rows tell."""
    with _refusing(path):
        table = pd.read_csv(path, **options)
        _check_end(path)
        _check_count(path, len(table))
        _check_rows(path, table)
        return table


def repeated(table, column):
    """The rows of a table, each as often as its entry of the column says, without that column."""
    return table.loc[table.index.repeat(table[column])].drop(columns=column).reset_index(drop=True)


@contextmanager
def _refusing(path):
    """Have what is wrong with a table said with its path and the mend."""
    try:
        yield
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        fault = f"is no table that can be read ({' '.join(str(error).split())})"
    except _Fault as error:
        fault = str(error)
    else:
        return
    raise TableError(f"{path}: {fault}; delete it and run snakemake again: {_maker(path)}.")


@functools.cache
def _dictionary():
    """The dictionary of results, read here once more: the computing rules need none of what shows it to readers."""
    return yaml.safe_load(Path("workflow/results.yaml").read_text(encoding="utf-8"))


def _columns(name):
    """What the columns of a table below results/ are: {name: {type, about, missing}}."""
    return next(entry["columns"] for pattern, entry in _dictionary().items() if fnmatchcase(name, pattern))


def _check_end(path):
    """Raise _Fault if the last line is not whole."""
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                raise _Fault("its last line is cut off")


def _number_of_lines(path):
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b""))


def _check_count(path, rows):
    """Raise _Fault unless there are as many rows as were written."""
    count = COUNTS / path
    if not _is_result(path):
        return
    if count.exists() and rows != int(count.read_text(encoding="utf-8")):
        raise _Fault(f"{rows} of {count.read_text(encoding='utf-8')} rows are there")
    if not count.exists() and rows == 0:
        raise _Fault("it has no rows")


def _check_rows(path, table, before=0):
    """Raise _Fault unless the rows have the columns that the dictionary of results names, with values of their types.

    before: how many rows of the file were looked at already.
    """
    if not _is_result(path):
        return
    columns = _columns(_name(path))
    if list(table.columns) != list(columns) or not isinstance(table.index, pd.RangeIndex):
        raise _Fault(f"its columns are not {', '.join(columns)}")
    for name, column in columns.items():
        cells = table[name]
        empty = cells.isna() | (cells == "")
        if empty.any() and not column.get("missing"):
            raise _Fault(f"row {before + empty.idxmax() + 1} has no {name}")
        wrong = _wrong(cells[~empty], column["type"])
        if wrong.any():
            raise _Fault(f"row {before + wrong.idxmax() + 1} has {cells[wrong.idxmax()]!r} as {name}")


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


def _name(path):
    """The path of a result below results/."""
    return Path(path).relative_to("results").as_posix()


def _is_result(path):
    return Path(path).parts[0] == "results"
