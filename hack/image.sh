#!/bin/sh
# hack/image.sh OUT.tar: builds the image of the repository's Dockerfile without a registry, as a docker archive. The images that it
# starts from are made of Debian's packages and of this machine's Node. Needs root, buildah and mmdebstrap.
set -eu
out=$1
LARGEST_MB=400
cd "$(dirname "$0")/.."
version=$(sed -n 's/^appVersion: //p' charts/deeprt/Chart.yaml)
base=${XDG_CACHE_HOME:-$HOME/.cache}/deeprt/debian-bookworm-slim.tar
if [ ! -e "$base" ]; then
  mkdir -p "$(dirname "$base")"
  # As slim as the image it stands for: no documentation, no package lists.
  mmdebstrap --quiet --variant=minbase --include=ca-certificates \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*' bookworm "$base.part.tar" >&2
  mv "$base.part.tar" "$base"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s/graph"\nrunroot = "%s/run"\n' "$work" "$work" >"$work/storage.conf"
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs CONTAINERS_STORAGE_CONF="$work/storage.conf"
node=$(hack/node.sh)/node
npm=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
c=$(buildah from scratch)
buildah add -q "$c" "$base" / >/dev/null
buildah commit -q "$c" docker.io/library/debian:bookworm-slim >/dev/null
buildah copy -q "$c" "$node" /usr/local/bin/node >/dev/null
buildah copy -q "$c" "$npm" /usr/local/lib/node_modules/npm >/dev/null
buildah run "$c" -- ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
if [ -n "${NODE_EXTRA_CA_CERTS:-}" ]; then
  buildah copy -q "$c" "$NODE_EXTRA_CA_CERTS" /etc/ssl/certs/machine.crt >/dev/null
  buildah config --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/machine.crt "$c"
fi
buildah commit -q "$c" docker.io/library/node:24-bookworm >/dev/null
buildah rm "$c" >/dev/null
buildah build -q --pull=never -t "docker.io/library/deeprt:$version" . >"$work/log" 2>&1 || {
  cat "$work/log" >&2
  exit 1
}
size=$(buildah images --format '{{.Size}}' "docker.io/library/deeprt:$version")
echo "deeprt:$version: $size" >&2
megabytes=${size%% *}
if [ "${megabytes%.*}" -gt $LARGEST_MB ] || [ "${size##* }" != MB ]; then
  echo "the image is larger than the $LARGEST_MB MB that docs/install.md states" >&2
  exit 1
fi
rm -f "$out"
buildah push -q "docker.io/library/deeprt:$version" "docker-archive:$out:docker.io/library/deeprt:$version"
