#!/bin/sh
# `make e2e`: a whole cluster of one node in namespaces of its own, the image of the Dockerfile, the chart, frames, Prometheus. What
# runs, mounts and interfaces end with the namespaces, files with the folder, whatever happens.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "e2e: skipped, because containers and network namespaces need root"; exit 0; }
packages="containerd runc containernetworking-plugins buildah mmdebstrap prometheus iptables iproute2 gcc libc6-dev"
missing=
for tool in containerd runc buildah mmdebstrap prometheus promtool iptables ip gcc; do command -v $tool >/dev/null || missing="$missing $tool"; done
[ -d /usr/lib/cni ] || missing="$missing cni-plugins"
if [ -n "$missing" ]; then
  command -v apt-get >/dev/null || { echo "e2e: skipped, because$missing are not installed and there is no apt-get to install them"; exit 0; }
  echo "== installing$missing from Debian's packages"
  # Nothing of them is to start by itself.
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $packages >/dev/null
fi
tools=$(hack/kube.sh node)
helm=$(hack/helm.sh)
work=$(mktemp -d /tmp/deeprt-e2e-XXXXXX)
groups=deeprt-$(basename "$work")
clean() {
  find /sys/fs/cgroup -depth -type d -path "*/$groups*" -exec rmdir {} + 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM
echo "== building the image of the Dockerfile"
hack/image.sh "$work/deeprt.tar"
printf 'int pause(void);\nint main(void) { for (;;) pause(); }\n' | gcc -x c -O2 -static -o "$work/pause" -
E2E_WORK=$work E2E_TOOLS=$tools E2E_HELM=$helm E2E_CGROUP=$groups \
  unshare --mount --net --pid --uts --ipc --fork --kill-child --mount-proc "$(command -v node)" dist/test/e2e/main.js
