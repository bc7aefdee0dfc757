#!/bin/sh
# Makes .venv from requirements.lock. The file .venv/complete says that it is whole; without it all is made anew.
set -eu

fail() {
    echo "Set-up: $1" >&2
    exit 1
}

python=${PYTHON:-python3}
command -v "$python" >/dev/null 2>&1 ||
    fail "there is no program $python; install Python 3.11 or newer, or name one: make report PYTHON=python3.11"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version 2>&1) is too old, 3.11 or newer is needed; name one: make report PYTHON=python3.11"

rm -rf .venv
"$python" -m venv .venv ||
    fail "$python cannot make a virtual environment; install its venv module (on Debian: apt-get install python3-venv)."
echo "Set-up: installing requirements.lock into .venv, once; this takes a minute or more."
if ! .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off --log .venv/setup.log \
    --requirement requirements.lock >/dev/null 2>.venv/errors.log; then
    if grep -qE 'NewConnectionError|NameResolutionError|ConnectTimeout|ConnectionRefused|Network is unreachable' .venv/setup.log; then
        fail "pip cannot reach its package index; connect to the network (or set PIP_NO_INDEX=1 and PIP_FIND_LINKS to a folder of wheels) and try again."
    fi
    tail -n 5 .venv/errors.log >&2
    fail "pip cannot install requirements.lock; .venv/setup.log says why."
fi
touch .venv/complete
