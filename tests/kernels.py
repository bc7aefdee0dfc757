"""The tables under every kernel that the machine can run: which instructions its libraries use, and how many threads.

`python tests/kernels.py` computes the tables of the default configuration under each kernel in turn, compares them with
those of a plain run, byte by byte, and writes docs/kernels.md. It takes about two minutes for each kernel on two cores.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy._core import _multiarray_umath as umath

from conftest import PROJECT, Copy

PAGE = PROJECT / "docs/kernels.md"
ALL = ["results/claims.csv"]  # rests on every table
WITH_TORCH = [f"results/p{k}/claims.csv" for k in range(1, 5)]  # nothing in problem 5 imports it
SWITCHES = (
    *("OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA"),
    *("NPY_DISABLE_CPU_FEATURES", "GLIBC_TUNABLES"),
)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
OPENBLAS = ("Prescott", "Nehalem", "Sandybridge", "Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids")
OLD_LIBM = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX512F,-FMA,-FMA4"}
ERRORS = ("train_mse", "validation_mse", "test_mse", "risk", "size")
SMALL_MARGINS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3)  # relative
DRAWS = 2  # of problem 5 whose fits are compared with all their digits
FITS = """
import sys, pandas, yaml
sys.path.insert(0, "scripts")
import p5_sweep
block = yaml.safe_load(open("workflow/config.yaml", encoding="utf-8"))["double_descent"]
pandas.concat(p5_sweep.fits_table(block, k) for k in range(int(sys.argv[1]))).to_pickle(sys.argv[2])
"""
PROBE = """
import ctypes, glob, hashlib, json, math, os, sys
import numpy, scipy.linalg, torch
from numpy._core import _multiarray_umath as umath
rng = numpy.random.default_rng(0)
a, x = rng.standard_normal((2, 300, 300)), rng.standard_normal(10000)
b, images = torch.from_numpy(a[0]), torch.from_numpy(rng.standard_normal((16, 32, 24, 24))).float()
filters = torch.from_numpy(rng.standard_normal((32, 32, 3, 3))).float()
def digest(*arrays):
    return hashlib.sha256(b"".join(numpy.asarray(array).tobytes() for array in arrays)).hexdigest()
def core(package):
    folder = os.path.join(os.path.dirname(os.path.dirname(package.__file__)), package.__name__ + ".libs")
    for path in glob.glob(os.path.join(folder, "*openblas*")):
        for name in ("scipy_openblas_get_corename64_", "scipy_openblas_get_corename"):
            function = getattr(ctypes.CDLL(path), name, None)
            if function:
                function.restype = ctypes.c_char_p
                return function().decode()
print(json.dumps({
    "OpenBLAS of NumPy": [core(numpy), digest(a[0] @ a[1])],
    "OpenBLAS of SciPy": [core(scipy), digest(scipy.linalg.eigh(a[0] + a[0].T)[0])],
    "threads": [torch.get_num_threads()],
    "torch": [torch.backends.cpu.get_cpu_capability(), digest(torch.sigmoid(b), b.sum())],
    "MKL of torch": ["", digest(b @ b, b.float() @ b.float())],
    "oneDNN of torch": ["", digest(torch.nn.functional.conv2d(images, filters))],
    "NumPy": [
        " ".join(name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]),
        digest(numpy.exp(x), numpy.sin(x), numpy.arcsin(x / 9), x.sum()),
    ],
    "C library": ["", digest([(math.exp(t), math.sin(t), math.log(abs(t)), abs(t) ** 0.3) for t in x])],
}))
"""


class Kernel(NamedTuple):
    """Which instructions the libraries use."""

    name: str
    environment: Mapping = MappingProxyType({})
    threads: int = 1

    def variables(self):
        """The environment of a process that computes so."""
        plain = {name: value for name, value in os.environ.items() if name not in SWITCHES}
        return plain | self.environment | dict.fromkeys(THREADS, str(self.threads))

    def probe(self):
        """{library: what it says of itself, and a digest of what it computes}; None if it cannot run here."""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROBE],
            env=self.variables(),
            capture_output=True,
            text=True,
            check=False,
        )
        return json.loads(done.stdout) if done.returncode == 0 else None

    def compute(self, copy, *arguments):
        """Compute tables in a fresh copy of the project; returns {path below results/: bytes}."""
        for name in THREADS:
            copy.edit("scripts/pipeline/environment.py", f'{name}="1"', f'{name}="{self.threads}"')
        command = copy.command(*arguments)
        done = subprocess.run(command, cwd=copy.path, env=self.variables(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{self.name}:\n{done.stdout}{done.stderr}"
        return {path: content for path, content in copy.results().items() if path.endswith(".csv")}

    def fits(self, copy):
        """The fits of a few draws of problem 5, with all digits, as a DataFrame."""
        place = copy.path / "fits"
        command = [sys.executable, "-c", FITS, str(DRAWS), str(place)]
        subprocess.run(command, cwd=copy.path, env=self.variables(), stdout=subprocess.DEVNULL, check=True)
        return pd.read_pickle(place)


def numpy_features():
    """The instructions that NumPy uses here and can leave out, as it calls them, the most modern last."""
    return [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]]


def oldest():
    """All of the oldest instructions at once, and two threads: as far from a modern machine as can be."""
    switches = {"OPENBLAS_CORETYPE": "Prescott", "ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}
    switches |= {"ONEDNN_MAX_CPU_ISA": "SSE41", "NPY_DISABLE_CPU_FEATURES": " ".join(numpy_features())} | OLD_LIBM
    return Kernel("the oldest of each, and 2 threads", switches, threads=2)


def kernels():
    """(the plain kernel, [(another kernel, the libraries that it switches), ...]), all that differ here."""
    plain = Kernel("as the machine chooses")
    probes, found = [plain.probe()], []
    for kernel in candidates():
        probe = kernel.probe()
        if probe and probe not in probes:
            probes.append(probe)
            found.append((kernel, [name for name in probe if probe[name] != probes[0][name]]))
    return plain, found


def candidates():
    """Every kernel to try."""
    yield from (Kernel(f"OPENBLAS_CORETYPE={name}", {"OPENBLAS_CORETYPE": name}) for name in OPENBLAS)
    for variable, values in (
        ("ATEN_CPU_CAPABILITY", ("default", "avx2", "avx512")),
        ("MKL_CBWR", ("COMPATIBLE", "AVX2", "AVX512")),
        ("MKL_ENABLE_INSTRUCTIONS", ("SSE4_2", "AVX2")),
        ("ONEDNN_MAX_CPU_ISA", ("SSE41", "AVX2")),
    ):
        yield from (Kernel(f"{variable}={value}", {variable: value}) for value in values)
    for left_out in {" ".join(numpy_features()[k:]): None for k in (0, 1)}:
        yield Kernel(f"NPY_DISABLE_CPU_FEATURES={left_out}", {"NPY_DISABLE_CPU_FEATURES": left_out})
    yield Kernel("GLIBC_TUNABLES without FMA, AVX2 and AVX-512", OLD_LIBM)
    yield from (Kernel(f"{threads} threads", threads=threads) for threads in (2, 4))
    yield oldest()


def targets(libraries):
    """What to compute under a kernel that switches these libraries."""
    return WITH_TORCH if all("torch" in name for name in libraries) else ALL


def differing(plain, other):
    """{table: {column: largest relative difference}} of those that a run has made, where their bytes differ."""
    changed = [path for path in sorted(other) if plain[path] != other[path]]
    return {path: column_differences(*(pd.read_csv(BytesIO(run[path])) for run in (plain, other))) for path in changed}


def column_differences(one, other):
    """{column: largest relative difference} of two tables, where there is one."""
    return {name: gap for name in one if (gap := relative_difference(one[name], other[name])) > 0}


def relative_difference(one, other):
    """The largest of |a - b| / |a| over two columns; infinite if they are words, or not as many, and differ."""
    if len(one) != len(other) or not all(map(pd.api.types.is_numeric_dtype, (one, other))):
        return 0.0 if one.equals(other) else np.inf
    one, other = (column.to_numpy(dtype=float) for column in (one, other))
    gaps = np.abs(one - other) / np.where(one == 0, 1.0, np.abs(one))
    return float(np.nanmax(np.where(one == other, 0.0, gaps), initial=0.0))


def noise(plain, other):
    """The largest relative difference between two kernels in any error of a fit, all digits counted."""
    return max(relative_difference(plain[name], other[name]) for name in ERRORS)


def moved(plain, other):
    """How far another kernel moves the errors of a chosen penalty and its runner-up together, over their distance.

    The largest over all draws and widths; below 1 no choice can turn over.
    """
    count = plain["position"].max()
    one, two = (
        fits.loc[fits["position"] > 0, "validation_mse"].to_numpy().reshape(-1, count) for fits in (plain, other)
    )
    order = np.argsort(one, axis=1, kind="stable")[:, :2]
    best, again = (np.take_along_axis(errors, order, axis=1) for errors in (one, two))
    return float(np.max(np.abs(best - again).sum(axis=1) / (best[:, 1] - best[:, 0])))


def page(machine, runs, libraries, fits):
    """docs/kernels.md. By kernel, the plain one first: tables as bytes, libraries that it switches, fits if any."""
    (plain, base), *others = runs.items()
    rows = [
        f"| {name} | {', '.join(libraries[name])} | {len(made)} | {in_words(differing(base, made)) or 'none'} |"
        for name, made in others
    ]
    noises = {name: noise(fits[plain], found) for name, found in fits.items() if name != plain}
    largest_move = max(moved(fits[plain], found) for name, found in fits.items() if name != plain)
    tuned = pd.read_csv(BytesIO(base["p5/tuned_lambda.csv"]))
    margins = (tuned["margin"] / tuned["validation_mse"]).sort_values()
    equal = all(row.endswith("| none |") for row in rows)
    return OPENING.format(
        machine=machine,
        verdict="and are the same to the byte" if equal else "and are the same to the byte but for what is named below",
        count=len(base),
        rows="\n".join(rows),
        noise="\n".join(f"| {name} | {gap:.0e} |" for name, gap in noises.items()),
        draws=DRAWS,
        largest=f"{max(noises.values()):.0e}",
        choices=f"{len(margins):,}",
        counts="\n".join(f"| {bound:.0e} | {np.sum(margins < bound)} |" for bound in SMALL_MARGINS),
        margins=", ".join(f"{margin:.1e}" for margin in margins[:5]),
        widths=", ".join(map(str, sorted(set(tuned["n_features"][margins.index[:10]])))),
        moved=f"{largest_move:.0e}",
        turned="none was near to being turned over" if largest_move < 0.5 else "some could have been turned over",
    )


def in_words(found):
    """What ``differing`` found, in words."""
    return "; ".join(
        f"`{path}`: {', '.join(f'`{name}` by {gap:.0e}' for name, gap in gaps.items())}" for path, gaps in found.items()
    )


OPENING = """# The tables under other kernels

Libraries choose their code by the machine, and sum in another order with more threads: the last digits of
a number differ from machine to machine. The tables hold six digits, {verdict}
under the kernels that this machine can run ({machine}). Each line is a run of the default configuration, {count} tables
against those of a plain run with one thread for each job; for what only torch uses it is the tables of problems 1 to 4,
since nothing in problem 5 imports it. A switch that changed neither what a library says of itself nor a digit of a
trial computation is left out. Written by `python tests/kernels.py`; a test of the suite compares the last line's
kernel with a plain run of a small configuration.

| Kernel | Libraries that compute otherwise | Tables | Tables that differ |
|:--|:--|--:|:--|
{rows}

What the rounding hides: the largest relative difference in any error of a fit, over all widths and penalties of {draws}
draws of problem 5, with all digits.

| Kernel | Largest relative difference before rounding |
|:--|--:|
{noise}

## The choices

A penalty is tuned {choices} times, for each replicate and width. Its margin is what the next penalty's validation error
exceeds its own by; relative to it, so many are below:

| Margin below | Choices |
|--:|--:|
{counts}

The five smallest are {margins}; the ten smallest are at p = {widths}.
No kernel moved an error by more than {largest} of it, nor the errors of a chosen penalty and its runner-up together by
more than {moved} of their margin: of the choices {turned}.
`results/p5/tuned_lambda.csv` has every margin.
"""


def machine_in_words():
    """The processor in general words."""
    levels = {"X86_V4": "AVX-512", "X86_V3": "AVX2"}  # NumPy's names
    widest = next((words for name, words in levels.items() if name in numpy_features()), "no wider vectors")
    return f"{platform.machine().replace('_', '-')} with {widest}"


def main():
    """Compute everything and write the page."""
    plain, others = kernels()
    runs, fits, libraries = {}, {}, {kernel.name: names for kernel, names in others}
    for number, kernel in enumerate([plain, *(kernel for kernel, _ in others)], start=1):
        print(f"{number} of {1 + len(others)}: {kernel.name}", flush=True)
        wanted = targets(libraries[kernel.name]) if kernel != plain else ALL
        with tempfile.TemporaryDirectory() as folder:
            copy = Copy(Path(folder) / "project")
            runs[kernel.name] = kernel.compute(copy, *wanted)
            if wanted == ALL:
                fits[kernel.name] = kernel.fits(copy)
        print(in_words(differing(runs[plain.name], runs[kernel.name])) or "   every byte is the same", flush=True)
    PAGE.write_text(page(machine_in_words(), runs, libraries, fits), encoding="utf-8")


if __name__ == "__main__":
    main()
