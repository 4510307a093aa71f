#!/bin/sh
# Prints the Chromium to test the live pages with: an installed one, else Debian's package, which root may install.
set -eu
for name in chromium chromium-browser google-chrome; do
  if command -v $name; then exit 0; fi
done
command -v apt-get >/dev/null || { echo "no Chromium: install one, or use a system with apt" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "no Chromium: install the package chromium" >&2; exit 1; }
echo "installing chromium from Debian's packages" >&2
apt-get update -qq >&2 || true
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >&2 || { echo "no Chromium: the package cannot be installed" >&2; exit 1; }
command -v chromium
