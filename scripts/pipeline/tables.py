"""Tables as CSV files: six significant digits, Unix line ends, written whole or not at all.

That a table is what its rule wrote is settled before it is read, by its sum (records.py).
"""

from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd
import yaml

from pipeline.files import written_whole

SIGNIFICANT_DIGITS = 6


def write_table(table, path, digits=SIGNIFICANT_DIGITS):
    """Write a DataFrame as CSV: floats to so many significant digits, booleans as yes and no."""
    write_blocks([table], path, digits)


def write_blocks(blocks, path, digits=SIGNIFICANT_DIGITS):
    """Write tables with the same columns as one CSV, one below the other; one at a time is in memory.

    If there is none at all, the header comes from the dictionary of results.
    """
    with written_whole(path) as draft, open(draft, "w", encoding="utf-8", newline="") as file:
        for number, block in enumerate(blocks):
            _plain(block).to_csv(
                file, header=number == 0, index=False, float_format=f"%.{digits}g", lineterminator="\n"
            )
        if not file.tell():
            file.write(",".join(_columns(path)) + "\n")


def _plain(table):
    """The table with booleans as yes and no, and no negative zeros."""
    table = table.copy()
    for name in table.columns:
        if pd.api.types.is_bool_dtype(table[name]):
            table[name] = table[name].map({True: "yes", False: "no"})
        elif pd.api.types.is_float_dtype(table[name]):
            table[name] = table[name] + 0.0
    return table


def _columns(path):
    """The columns of a table below results/, from the dictionary of results."""
    name = Path(path).relative_to("results").as_posix()
    dictionary = yaml.safe_load(Path("workflow/results.yaml").read_text(encoding="utf-8"))
    return next(entry["columns"] for pattern, entry in dictionary.items() if fnmatchcase(name, pattern))


def read_table(path):
    """Read a CSV written by ``write_table``; empty cells of text columns stay empty strings."""
    return pd.read_csv(path, keep_default_na=False, na_values={})


def read_numbers(path):
    """A CSV of numbers and names for computing on: every digit is kept, empty cells are nan."""
    return pd.read_csv(path)


def read_text(path):
    """A CSV, every cell as it was written."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def read_blocks(path, rows):
    """A CSV of numbers, so many rows at a time: yields DataFrames; one is in memory. For tables of any size."""
    with pd.read_csv(path, chunksize=rows) as blocks:
        for block in blocks:
            yield block.reset_index(drop=True)


def repeated(table, column):
    """The rows of a table, each as often as its entry of the column says, without that column."""
    return table.loc[table.index.repeat(table[column])].drop(columns=column).reset_index(drop=True)
