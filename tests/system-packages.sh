#!/bin/sh
# System packages of Debian or Ubuntu that some tests need; a test that lacks its program is skipped by name.
#   poppler-utils: pdftotext, pdffonts and pdfinfo read the PDF as another program sees it.
# Run as root: sh tests/system-packages.sh
set -eu
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends poppler-utils >/dev/null
