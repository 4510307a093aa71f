#!/bin/sh
# Prints the Python of an environment with the peers of `make bench-peers`; makes it first where it is missing.
# Debian's own python3.11 runs Triton's stub; a newer 3.11 does not.
set -eu
here=$(dirname "$0")
key=$(sha256sum "$here/requirements.txt" | cut -c1-12)
env="${DEEPRT_CACHE:-$HOME/.cache/deeprt}/peers-$key"
if [ ! -e "$env/.ready" ]; then
  python=/usr/bin/python3.11
  if ! "$python" -m venv "$env" >&2; then
    echo "bench-peers needs Debian's python3.11 and python3.11-venv" >&2
    exit 1
  fi
  "$env/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
  touch "$env/.ready"
fi
echo "$env/bin/python"
