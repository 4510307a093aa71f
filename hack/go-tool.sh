#!/bin/sh
# hack/go-tool.sh NAME: prints a tool for the tests, the pinned module of hack/NAME built from source, kept in the user's cache and keyed by
# what it is built from.
set -eu
name=$1
cd "$(dirname "$0")/$name"
package=$(sed -n 's/^import _ "\(.*\)"/\1/p' tools.go)
key=$(cat go.mod go.sum tools.go "../$(basename "$0")" | sha256sum | cut -c1-12)
home=${XDG_CACHE_HOME:-$HOME/.cache}/deeprt/$name-$key
if [ ! -x "$home/$name" ]; then
  command -v go >/dev/null || { echo "the tests need $name: install Go to have it built" >&2; exit 1; }
  echo "building $name into $home (up to a minute, once)" >&2
  mkdir -p "$home"
  CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags "-s -w" -o "$home/$name.part" "$package" >&2
  mv "$home/$name.part" "$home/$name"
fi
echo "$home/$name"
