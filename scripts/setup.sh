#!/bin/sh
# Runs scripts/setup.py with a Python that fits: the one that make's command line names, else that of .venv, else python3.
set -eu
if [ -n "${SETUP_PYTHON:-}" ]; then set -- "$SETUP_PYTHON"; else set -- .venv/bin/python python3; fi
for python in "$@"; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        exec "$python" -I scripts/setup.py
    fi
done
if command -v "$python" >/dev/null 2>&1; then
    said=$("$python" --version 2>&1 | head -n 1)
    said="$python is not Python 3.11 or newer (it says: ${said:-nothing})"
else
    said="there is no program $python"
fi
echo "Set-up: $said; install Python 3.11 or newer, or name one: make report PYTHON=python3.11" >&2
exit 1
