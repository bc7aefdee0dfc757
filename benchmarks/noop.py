"""How long `snakemake --cores all` takes with nothing to do, beside a workflow of as many trivial rules and jobs.

Both are run once and then, in turn, with nothing to do; medians of CPU and wall seconds, and their ratios. A trivial
rule echoes into one file; in a third workflow each has one parameter too, for which Snakemake loads pandas.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".snakemake", "results", "node_modules", "pipeline-report*")
ENVIRONMENT = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}


def snakemake(folder, *arguments):
    """Run Snakemake in a folder; returns what it printed."""
    command = [sys.executable, "-m", "snakemake", "--cores", "all", *arguments]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout + done.stderr


def project(folder):
    """The small experiment, run once in a folder; returns {rule: number of jobs}."""
    shutil.copytree(PROJECT, folder, ignore=LEFT_OUT)
    shutil.copyfile(folder / "tests/config.yaml", folder / "workflow/config.yaml")
    counts = re.findall(r"^(\w+) +(\d+)$", snakemake(folder), flags=re.MULTILINE)
    return {rule: int(count) for rule, count in counts if rule not in ("all", "total")}


def trivial(folder, counts, parameter):
    """As many rules and jobs, run once; a job writes one file, and with ``parameter`` its rule has one."""
    folder.mkdir()
    text = [f"rule all:\n    input:\n        {[f'out/{rule}-{k}' for rule, n in counts.items() for k in range(n)]},\n"]
    for rule in counts:
        params = "    params:\n        word=1,\n" if parameter else ""
        text.append(
            f'rule {rule}:\n    output:\n        "out/{rule}-{{k}}",\n{params}    shell:\n        "echo > {{output}}"\n'
        )
    (folder / "Snakefile").write_text("\n".join(text), encoding="utf-8")
    snakemake(folder)


def cost(folder):
    """(CPU, wall) seconds of one run with nothing to do."""
    before, start = os.times(), time.perf_counter()
    assert "Nothing to be done" in snakemake(folder)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu, time.perf_counter() - start


def measure(folder, repeats):
    """Print a line for each workflow; returns the ratio of CPU seconds to the trivial workflow's."""
    counts = project(folder / "project")
    trivial(folder / "trivial", counts, parameter=False)
    trivial(folder / "with_parameters", counts, parameter=True)
    costs = {name: [] for name in ("project", "trivial", "with_parameters")}
    for _ in range(repeats):
        for name, own in costs.items():
            own.append(cost(folder / name))
    medians = {name: [statistics.median(kind) for kind in zip(*own, strict=True)] for name, own in costs.items()}
    print(f"{len(counts)} rules, {sum(counts.values())} jobs, {repeats} runs each")
    for name, (cpu, wall) in medians.items():
        ratios = [own / other for own, other in zip(medians["project"], (cpu, wall), strict=True)]
        print(f"{name:16} {cpu:.2f} s CPU, {wall:.2f} s wall; project / this: {ratios[0]:.2f}, {ratios[1]:.2f}")
    return medians["project"][0] / medians["trivial"][0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    with tempfile.TemporaryDirectory() as place:
        measure(Path(place), parser.parse_args().repeats)
