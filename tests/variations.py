"""Runs of the small experiment in odd surroundings, in the manner of reprotest: does any byte of the results change?

`python tests/variations.py` makes each variation that the machine permits, alone, compares with a plain run, and writes
docs/variations.md. tests/test_variations.py makes them all at once.
"""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from conftest import EMBEDDED, PROJECT, SMALL, Copy, environment_with, track
from kernels import oldest

PAGE = PROJECT / "docs/variations.md"
LISTINGS = PROJECT / "tests/vary/shuffling.py"
TARGET = ["archive", *EMBEDDED]
AS_ROOT = os.geteuid() == 0
NAMESPACE = ["unshare"] if AS_ROOT else ["unshare", "--user", "--map-root-user"]  # there one has a root's rights
USER = "12345"  # nobody's number
HOST = "another-machine"
ODD_PLACE = f"a folder für alles/чужой дом/{'deep/' * 12}its project"
ODD_STYLE = "font.size: 30\naxes.facecolor: red\nlines.linewidth: 9\nsvg.fonttype: none\naxes.grid: True\n"
ODD = {  # {odd} is a folder with the file above
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "7"),
    **dict.fromkeys(("MATPLOTLIBRC", "MPLCONFIGDIR", "TMPDIR", "TYPST_FONT_PATHS"), "{odd}"),
    **dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), "{odd}/none"),
    **{
        "MPLBACKEND": "pdf",
        "SOURCE_DATE_EPOCH": "1",
        "COLUMNS": "17",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "FORCE_COLOR": "1",
    },
    **{"PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1", "PYTHONOPTIMIZE": "1", "PYTHONWARNINGS": "always"},
    **{"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.autocrlf", "GIT_CONFIG_VALUE_0": "true"},
    **{"LANGUAGE": "de:tr", "SHELL": "/bin/false", "CDPATH": "/"},
}


class Variation(NamedTuple):
    """What differs from a plain run."""

    name: str
    setting: str  # in words
    environment: Mapping = MappingProxyType({})
    command: tuple = ()  # the program that starts the run, with its arguments
    place: str = "project"  # where the copy lies
    umask: int = -1
    cores: int = 2
    bare: bool = False  # of the environment only PATH is left
    user: bool = False  # the copy belongs to another user
    disorder: bool = False  # below a file system that shuffles its folders
    module: str = ""  # a Python file that each process loads at its start
    probe: str = ""  # a shell command that shows the variation: under it it prints something else; "$0" is Python
    joins: bool = True  # in the run that has all at once; false if another one excludes it

    def obstacle(self):
        """Why the machine does not permit the variation, in words, or None."""
        if self.user and not AS_ROOT:
            return "only root can become another user"
        needed = ("disorderfs",) if self.disorder else self.command
        if needed and not shutil.which(needed[0]):
            return f"{needed[0]} is not installed"
        try:
            with tempfile.TemporaryDirectory() as folder, self.surroundings(Path(folder)) as start:
                permitted = start("sh", "-c", 'exec "$0" -c ""', sys.executable).returncode == 0
        except PermissionError:
            permitted = False
        return None if permitted else f"{shlex.join(needed)} is not permitted here"

    @contextlib.contextmanager
    def surroundings(self, folder):
        """In the empty folder, a function that runs a command at the variation's place; it has no copy yet."""
        folder.chmod(0o755)
        below, odd = folder / "below", folder / "odd"
        for new in (below, odd):
            new.mkdir()
        odd.chmod(0o777)
        (odd / "matplotlibrc").write_text(ODD_STYLE)
        place = below / self.place
        kept = {"PATH": os.environ["PATH"]} if self.bare else os.environ
        environment = kept | {name: value.replace("{odd}", str(odd)) for name, value in self.environment.items()}
        mounted = _disordered(folder, below) if self.disorder else contextlib.nullcontext()
        python = environment_with(self.module, folder / "environment") if self.module else sys.executable

        def start(*command):
            command = [python if word == sys.executable else word for word in command]
            if self.user:
                subprocess.run(["chown", "--recursive", f"{USER}:{USER}", below], check=True)
            return subprocess.run(
                [*self.command, *command],
                **{"cwd": place, "env": environment, "umask": self.umask, "check": False},
                **{"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "errors": "replace"},
            )

        with mounted:
            place.mkdir(parents=True)
            yield start


@contextlib.contextmanager
def _disordered(folder, place):
    """The place becomes another view of a new folder, through disorderfs; PermissionError where that is not allowed."""
    store = folder / "store"
    store.mkdir()
    order = ["--shuffle-dirents=yes", "--sort-dirents=no", "--reverse-dirents=no"]
    if subprocess.run(["disorderfs", "-q", *order, store, place], capture_output=True, check=False).returncode:
        raise PermissionError("disorderfs cannot be mounted")
    try:
        yield
    finally:
        subprocess.run(["fusermount", "-u", place], check=True)


def variations():
    """Every variation, also those that the machine does not permit."""
    return [
        Variation("build path", f"`{ODD_PLACE}`", place=ODD_PLACE, probe="pwd"),
        Variation(
            "no network",
            "a namespace without interfaces (`unshare --net`)",
            command=(*NAMESPACE, "--net"),
            probe="readlink /proc/self/ns/net",
        ),
        Variation(
            "machine name",
            f"`{HOST}`",
            command=(*NAMESPACE, "--uts", "sh", "-c", f'hostname {HOST} && exec "$@"', "sh"),
            probe="uname -n",
        ),
        Variation(
            "user",
            f"another one, number {USER}",
            {"HOME": "{odd}/home"},  # Snakemake keeps a cache there
            command=("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"),
            user=True,
            probe="id -u",
        ),
        Variation("home", "a folder that does not exist", {"HOME": "{odd}/no home"}, probe='echo "$HOME"'),
        Variation("umask", "077: others may not even read", umask=0o077, probe="umask"),
        Variation("umask", "002: the group may write", umask=0o002, probe="umask", joins=False),
        *_locales(),
        Variation("time zone", "`Pacific/Kiritimati`, 14 hours ahead", {"TZ": "Pacific/Kiritimati"}, probe="date +%z"),
        Variation(
            "date",
            "400 days later",
            {"FAKETIME_DONT_FAKE_MONOTONIC": "1"},
            command=("faketime", "-f", "+400d"),
            probe="date +%Y",
        ),
        Variation(
            "date",
            "400 days earlier, which the times of files do not know",
            {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"},
            command=("faketime", "-f", "-400d"),
            probe="date +%Y",
            joins=False,
        ),
        Variation("cores", "1", cores=1, joins=False),
        Variation("cores", "3", cores=3),
        Variation(
            "listings of folders",
            "shuffled in every Python process (`tests/vary`)",
            module=str(LISTINGS),
            probe="\"$0\" -c 'import os; print(os.listdir)'",
        ),
        Variation(
            "listings of folders",
            "shuffled by the file system (`disorderfs`)",
            disorder=True,
            probe="touch $(seq 30); ls -U",
            joins=False,
        ),
        *(
            Variation(
                "hash seed",
                f"`PYTHONHASHSEED={seed}`",
                {"PYTHONHASHSEED": seed},
                probe="echo $PYTHONHASHSEED",
                joins=seed == "1",
            )
            for seed in ("0", "1", "random")
        ),
        Variation(
            "kernel",
            "another number, and no random addresses (`setarch --uname-2.6 --addr-no-randomize`)",
            command=("setarch", "--uname-2.6", "--addr-no-randomize"),
            probe="uname -r",
        ),
        Variation(
            "processor",
            "the oldest instructions that its libraries know (docs/kernels.md)",
            oldest().environment,
            probe="echo $OPENBLAS_CORETYPE",
            joins=False,
        ),
        Variation(
            "environment",
            f"odd values, and a Matplotlib style of the user's own: {', '.join(f'`{name}`' for name in ODD)}",
            ODD,
            probe="echo $COLUMNS",
        ),
        Variation("environment", "nothing but `PATH`", bare=True, probe="env | wc -l"),
    ]


def _locales():
    """One variation for each locale of the machine, of some that differ in letters, numbers or encoding."""
    listed = shutil.which("locale") and subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False)
    known = listed.stdout.split() if listed else []
    wanted = ("C", "C.utf8", "de_DE.iso88591", "de_DE.utf8", "tr_TR.utf8")
    found = [name for name in wanted if name in known]
    return [
        Variation(
            "locale",
            f"`LC_ALL={name}`",
            {"LC_ALL": name, "LANG": name},
            probe="echo $LC_ALL",
            joins=name == found[-1],
        )
        for name in found
    ]


def together(several):
    """One variation that has all of them; their commands start each other, those that need a root's rights first."""
    changed = {
        field: next((value for one in several if (value := getattr(one, field)) != default), default)
        for field, default in Variation._field_defaults.items()
        if field not in ("environment", "command")
    }
    return Variation(
        "all at once",
        ", ".join(one.name for one in several),
        environment={name: value for one in several for name, value in one.environment.items()},
        command=tuple(word for one in several for word in one.command),
        **changed,
    )


def made(variation, target=TARGET):
    """{path: bytes} of all that a run of the small experiment leaves under a variation; AssertionError if it fails."""
    with tempfile.TemporaryDirectory() as folder, variation.surroundings(Path(folder)) as start:
        place = Path(folder) / "below" / variation.place
        copy = Copy(place / "hw6")
        track(copy.path)
        done = start("sh", "-c", 'cd hw6 && exec "$@"', "sh", *copy.command(*target, *SMALL, cores=variation.cores))
        assert done.returncode == 0, f"{variation.name}, {variation.setting}:\n{done.stdout}"
        return kept(copy)


def kept(copy):
    """{path: bytes} of the results, the logs and the archive; the file beside it tells of the run, and is no result."""
    results, beside = (
        copy.path / "results",
        (".run.json", "records/archive.json"),
    )  # the record has the sum of the other
    files = [path for path in sorted(results.rglob("*")) if path.is_file() and not path.as_posix().endswith(beside)]
    return {path.relative_to(results).as_posix(): path.read_bytes() for path in files}


def differing(one, other):
    """The paths whose bytes differ, or that only one has, sorted."""
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))


PLAIN = Variation("plain", "nothing")

OPENING = """# The same bytes in other surroundings

Each line is a run of the small experiment in a fresh copy, with its report and archive: what `make archive` does, with
`tests/config.yaml`. Compared with a plain run are the bytes of every file below `results/`: tables, figures, report,
logs, and the archive, but for `results/archive/*.run.json`, which is about the run. Written by
`python tests/variations.py`; a test of the suite makes all of them at once that can go together."""

ENDING = """What differed before it was mended: the locale chose the shape of letters in figures (fonts have an i
of its own for Turkish), a `matplotlibrc` their look, the processor the last digits of the sweep's parts (they have six
now, like all tables) and of the real layers of problem 2 (drawn in float64 now). A user without a name, as in a
container, could not start Snakemake; a clock behind the files' times let the archive fail."""


def page(rows, left_out):
    """docs/variations.md. rows: (variation, files compared, paths that differ); left_out: (variation, reason)."""
    lines = [
        f"| {one.name} | {one.setting} | {count} | {', '.join(f'`{path}`' for path in paths) or 'none'} |"
        for one, count, paths in rows
    ]
    table = "\n".join(["| What | How | Files | Files that differ |", "|:--|:--|--:|:--|", *lines])
    missing = [f"- {one.name}, {one.setting}: {reason}." for one, reason in left_out]
    parts = [OPENING, table, *(["Not tried on this machine:", "\n".join(missing)] if missing else []), ENDING]
    return "\n\n".join(parts) + "\n"


def main():
    """Make every variation that is permitted, all together last, and write the page."""
    obstacles = [(one, one.obstacle()) for one in variations()]
    permitted = [one for one, obstacle in obstacles if not obstacle]
    base, rows = made(PLAIN), []
    for one in [*permitted, together([one for one in permitted if one.joins])]:
        start = time.monotonic()
        paths = differing(base, made(one))
        rows.append((one, len(base), paths))
        print(f"{one.name}, {one.setting}: {paths or 'the same'} ({time.monotonic() - start:.0f} s)", flush=True)
    PAGE.write_text(page(rows, [(one, why) for one, why in obstacles if why]), encoding="utf-8")


if __name__ == "__main__":
    main()
