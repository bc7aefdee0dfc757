#!/bin/sh
# What some tests need beside .venv, for Debian or Ubuntu; a test that lacks its program is skipped by name.
#   poppler-utils: pdftotext, pdffonts and pdfinfo read the PDF as another program sees it.
#   chromium, nodejs (20 or newer), npm: tests/page/check.mjs looks at the page in a browser.
#   default-jre-headless: runs the Nu HTML checker.
#   git: tells which files are the sources of an archive. unzip: unpacks one as another program does.
#   faketime, disorderfs: other dates, and shuffled folders, for tests/variations.py (which needs unshare, setpriv and
#   setarch too, from util-linux, that every Debian has).
#   slurmctld, slurmd, slurm-client, munge: tests/private-slurm.sh starts a Slurm of its own for tests/test_slurm.py.
#   the packages of tests/page/package-lock.json, from npm: axe-core, playwright-core, vnu-jar.
# Installs only what is missing. Run as root: sh tests/system-packages.sh
set -eu
missing=""
needs() { command -v "$1" >/dev/null || missing="$missing $2"; }
needs pdftotext poppler-utils
needs chromium chromium
needs node nodejs
needs npm npm
needs java default-jre-headless
needs git git
needs unzip unzip
needs faketime faketime
needs disorderfs disorderfs
needs slurmctld slurmctld
needs slurmd slurmd
needs sbatch slurm-client
needs munged munge
if [ -n "$missing" ]; then
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of names
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
npm ci --silent --prefix "$(dirname "$0")/page" || echo "npm could not install tests/page: its tests are skipped" >&2
