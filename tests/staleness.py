"""What depends on what, found out without the project's own bookkeeping: for test_staleness.py and docs/staleness.md.

A run of the small experiment is observed: which files each job opens and writes, which keys it reads. To that come the
modules that its script imports, as Python's own modulefinder sees them. `python tests/staleness.py` writes the page.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from modulefinder import ModuleFinder
from pathlib import Path
from typing import NamedTuple

import yaml

from conftest import PROJECT, Copy, environment_with

PAGE = PROJECT / "docs/staleness.md"
OBSERVE = PROJECT / "tests/observe"
SUMS, CONFIG, METADATA = (f"results/report/{name}" for name in ("sources.sha256", "config.yaml", "_metadata.yml"))
PASSED = "results/gate.txt"  # no document is made unless it is: they depend on it without reading it
DICTIONARY, ITS_READER = "workflow/results.yaml", "scripts/pipeline/results.py"
CLAIMS = ("claims_gather", "claims_gate")
REPORT = ("report_numbers", "report_html", "report_pdf")


class Job(NamedTuple):
    """What the jobs of one rule did."""

    count: int
    reads: frozenset  # files of the project and its results, and the modules that its script can import
    writes: frozenset
    keys: frozenset  # of the configuration, dotted, to the leaves
    packages: frozenset  # top-level names that its modules import and the project does not have


class Workflow:
    """The small experiment in a folder of its own, run once and observed; it may be changed, and changed back."""

    def __init__(self, folder):
        self.copy = Copy(folder / "a project")
        self.path = self.copy.path
        shutil.copyfile(self.path / "tests/config.yaml", self.path / "workflow/config.yaml")
        self.files = _source_files(self.path)
        self.config = yaml.safe_load((self.path / "workflow/config.yaml").read_text(encoding="utf-8"))
        notes = folder / "notes"
        notes.mkdir()
        self._run(notes, environment_with(OBSERVE / "observing.py", folder / "environment"))
        observed = _by_rule(notes)
        self.scripts = {rule: script for rule, script in _scripts(self.path).items() if rule in observed}
        self.rules = {rule: self._observed(rule, own) for rule, own in observed.items()}
        written = set().union(*(job.writes for job in self.rules.values()))
        self.outputs = sorted(path for path in written if (self.path / path).exists())
        self.temporary = written.difference(self.outputs)
        self.named = json.loads((self.path / METADATA).read_text(encoding="utf-8"))["made"]

    def _run(self, notes, python):
        environment = os.environ | {"OBSERVED": str(notes), "PYTHONDONTWRITEBYTECODE": "1"}
        command = self.copy.command(python=python)
        done = subprocess.run(command, cwd=self.path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def _observed(self, rule, notes):
        modules, packages = _modules(self.path, self.scripts[rule])
        block = list(self.config)[int(rule[1]) - 1] if rule[1].isdigit() else ""
        reads = {path for path in map(self._own, notes["reads"]) if path in self.files or path.startswith("results/")}
        fonts = {match[1] for path in notes["reads"] if (match := re.search(r"/site-packages/(\w+)/.*\.ttf$", path))}
        return Job(
            count=len(notes["rule"]),
            reads=frozenset(reads | modules),
            writes=frozenset(path for path in map(self._own, notes["writes"]) if path.startswith("results/")),
            keys=frozenset(_leaf(f"{block}.{key}") for key in notes["key"]),
            packages=frozenset(packages | fonts),
        )

    def _own(self, path):
        return os.path.relpath(path, self.path)

    def readers(self, file):
        """The rules whose jobs look at a file, or import it."""
        found = {rule for rule, job in self.rules.items() if file in job.reads}
        if file == DICTIONARY:  # the others only compare tables with it: they may stop, but write the same
            found = {rule for rule in found if ITS_READER in self.rules[rule].reads}
        summed = {line.split(maxsplit=1)[1] for line in (self.path / SUMS).read_text().splitlines()}
        return found | ({self.writer(SUMS)} if file in summed else set())

    def readers_of_key(self, leaf):
        """The rules whose results depend on a leaf of the configuration, by dotted path."""
        found = {rule for rule, job in self.rules.items() if leaf in job.keys}
        gated = set() if leaf.startswith("report.") else {self.writer(PASSED)}  # where all is default, findings gate
        shown = leaves(yaml.safe_load((self.path / CONFIG).read_text(encoding="utf-8")))
        return found | gated | ({self.writer(CONFIG)} if leaf in shown else set())

    def readers_of_package(self, package):
        """The rules whose modules import a package, or read its fonts, and the one that names its version."""
        found = {rule for rule, job in self.rules.items() if package in job.packages}
        named = re.search(rf"\b{package} [\d.]+", f"{self.named['engine']} {self.named['packages']}")
        return found | ({self.writer(METADATA)} if named else set())

    def writer(self, output):
        """The rule that makes a file."""
        (rule,) = (rule for rule, job in self.rules.items() if output in job.writes)
        return rule

    def jobs(self, rules):
        """{rule: number of jobs} of these rules, of all that read what they write, and so on.

        Who reads temporary files has them made again.
        """
        found, waiting = set(), set(rules)
        while waiting:
            rule = waiting.pop()
            found.add(rule)
            waiting |= (self.followers(rule) | self.suppliers(rule)) - found
        return {rule: self.rules[rule].count for rule in found}

    def jobs_after(self, output):
        """The same for a single output that is missing: of the rule that makes it just one job."""
        return self.jobs({self.writer(output)}) | {self.writer(output): 1}

    def followers(self, rule):
        """The rules that read what a rule writes."""
        writes = self.rules[rule].writes
        documents = set(REPORT[1:]) if PASSED in writes else set()
        return documents | {other for other, job in self.rules.items() if job.reads & writes} - {rule}

    def suppliers(self, rule):
        """The rules that write the temporary files that a rule reads."""
        read = self.rules[rule].reads & self.temporary
        return {other for other, job in self.rules.items() if job.writes & read}

    def packages(self):
        """The packages that some rule uses and that come from no standard library."""
        used = set().union(*(job.packages for job in self.rules.values()))
        return sorted(used - set(sys.stdlib_module_names))


class DryRuns:
    """Dry runs in a folder; a context manager."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        self.server = subprocess.Popen(
            [sys.executable, str(OBSERVE / "dry_runs.py")],
            cwd=self.folder,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait()

    def planned(self, *arguments, path=(), without=()):
        """{rule: number of jobs} that a run with these arguments would start; with ``without`` a list of them."""
        request = {"arguments": arguments, "path": list(map(str, path)), "without": list(without)}
        print(json.dumps(request), file=self.server.stdin, flush=True)
        answers = [json.loads(self.server.stdout.readline()) for _ in without or [None]]
        for answer in answers:
            assert answer["code"] == 0, answer["printed"]
            answer["jobs"].pop("all", None)
        return [answer["jobs"] for answer in answers] if without else answers[0]["jobs"]


def leaves(config, path=""):
    """{dotted path: value} of a nested mapping; the networks, whose names are free, are one leaf."""
    found = {}
    for key, value in config.items():
        inner = f"{path}{key}"
        nested = isinstance(value, dict) and key != "networks"
        found |= leaves(value, f"{inner}.") if nested else {inner: value}
    return found


def _source_files(copy):
    """The files of a fresh copy, sorted; in a clone without those that git does not track, such as a reader's own."""
    files = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    known = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=False)
    return sorted(files & set(known.stdout.splitlines()) if (PROJECT / ".git").exists() else files)


def _leaf(key):
    """The leaf that a key that was read belongs to."""
    return re.sub(r"(\.networks)\..*", r"\1", key)


def _scripts(project):
    """{rule: script} as the rule files say."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((project / "workflow/rules").glob("*.smk")))
    return dict(re.findall(r'^rule (\w+):.*?^    script:\n        "\.\./\.\./(\S+)"$', text, re.MULTILINE | re.DOTALL))


def _modules(project, script):
    """(files of the project that a script can import and itself, top-level names of what else it imports)."""
    finder = ModuleFinder(path=[str(project / "scripts")])
    finder.run_script(str(project / script))
    paths = [module.__file__ for module in finder.modules.values() if module.__file__]  # the others are built in
    files = {Path(path).relative_to(project).as_posix() for path in paths}
    return files, {name.split(".")[0] for name in finder.badmodules}


def _by_rule(notes):
    """{rule: {kind: Counter of texts}} of the notes of all jobs."""
    found = {}
    for file in notes.iterdir():
        lines = [line.split(maxsplit=1) for line in file.read_text().splitlines()]
        kinds = found.setdefault(dict(lines[:1])["rule"], {"rule": [], "reads": [], "writes": [], "key": []})
        for kind, text in lines:
            kinds[kind].append(text)
    return found


def page(workflow):
    """docs/staleness.md: which rules run again when a file, a key of the configuration or a package changes."""
    files = {file: _cells(workflow, workflow.readers(file)) for file in workflow.files}
    needed = {file: cells for file, cells in files.items() if any(cells)}
    folders = {file.split("/")[0] for file in needed}  # of the others the files are not named one by one
    idle = {file if file.split("/")[0] in folders else re.sub("/.*", "/", file) for file in files.keys() - needed}
    keys = {leaf: _cells(workflow, workflow.readers_of_key(leaf)) for leaf in leaves(workflow.config)}
    packages = {name: _cells(workflow, workflow.readers_of_package(name)) for name in workflow.packages()}
    kept = {rule for rule in workflow.scripts if not workflow.rules[rule].writes <= workflow.temporary}
    outputs = {rule: _cells(workflow, {rule}) for rule in workflow.scripts if rule in kept}
    return (
        "\n\n".join(
            [
                OPENING,
                "## If a file changes",
                _table("File", needed),
                f"No job depends on these: {_listed(sorted(idle))}.",
                "## If a key of the configuration changes",
                _table("Key", keys),
                "## If a package is installed in another version",
                _table("Package, as it is imported", packages),
                "## If an output is missing",
                _table("Rule that makes it", outputs),
            ]
        )
        + "\n"
    )


OPENING = """# What runs again

A change on the left has the jobs on the right run again, and no others. *Claims* stands for `claims_gather` and
`claims_gate`, *report* for `report_numbers`, `report_html` and `report_pdf`. For Python files the table is about code:
a comment or a docstring changes no number, but the report carries the sum of every source, and is made again. `touch`
alone, or a change that is taken back, has nothing run; times and Snakemake's records do not count (docs/records.md).
What `p5_sweep` and `p5_closer` write is temporary: a rule that has to read it again has it made again. The rule
`archive`, which is not part of `all`, depends on every source and every result.

`make why` tells what would run now, and why. This page is written by `python tests/staleness.py` from what the jobs of
an observed run open, import and write; tests/test_staleness.py makes each change and compares what is planned."""


def _cells(workflow, rules):
    """(rules of the problems, claims, report) that run if these rules do."""
    jobs = workflow.jobs(rules)
    problems = [rule for rule in workflow.scripts if rule in jobs and rule not in CLAIMS + REPORT]
    return (_listed(problems), *(_whole(group, jobs) for group in (CLAIMS, REPORT)))


def _whole(group, jobs):
    own = [rule for rule in group if rule in jobs]
    return "all" if len(own) == len(group) else _listed(own)


def _listed(names):
    return ", ".join(f"`{name}`" for name in names)


def _table(title, rows):
    lines = [f"| {title} | Problems | Claims | Report |", "|:--|:--|:--|:--|"]
    return "\n".join(lines + [f"| `{name}` | {' | '.join(cells)} |" for name, cells in rows.items()])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(page(Workflow(Path(folder))), encoding="utf-8")
