"""Tables as CSV files: six significant digits, Unix line ends, written whole or not at all."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

SIGNIFICANT_DIGITS = 6


@contextmanager
def written_whole(path):
    """Yield a temporary path beside ``path`` and rename it onto ``path`` when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
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
    """Write a DataFrame as CSV: floats to ``digits`` significant digits, booleans as yes and no."""
    table = table.copy()
    for name in table.columns:
        if pd.api.types.is_bool_dtype(table[name]):
            table[name] = table[name].map({True: "yes", False: "no"})
        elif pd.api.types.is_float_dtype(table[name]):
            table[name] = table[name] + 0.0  # a negative zero is printed as 0
    with written_whole(path) as draft:
        table.to_csv(draft, index=False, float_format=f"%.{digits}g", lineterminator="\n")


def read_table(path):
    """Read a CSV written by ``write_table``; empty cells of text columns stay empty strings."""
    table = pd.read_csv(path, keep_default_na=False, na_values={})
    if table.empty:
        raise ValueError(f"{path}: the table has no rows; delete it and run snakemake again")
    return table


def read_numbers(path):
    """A CSV of numbers and names for computing on: every digit is kept, empty cells are nan, no row is allowed."""
    return pd.read_csv(path)
