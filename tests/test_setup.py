"""The set-up: pins, ranges, the commands of the README, and what may not be in the repository."""

import importlib.metadata
import importlib.util
import itertools
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from conftest import PROJECT

PIP_NAMES = {
    "pytorch": "torch",
    "matplotlib-base": "matplotlib",
    "brotli-python": "brotli",
    "snakemake-minimal": "snakemake",
}
ONLY_CONDA = {"python", "quarto", "pip"}


def pins():
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(r.name): Version(str(r.specifier).removeprefix("==")) for r in requirements}


def conda_ranges():
    for entry in yaml.safe_load((PROJECT / "environment.yml").read_text())["dependencies"]:
        for text in entry["pip"] if isinstance(entry, dict) else [entry]:
            name, _, bounds = text.partition(" ")
            yield PIP_NAMES.get(name, name), SpecifierSet(bounds)


def test_every_pin_is_exact_and_torch_is_the_plain_release():
    assert pins()["torch"] == Version("2.13.0")
    for line in (PROJECT / "requirements.lock").read_text().splitlines():
        assert line.startswith("#") or not line or re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", line), line


def test_the_conda_ranges_contain_the_pins():
    ranges = dict(conda_ranges())
    assert ranges.pop("quarto") == SpecifierSet(">=1.10")
    for name, bounds in ranges.items():
        if name not in ONLY_CONDA:
            assert pins()[canonicalize_name(name)] in bounds, name


def test_the_lock_holds_all_that_its_packages_ask_for():
    locked = pins()
    for name in locked:
        for text in importlib.metadata.requires(name) or []:
            needed = Requirement(text)
            wanted = needed.marker is None or needed.marker.evaluate({"extra": ""})
            if wanted and not re.match("nvidia|cuda|triton", needed.name):
                assert canonicalize_name(needed.name) in locked, f"{name} needs {needed.name}"


def test_what_is_installed_is_what_is_locked():
    for name, version in pins().items():
        assert Version(Version(importlib.metadata.version(name)).public) == version, name


def wheel(folder, version, body="", needs=""):
    """Write a wheel of a package `tiny` with one module and one program that prints its version."""
    info = f"tiny-{version}.dist-info"
    files = {
        "tiny.py": f"{body}\ndef main():\n    print({version!r})\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ntiny = tiny:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"tiny-{version}-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


class Folder:
    """A folder with what the set-up needs, and a lock of one package; pip knows no index but a folder of wheels."""

    def __init__(self, path, wheels):
        self.path, self.venv, self.wheels = path, path / ".venv", wheels

    def lock(self, version, comment=""):
        """Write the lock."""
        text = f"# Everything.\n#\n# Direct: tiny.\n#\n# {comment}\ntiny=={version}\n"
        (self.path / "requirements.lock").write_text(text)

    def start(self, *arguments, index=True, **variables):
        """Start make; index: whether pip finds anything."""
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels if index else self.path / "nowhere")}
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "MAKE"))}
        return subprocess.Popen(
            ["make", *arguments],
            cwd=self.path,
            env=clean | pip | {"PIP_CONFIG_FILE": os.devnull} | variables,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def make(self, *arguments, **variables):
        """(exit code, all that is printed) of make."""
        process = self.start(*arguments, **variables)
        printed, _ = process.communicate()
        return process.returncode, printed

    def set_up(self, **variables):
        """(exit code, all that is printed) of the set-up alone."""
        return self.make("environment", f"PYTHON={sys.executable}", **variables)

    def printed(self, program="tiny", **options):
        """What a program of the environment prints, with the code it ends with if that is not 0."""
        done = subprocess.run([self.venv / "bin" / program], capture_output=True, text=True, check=True, **options)
        return done.stdout.strip()

    def copy(self, path):
        """A copy of this folder."""
        shutil.copytree(self.path, path, symlinks=True)
        return Folder(path, self.wheels)


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """The folder before the set-up: do not change it, copy it."""
    wheels, path = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("bare")
    wheel(wheels, "1.0")
    wheel(wheels, "2.0")
    wheel(wheels, "3.0", body="raise OSError('libtiny.so is missing')")
    (path / "scripts").mkdir()
    for name in ("Makefile", "scripts/setup.sh", "scripts/setup.py"):
        shutil.copy(PROJECT / name, path / name)
    folder = Folder(path, wheels)
    folder.lock("1.0")
    return folder


@pytest.fixture(scope="session")
def made(bare, tmp_path_factory):
    """The folder after the set-up: do not change it, copy it."""
    folder = bare.copy(tmp_path_factory.mktemp("made") / "folder")
    code, printed = folder.set_up()
    assert code == 0, printed
    assert printed == "Set-up: installing requirements.lock into .venv, once; this takes a minute or more.\n"
    return folder


@pytest.fixture
def program(monkeypatch):
    """The module scripts/setup.py, whose paths are relative, with no setting of pip but those that a test makes."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    spec = importlib.util.spec_from_file_location("setup_program", PROJECT / "scripts/setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_second_set_up_does_nothing(made):
    before = (made.venv / "complete").stat()
    assert made.set_up(index=False) == (0, "")
    assert made.make("environment", index=False) == (0, "")
    assert (made.venv / "complete").stat().st_mtime_ns == before.st_mtime_ns
    assert {path.name for path in made.path.glob(".venv*")} == {".venv", ".venv.lock"}


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (None, "there is no program"),
        (
            "case $1 in -c) exit 1;; --version) echo Python 3.8.1;; esac",
            "is not Python 3.11 or newer (it says: Python 3.8.1)",
        ),
        ("exit 3", "is not Python 3.11 or newer (it says: nothing)"),
        (
            "case $1 in -c) ;; *) exec {python} -c '{no_pip}';; esac",
            "has no venv module; install it (on Debian: apt-get install python3-venv)",
        ),
    ],
)
def test_an_unfit_python_is_refused_in_one_sentence(bare, tmp_path, script, sentence):
    folder = bare.copy(tmp_path / "folder")
    python = tmp_path / "fake $python"
    no_pip = (
        'import runpy, sys; sys.modules["ensurepip"] = None; runpy.run_path("scripts/setup.py", run_name="__main__")'
    )
    if script:
        python.write_text("#!/bin/sh\n" + script.format(python=sys.executable, no_pip=no_pip))
        python.chmod(0o755)
    code, printed = folder.make("environment", f"PYTHON={python}")
    assert code != 0
    assert sentence in printed
    assert "Traceback" not in printed
    assert not folder.venv.exists()


def test_without_a_network_it_says_so(bare, tmp_path):
    folder = bare.copy(tmp_path / "folder")
    closed_port = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_INDEX": "0", "PIP_RETRIES": "0"}
    code, printed = folder.set_up(index=False, **closed_port)
    assert code != 0
    assert "pip cannot reach its package index; connect to the network" in printed
    assert not folder.venv.exists()


def hostile_modules(folder):
    """Modules that end any program that imports them, and say so."""
    folder.mkdir()
    for name in ("pip", "venv", "ensurepip", "tiny", "os", "re", "subprocess", "sitecustomize", "usercustomize"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('hostile: {name}')")
    return folder


INTERPRETER = {
    "PYTHONPATH": "{hostile}",
    "PYTHONHOME": "/nowhere",
    "PYTHONSAFEPATH": "1",
    "PYTHONOPTIMIZE": "2",
    "PYTHONUSERBASE": "{user}",
    "PYTHONSTARTUP": "{hostile}/os.py",
    "PYTHONINSPECT": "1",
    "PYTHONWARNINGS": "error",
    "PYTHONPLATLIBDIR": "nowhere",
    "PYTHONPYCACHEPREFIX": "{hostile}/cache",
    "PYTHONDEVMODE": "1",
    "PYTHONVERBOSE": "1",
    "PYTHONEXECUTABLE": "/nowhere",
    "PYTHONIOENCODING": "nothing",
    "PYTHONHASHSEED": "nothing",
    "PYTHONBREAKPOINT": "nothing",
    "VIRTUAL_ENV": "/nowhere",
    "CONDA_PREFIX": "/nowhere",
    "__PYVENV_LAUNCHER__": "/nowhere",
}
PIP = {
    "PIP_TARGET": "/nowhere",
    "PIP_PREFIX": "/nowhere",
    "PIP_ROOT": "/nowhere",
    "PIP_USER": "1",
    "PIP_DRY_RUN": "1",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_REQUIRE_HASHES": "1",
    "PIP_NO_DEPS": "1",
    "PIP_IGNORE_INSTALLED": "1",
    "PIP_CONSTRAINT": "/nowhere",
    "PIP_REQUIREMENT": "/nowhere",
    "PIP_PYTHON": "/nowhere",
    "PIP_PLATFORM": "nothing",
    "PIP_NO_BINARY": ":all:",
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
    "PIP_ISOLATED": "1",
    "PIP_LOG": "/nowhere/log",
    "PIP_QUIET": "9",
}


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """{name of what a hostile variable speaks of: its path}."""
    folder = tmp_path_factory.mktemp("hostile")
    minor = "python{}.{}".format(*sys.version_info)
    user = folder / "user/lib" / minor / "site-packages"
    user.parent.mkdir(parents=True)
    hostile_modules(user)
    return {"hostile": str(hostile_modules(folder / "modules")), "user": str(folder / "user")}


@pytest.mark.parametrize("name", INTERPRETER)
def test_no_variable_of_the_interpreter_reaches_a_target(made, hostile, tmp_path, name):
    probe = tmp_path / "probe.mk"
    probe.write_text(
        "probe: environment\n\t@$(BIN)/python -c 'import sys, tiny; print(tiny.__file__, sys.flags)'; env\n"
    )
    command = ("-f", "Makefile", "-f", str(probe), "probe", f"PYTHON={sys.executable}")
    code, printed = made.make(*command, **{name: INTERPRETER[name].format(**hostile)})
    assert code == 0, printed
    seen, *environment = printed.splitlines()
    assert seen == made.make(*command)[1].splitlines()[0]
    kept = {line for line in environment if line.startswith(("PYTHON", f"{name}="))}
    assert kept == {"PYTHONDONTWRITEBYTECODE=1", "PYTHONNOUSERSITE=1"}


def test_what_is_hostile_all_at_once_changes_no_set_up(bare, hostile, tmp_path):
    folder = bare.copy(tmp_path / "folder")
    settings = "".join(f"{name[4:].lower().replace('_', '-')} = {value}\n" for name, value in PIP.items())
    file = tmp_path / "pip.conf"
    file.write_text(f"[global]\n{settings}no-index = true\n[install]\nuser = true\nfind_links =\n    {bare.wheels}\n")
    variables = {name: value.format(**hostile) for name, value in INTERPRETER.items()} | PIP
    others = {"TMPDIR": "/nowhere", "MPLBACKEND": "nothing", "PIP_CONFIG_FILE": str(file)}
    code, printed = folder.set_up(**variables, **others, PIP_FIND_LINKS="", PIP_NO_INDEX="")
    assert code == 0, printed
    assert folder.printed() == "1.0"


@pytest.mark.parametrize("name", [*PIP, "PIP_WHAT_WILL_BE"])
def test_only_where_pip_finds_packages_is_honoured(made, program, monkeypatch, name):
    monkeypatch.chdir(made.path)
    monkeypatch.setattr(program, "NEW", program.VENV)
    honoured = {"PIP_INDEX_URL": "https://example.org", "PIP_CERT": "cert.pem", "PIP_PROXY": "proxy"}
    for variable, value in {**honoured, name: PIP.get(name, "1"), "PIP_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(variable, value)
    assert program.pip_settings() == honoured


def test_a_file_of_pip_that_cannot_be_read_is_named(made, program, monkeypatch, tmp_path):
    monkeypatch.chdir(made.path)
    monkeypatch.setattr(program, "NEW", program.VENV)
    (tmp_path / "pip.conf").write_text("no section\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    with pytest.raises(program.SetupError, match=r"pip cannot read its settings \(.*pip\.conf"):
        program.pip_settings()


@pytest.mark.parametrize("kind", ["a folder", "an environment", "a file", "a link to nothing"])
def test_what_make_did_not_make_is_left_alone(bare, tmp_path, kind):
    folder = bare.copy(tmp_path / "folder")
    if kind == "a file":
        folder.venv.write_text("mine")
    elif kind == "a link to nothing":
        folder.venv.symlink_to("nowhere")
    else:
        folder.venv.mkdir()
        (folder.venv / "pyvenv.cfg" if kind == "an environment" else folder.venv / "mine").write_text("mine")
    before = sorted(map(str, folder.venv.rglob("*")))
    code, printed = folder.set_up()
    assert code != 0
    assert ".venv was not made by make and is left alone; move it away or delete it, then try again." in printed
    assert sorted(map(str, folder.venv.rglob("*"))) == before
    assert os.path.lexists(folder.venv)


def test_the_lock_counts_by_what_it_asks_for_and_the_old_environment_stays_until_that_is_there(made, tmp_path):
    folder = made.copy(tmp_path / "folder")
    assert folder.set_up(index=False) == (0, "")
    os.utime(folder.path / "requirements.lock")
    assert folder.set_up(index=False) == (0, "")
    folder.lock("1.0", comment="said in other words")
    assert folder.set_up(index=False) == (0, "")
    folder.lock("2.0")
    code, printed = folder.set_up(index=False)
    assert code != 0
    assert "No matching distribution found for tiny==2.0). The .venv that is there stays as it was." in printed
    assert folder.printed() == "1.0"
    folder.lock("3.0")
    code, printed = folder.set_up()
    assert code != 0
    assert "a package is broken (tiny: OSError: libtiny.so is missing). The .venv that is there stays" in printed
    assert folder.printed() == "1.0"
    folder.lock("2.0")
    code, printed = folder.set_up()
    assert code == 0, printed
    assert folder.printed() == "2.0"
    assert {path.name for path in folder.path.glob(".venv*")} == {".venv", ".venv.lock"}


def test_two_first_makes_make_one_environment(bare, tmp_path):
    folder = bare.copy(tmp_path / "folder")
    both = [folder.start("environment", f"PYTHON={sys.executable}") for _ in range(2)]
    printed = "".join(process.communicate()[0] for process in both)
    assert [process.returncode for process in both] == [0, 0], printed
    assert printed.count("installing") == 1
    assert printed.count("Set-up: another make is setting up .venv; waiting for it.") == 1
    assert folder.printed() == "1.0"


def test_what_a_killed_set_up_started_is_waited_for(bare, tmp_path):
    folder = bare.copy(tmp_path / "folder")
    process = subprocess.Popen([sys.executable, "-I", "scripts/setup.py"], cwd=folder.path, stdout=subprocess.DEVNULL)
    while not list((folder.path / ".venv.setup").glob("new/lib/*/site-packages/pip")):
        assert process.poll() is None
    process.kill()  # not what it started: pip is being installed
    process.wait()
    code, printed = folder.set_up()
    assert code == 0, printed
    assert "waiting" in printed
    assert folder.printed() == "1.0"


KILLED = """
import os, pathlib, runpy, shutil, subprocess, sys
left = int(sys.argv.pop(1))
def mortal(function):
    def called(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return function(*arguments, **options)
    return called
subprocess.run, shutil.rmtree = mortal(subprocess.run), mortal(shutil.rmtree)
for name in ("rename", "replace", "write_text"):
    setattr(pathlib.Path, name, mortal(getattr(pathlib.Path, name)))
runpy.run_path("scripts/setup.py", run_name="__main__")
"""


def killed(folder, steps):
    """Whether the set-up is killed after so many steps: a program, a folder deleted, a file written or renamed."""
    command = [sys.executable, "-I", "-c", KILLED, str(steps)]
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder.wheels), "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(command, cwd=folder.path, env=os.environ | pip, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 9), done.stderr
    return done.returncode == 9


def test_killed_at_any_step_it_is_finished_by_the_next(made, tmp_path):
    folder = made.copy(tmp_path / "folder")
    folder.set_up()
    folder.lock("2.0")
    for steps in 4, 12:  # before pip is there, before it is recorded that the new environment is whole
        assert killed(folder, steps)
        assert folder.printed() == "1.0"
        assert not (folder.path / ".venv.setup/new/complete").exists()
    assert killed(folder, 13)
    for path in folder.path.glob(".venv.setup/new/bin/pip*"):
        path.unlink()  # one program is enough to be settled
    folder.copy(tmp_path / "whole, not yet in its place")
    for steps in itertools.count(2):  # behind the look at the old one
        ended = not killed(folder, steps)
        assert folder.set_up(index=False) == (0, "")
        assert folder.printed() == "2.0"
        assert {path.name for path in folder.path.glob(".venv*")} == {".venv", ".venv.lock"}
        if ended:
            break
        shutil.rmtree(folder.path)
        shutil.copytree(tmp_path / "whole, not yet in its place", folder.path, symlinks=True)


def test_a_moved_folder_heals_itself(made, tmp_path):
    folder = made.copy(tmp_path / "a folder für alles")
    assert folder.printed(cwd="/") == "1.0"  # even before
    assert folder.set_up(index=False) == (0, "")
    command = f'. "{folder.venv}/bin/activate" && command -v tiny && python -c "import tiny; print(tiny.__file__)"'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert [Path(line).is_relative_to(folder.venv) for line in done.stdout.splitlines()] == [True, True]
    (tmp_path / "link").symlink_to(folder.venv / "bin/tiny")
    assert subprocess.run([tmp_path / "link"], capture_output=True, text=True, check=True).stdout == "1.0\n"


def test_an_environment_of_version_1_0_0_that_was_moved_is_taken_over_if_it_is_whole(made, tmp_path):
    folder = made.copy(tmp_path / "folder")
    program, long = folder.venv / "bin/tiny", folder.venv / "bin/tiny-long"
    body = program.read_text().split("\n", 3)[3]
    program.write_text("#!/elsewhere/.venv/bin/python3.11\n" + body)
    long.write_text("#!/bin/sh\n'''exec' \"/else where/.venv/bin/python\" \"$0\" \"$@\"\n' '''\n" + body)
    long.chmod(0o755)
    (folder.venv / "complete").write_text("")
    assert folder.set_up(index=False) == (0, "")
    assert folder.printed() == folder.printed("tiny-long") == "1.0"


DAMAGES = {
    "No matching distribution found for tiny==1.0": lambda site: _edit(site / METADATA, "1.0", "0.9"),
    "tiny 1.0 requires other, which is not installed": lambda site: _edit(
        site / METADATA, "1.0", "1.0\nRequires-Dist: other"
    ),
    "tiny has no module": lambda site: (site / "tiny.py").unlink(),
    "tiny: ZeroDivisionError: division by zero": lambda site: _edit(site / "tiny.py", "def main", "1 / 0\ndef main"),
    "No module named pip": lambda site: shutil.rmtree(site / "pip"),
    "its Python is not": lambda site: (site.parents[2] / "bin/python").unlink(),
}
METADATA = "tiny-1.0.dist-info/METADATA"


@pytest.mark.parametrize("said", [None, *DAMAGES])
def test_an_environment_is_looked_at_before_it_is_believed(made, program, tmp_path, monkeypatch, said):
    folder = made.copy(tmp_path / "folder")
    monkeypatch.chdir(folder.path)
    program.TEMPORARY.mkdir(parents=True)
    if said is None:
        program.look(program.VENV)
        return
    [site] = folder.venv.glob("lib/*/site-packages")
    DAMAGES[said](site)
    with pytest.raises(program.SetupError, match=re.escape(said)):
        program.look(program.VENV)


def _edit(path, old, new):
    path.write_text(path.read_text().replace(old, new, 1))


def test_no_room_and_no_right_to_write_are_said_in_one_sentence(bare, tmp_path):
    folder = bare.copy(tmp_path / "folder")
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder.path], check=False).returncode
    ):
        pytest.skip("mounting a file system needs root")
    try:
        shutil.copytree(bare.path, folder.path, dirs_exist_ok=True)
        full = folder.set_up()
        shutil.rmtree(folder.path / ".venv.setup")
        subprocess.run(["mount", "-o", "remount,ro", folder.path], check=True)
        closed = folder.set_up()
    finally:
        subprocess.run(["umount", folder.path], check=True)
    for (code, printed), reason in (full, "No space left on device"), (closed, ".venv.lock: Read-only file system"):
        assert code != 0
        assert f"{reason}; the set-up needs a folder that it can write, with 2 GB free on its disk" in printed
        assert "Traceback" not in printed


STAND_IN = '#!/bin/sh\nprintf \'%s\\n\' "${0##*/}" "$@"\n'  # prints its name and arguments, a line each
TARGETS = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), flags=re.MULTILINE)
CONFIGURABLE = re.search(r"^CONFIGURABLE := (.*)$", (PROJECT / "Makefile").read_text(), flags=re.MULTILINE)[1].split()


@pytest.fixture
def commands(bare, tmp_path):
    """A function of make's arguments and of variables: (exit code, commands that it would start, a line each word)."""
    for name in ("python", "snakemake", "ruff", "snakefmt"):
        (tmp_path / name).write_text(STAND_IN)
        (tmp_path / name).chmod(0o755)
    shutil.copytree(bare.path, tmp_path / "folder")
    folder = Folder(tmp_path / "folder", bare.wheels)
    return lambda *arguments, **variables: folder.make("-o", "environment", f"BIN={tmp_path}", *arguments, **variables)


@pytest.mark.parametrize("config", ["mine.yaml", "my own.yaml", """it's "$HOME" $(x ${y #z.yaml""", "a.yaml b.yaml"])
@pytest.mark.parametrize("target", CONFIGURABLE)
def test_a_target_checks_and_hands_on_the_file_that_config_names(commands, target, config):
    code, printed = commands("--silent", target, f"CONFIG={config}")
    assert code == 0, printed
    assert printed.startswith(f"python\nscripts/check_config.py\n{config}\n")
    assert printed.count(f"\n--configfile={config}\n") == max(1, printed.count("\nsnakemake\n"))


@pytest.mark.parametrize("target", sorted({*TARGETS} - {*CONFIGURABLE}))
def test_a_target_that_takes_no_config_says_so(commands, target):
    code, printed = commands(target, "CONFIG=mine.yaml")
    assert code != 0
    assert f"make {target} takes no CONFIG; these do: {' '.join(CONFIGURABLE)}." in printed


@pytest.mark.parametrize("exported", ["Release", ".", "mine.yaml", ""])
@pytest.mark.parametrize("target", sorted({*TARGETS} - {"verify"}))
def test_an_exported_config_means_something_else(commands, target, exported):
    assert commands(target, CONFIG=exported, PYTHON="nothing") == commands(target)


BY_HAND = {
    "why.py --snakefile empty.smk": "Nothing would run: all results are up to date.",
    "check_config.py tests/config.yaml": "",
    "rebuild.py": "There is no results/report/config.yaml",
    "compare_renderings.py one.html": "Give the paths of two renderings",
}


@pytest.mark.parametrize("switches", ["", "-P", "-E", "-I -OO"])
@pytest.mark.parametrize("program", BY_HAND)
def test_a_program_that_is_run_by_hand_runs_with_any_switch_of_python(project, program, switches):
    (project.path / "empty.smk").touch()
    command = [sys.executable, *switches.split(), *f"scripts/{program}".split()]
    hostile = os.environ | {"PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, cwd=project.path, env=hostile, capture_output=True, text=True, check=False)
    assert BY_HAND[program] in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_git_ignores_what_is_made_here_also_as_a_link(tmp_path):
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    shutil.copy(PROJECT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    made = [".snakemake", ".venv", ".venv.setup", "results", "rebuild", "wheels", "pipeline-report", "node_modules"]
    for name in made:
        (tmp_path / name).symlink_to("/")
    for name in ("pipeline-report.zip", ".venv.lock", "sources"):
        (tmp_path / name).touch()
    done = subprocess.run(["git", "status", "--short"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["??", ".gitignore", "??", "sources"]


def test_the_repository_names_no_place_on_a_machine(project):
    pattern = re.compile(r"(?<![\w.])/(?:home|root|Users|work|tmp|opt)/\w")
    for path in project.path.rglob("*"):
        if path.is_file() and path.name != "test_setup.py":
            assert not pattern.search(path.read_text(encoding="utf-8", errors="ignore")), path


def test_the_sources_are_clean():
    for command in (
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "workflow"],
    ):
        done = subprocess.run(_tool(command), cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_snakemake_lint_is_clean(project):
    code, printed = project.snakemake("--lint")
    assert code == 0, printed
    assert "Congratulations" in printed


def _tool(command):
    return [str(Path(sys.executable).parent / command[0]), *command[1:]]
