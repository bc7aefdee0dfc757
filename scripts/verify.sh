#!/bin/sh
# Checks every file of an unpacked archive against SHA256SUMS, with nothing but what a system has for that.
set -eu
export LC_ALL=C

sums() {
    if command -v sha256sum >/dev/null 2>&1; then sha256sum "$@"; else shasum -a 256 "$@"; fi
}

if [ ! -f SHA256SUMS ]; then
    echo "There is no SHA256SUMS here: it lies in an unpacked archive, and make verify is for that." >&2
    exit 1
fi
if grep -qE '^[0-9a-f]{64} [ *](/|(.*/)?\.\.(/|$))' SHA256SUMS; then
    echo "SHA256SUMS names a file outside this folder; do not use this archive." >&2
    exit 1
fi
answers=$(sums -c SHA256SUMS 2>/dev/null) || true
total=$(grep -c '' SHA256SUMS) || true
fine=$(echo "$answers" | grep -c ': OK$') || true
if [ "$total" -gt 0 ] && [ "$fine" -eq "$total" ]; then # lines that are no sums are passed over: counting finds them
    echo "All $total files are as they were archived."
    exit 0
fi
echo "$answers" | grep -v ': OK$' >&2 || true
[ "$(echo "$answers" | grep -c ': ')" -eq "$total" ] || echo "SHA256SUMS: some of its lines cannot be read" >&2
echo "$fine of $total files are as they were archived; for the others, unzip the archive again." >&2
exit 1
