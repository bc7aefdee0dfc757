"""Have a whole .venv for requirements.lock: leave it, settle it where it was moved to, or make it. Run by `make`.

A new environment is made in .venv.setup and looked at there; only then does it take the place of the old one. The file
`complete` in it says for which lock, Python and folder it was looked at; a .venv without that file is not ours.
"""

import ast
import fcntl
import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import venv
from pathlib import Path

LOCK, VENV, GUARD, STAGE = Path("requirements.lock"), Path(".venv"), Path(".venv.lock"), Path(".venv.setup")
NEW, OLD, TEMPORARY, LOG = STAGE / "new", STAGE / "old", STAGE / "tmp", STAGE / "pip.log"
MINOR = "{}.{}".format(*sys.version_info)
ROOM = "the set-up needs a folder that it can write, with 2 GB free on its disk, or 6 GB for a CUDA build of torch"
FULL = re.compile("No space left on device|Disk quota exceeded")
UNREACHED = re.compile(
    "NewConnectionError|NameResolutionError|ConnectTimeout|ConnectionRefused|MaxRetryError|Network is unreachable"
)
# Where the user has pip find packages, and how to reach that, is honoured. Any other setting of pip would install
# elsewhere, other things, or nothing.
HONOURED = {
    *("index-url", "pypi-url", "extra-index-url", "find-links", "no-index", "cache-dir", "no-cache-dir"),
    *("cert", "client-cert", "trusted-host", "keyring-provider", "use-feature", "use-deprecated"),
    *("proxy", "timeout", "default-timeout", "retries", "resume-retries"),
}
UNMUTED = dict.fromkeys(("PIP_USER", "PIP_GLOBAL", "PIP_SITE", "PIP_ISOLATED", "PIP_QUIET", "PIP_VERBOSE"), "0")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MPL", "MATPLOTLIB"))},
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "TMPDIR": str(TEMPORARY.absolute()),
}
SHEBANG = re.compile(rb"\A#!(/bin/sh\n'''exec' .*\n' '''|.*/python[\d.]*)\n")
BESIDE = b"""#!/bin/sh\n'''exec' "$(dirname "$(realpath "$0")")/python" "$0" "$@"\n' '''\n"""  # wherever that is


class SetupError(Exception):
    """What is wrong, in words that can be followed by others."""


def main():
    """Have a whole .venv; where that cannot be, raise SetupError or OSError, the old .venv as it was."""
    if current(VENV):
        return
    with GUARD.open("a") as guard:
        hold(guard)
        if os.path.lexists(OLD) and not os.path.lexists(VENV):  # killed between the two renames of `replace`
            OLD.rename(VENV)
        if os.path.lexists(VENV) and not (VENV / "complete").is_file():
            raise SetupError(".venv was not made by make and is left alone; move it away or delete it, then try again")
        if current(VENV):
            return
        TEMPORARY.mkdir(parents=True, exist_ok=True)
        try:
            look(VENV)
        except SetupError as fault:
            replace(fault)
        settle(VENV)
        shutil.rmtree(STAGE, ignore_errors=True)
        record(VENV)


def hold(guard):
    """Keep other set-ups out, or wait for one: the lock lasts as long as this process and those that it starts."""
    os.set_inheritable(guard.fileno(), True)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Set-up: another make is setting up .venv; waiting for it.", flush=True)
        fcntl.flock(guard, fcntl.LOCK_EX)


def replace(fault):
    """Put a new environment in the place of .venv, once it is whole. fault: what is wrong with .venv."""
    there = VENV.exists()
    if not current(NEW):
        why = f"since {fault}" if there else "once"
        print(f"Set-up: installing {LOCK} into .venv, {why}; this takes a minute or more.", flush=True)
        shutil.rmtree(NEW, ignore_errors=True)
        try:
            install()
            look(NEW)
        except SetupError as fault:
            shutil.rmtree(NEW, ignore_errors=True)
            raise SetupError(f"{fault}{'. The .venv that is there stays as it was' if there else ''}") from None
        record(NEW)
    if there:
        shutil.rmtree(OLD, ignore_errors=True)  # what a set-up that was killed had still to delete
        VENV.rename(OLD)
    NEW.rename(VENV)


def install():
    """Make the new environment and install the lock into it.  Raises SetupError."""
    if not importlib.util.find_spec("ensurepip"):
        raise SetupError(f"{sys.executable} has no venv module; install it (on Debian: apt-get install python3-venv)")
    fault = f"{sys.executable} cannot make a virtual environment"
    run(fault, sys.executable, "-m", "venv", "--without-pip", NEW)
    run(fault, NEW / "bin/python", "-m", "ensurepip", "--default-pip")  # venv itself would not say why this fails
    settings = pip_settings()
    command = ("-m", "pip", "install", "--progress-bar", "off", "--log", LOG, "--requirement", LOCK)
    try:
        run(f"pip cannot install {LOCK}, {LOG} says more", NEW / "bin/python", *command, **settings)
    except SetupError:
        if not UNREACHED.search(LOG.read_text(encoding="utf-8", errors="replace")):
            raise
        raise SetupError(
            "pip cannot reach its package index; connect to the network "
            "(or set PIP_NO_INDEX=1 and PIP_FIND_LINKS to a folder of wheels) and try again"
        ) from None


def pip_settings():
    """The honoured settings of the user's pip, from its files and its variables, as variables.  Raises SetupError."""
    own = {name: value for name, value in os.environ.items() if name.startswith("PIP_") and value}
    python = NEW / "bin/python"
    files = {"PIP_CONFIG_FILE": own.get("PIP_CONFIG_FILE", ""), "PIP_PYTHON": str(python), "PIP_LOG": os.devnull}
    said = run("pip cannot read its settings", python, "-m", "pip", "config", "list", **UNMUTED, **files)
    listed = re.findall(r"^(?:global|install)\.([\w-]+)=(.*)$", said, flags=re.MULTILINE)
    found = {f"PIP_{key.upper().replace('-', '_')}": ast.literal_eval(value) for key, value in listed} | own
    return {name: value for name, value in found.items() if name[4:].lower().replace("_", "-") in HONOURED}


def look(folder):
    """Find in an environment all of the lock, without conflicts, and import the packages.  Raises SetupError."""
    python, pip = folder / "bin/python", ("-m", "pip")
    minor = "import sys; sys.exit((now := '{}.{}'.format(*sys.version_info)) != sys.argv[1] and now)"
    run(f"its Python is not {MINOR}", python, "-c", minor, MINOR)
    fault = f"what is installed is not what {LOCK} asks for"
    run(fault, python, *pip, "install", "--no-index", "--no-deps", "--requirement", LOCK)  # finds what is there
    run(fault, python, *pip, "check")
    run("a package is broken", python, __file__, *direct_packages())


def direct_packages():
    """The packages that the project itself uses, as the head of the lock lists them."""
    head = re.search(r"^# Direct: (.*?)\.$", LOCK.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.split(r",[\s#]+", head[1])


def import_packages(names):
    """Import every module of packages; ends the program where one cannot be imported, or a package has none."""
    owners = importlib.metadata.packages_distributions()
    for name in names:
        modules = [module for module in owners if plain(name) in map(plain, owners[module]) and module[0] != "_"]
        try:
            found = [importlib.import_module(module) for module in modules if importlib.util.find_spec(module)]
        except Exception as fault:
            sys.exit(f"{name}: {type(fault).__name__}: {fault}")
        if not found:
            sys.exit(f"{name} has no module")


def plain(name):
    """The name of a package as pip compares it."""
    return re.sub("[-_.]+", "-", name).lower()


def settle(folder):
    """Have the programs of an environment find the Python beside them, and its activation scripts name its folder."""
    for path in (folder / "bin").iterdir():
        text = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        settled = SHEBANG.sub(BESIDE, text)
        if settled != text:
            part = folder / "part"
            part.write_bytes(settled)
            shutil.copymode(path, part)
            part.replace(path)
    builder = venv.EnvBuilder()
    builder.setup_scripts(builder.ensure_directories(str(folder.resolve())))


def current(folder):
    """Whether an environment was looked at for this lock, Python and folder, and its Python is still there."""
    seen = folder / "complete"
    return seen.is_file() and seen.read_text(encoding="utf-8") == state(folder) and (folder / "bin/python").exists()


def record(folder):
    """Write that an environment was looked at."""
    part = folder / "part"
    part.write_text(state(folder), encoding="utf-8")
    part.replace(folder / "complete")


def state(folder):
    """What `complete` has to say of an environment."""
    return f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()}\nPython {MINOR}\n{folder.resolve()}\n"


def run(fault, program, *arguments, **variables):
    """What a Python program prints, run apart from the user's packages and settings.  Raises SetupError: the fault."""
    try:
        done = subprocess.run(
            [program, "-I", *arguments],
            env=ENVIRONMENT | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            close_fds=False,  # hands on the lock
            check=False,
        )
    except OSError as error:
        raise SetupError(f"{fault} ({error})") from None
    if done.returncode:
        raise SetupError(f"{fault} ({reason(done.stdout)})")
    return done.stdout


def reason(said):
    """The part of what a program printed that says why it failed: its last error, else its last lines."""
    if full := FULL.search(said):
        return f"{full[0]}; {ROOM}"
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["it ended without a word"]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return errors[-1] if errors else " ".join(lines[-3:])


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the program without a traceback
    if sys.argv[1:]:
        import_packages(sys.argv[1:])
    else:
        try:
            main()
        except SetupError as fault:
            sys.exit(f"Set-up: {fault}.")
        except OSError as fault:
            sys.exit(f"Set-up: {fault.filename}: {fault.strerror}; {ROOM}.")
