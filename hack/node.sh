#!/bin/sh
# Prints the folder of a Node that is new enough to run DeepRT (>= 22.19): the machine's own where it is,
# else Node 24 from the npm registry, kept in the user's cache and keyed by version.
set -eu
version=24.9.0
if node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 19) ? 0 : 1)' 2>/dev/null; then
  dirname "$(node -p process.execPath)"
  exit 0
fi
command -v npm >/dev/null || { echo "DeepRT needs Node >= 20 with npm to set itself up; install it first" >&2; exit 1; }
system=$(uname -s | tr '[:upper:]' '[:lower:]')
case "$(uname -m)" in
  x86_64) machine=x64 ;;
  aarch64 | arm64) machine=arm64 ;;
  *) echo "no packaged Node for $(uname -m); install Node >= 22.19 yourself" >&2; exit 1 ;;
esac
home=${XDG_CACHE_HOME:-$HOME/.cache}/deeprt/node-$version
package=node-$system-$machine
if [ ! -x "$home/node_modules/$package/bin/node" ]; then
  echo "bringing Node $version into $home" >&2
  mkdir -p "$home"
  npm install --prefix "$home" --no-save --no-fund --no-audit "$package@$version" >&2
fi
echo "$home/node_modules/$package/bin"
