#!/bin/sh
# Prints a Python that has the clients of hack/python/requirements.txt; makes its environment first where it is missing, in the user's
# cache and keyed by what is in it. Prints nothing where this machine has no Python to make one with.
set -eu
cd "$(dirname "$0")/python"
python=$(command -v python3) || exit 0
"$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || exit 0
key=$(cat requirements.txt "../$(basename "$0")" | sha256sum | cut -c1-12)
env=${XDG_CACHE_HOME:-$HOME/.cache}/deeprt/python-$key
if [ ! -e "$env/.ready" ]; then
  rm -rf "$env"
  "$python" -m venv "$env" >&2
  "$env/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt >&2
  touch "$env/.ready"
fi
echo "$env/bin/python"
