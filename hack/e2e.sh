#!/bin/sh
# `make e2e`: a whole cluster of one node in namespaces of its own, the image of the Dockerfile, the chart, frames, Prometheus. What
# runs, mounts and interfaces end with the namespaces, files with the folder, whatever happens. E2E_PICTURES=FOLDER draws the dashboards.
set -eu
cd "$(dirname "$0")/.."
skip() {
  echo "e2e: skipped, because $1"
  exit 0
}
[ "$(id -u)" = 0 ] || skip "containers and network namespaces need root"
packages="containerd runc containernetworking-plugins buildah mmdebstrap prometheus iptables iproute2 curl gcc libc6-dev"
missing=
for tool in containerd runc buildah mmdebstrap prometheus promtool iptables ip curl gcc; do command -v $tool >/dev/null || missing="$missing $tool"; done
[ -d /usr/lib/cni ] || missing="$missing cni-plugins"
if [ -n "$missing" ]; then
  command -v apt-get >/dev/null || skip "$missing are not installed and there is no apt-get to install them"
  echo "== installing$missing from Debian's packages"
  # Nothing of them is to start by itself.
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $packages; } >/dev/null ||
    skip "Debian's packages cannot be installed"
fi
work=$(mktemp -d /tmp/deeprt-e2e-XXXXXX)
groups=deeprt-$(basename "$work")
# buildah keeps a cache there whatever its storage is.
cache=/var/lib/containers
[ ! -e $cache ] || cache=
child=
clean() {
  trap '' INT TERM
  if [ -n "$child" ]; then kill -KILL "$child" 2>/dev/null && wait "$child" 2>/dev/null || true; fi
  # What ran in the namespaces is dead, but perhaps not gone yet.
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    find /sys/fs/cgroup -depth -type d -path "*/$groups*" -exec rmdir {} + 2>/dev/null || true
    [ -n "$(find /sys/fs/cgroup -maxdepth 2 -name "$groups*" 2>/dev/null)" ] || break
    sleep 0.5
  done
  rm -rf "$work" $cache
}
trap clean EXIT
trap 'exit 130' INT TERM
# In the background, so that a signal is heard at once.
await() {
  "$@" &
  child=$!
  wait "$child"
  child=
}
isolated="unshare --mount --pid --fork --kill-child --mount-proc"
namespaces="$isolated --net --uts --ipc"
$namespaces sh -c 'mount -t tmpfs none /run && ip link set lo up && iptables -t nat -L' >/dev/null 2>&1 ||
  skip "root may not make namespaces, mounts or iptables rules here"
controllers=/sys/fs/cgroup
# With cgroup v2 a kubelet needs these handed down.
if [ -e $controllers/cgroup.controllers ]; then
  for controller in cpu cpuset memory pids; do
    grep -qw $controller $controllers/cgroup.subtree_control || skip "the $controller controller is not delegated here"
  done
fi
[ -d $controllers/cpu ] && controllers=$controllers/cpu
mkdir "$controllers/$groups" 2>/dev/null || skip "root may not make control groups here"
tools=$(hack/kube.sh node)
helm=$(hack/helm.sh)
echo "== building the image of the Dockerfile"
TMPDIR="$work" await $isolated hack/image.sh "$work/deeprt.tar"
printf 'int pause(void);\nint main(void) { for (;;) pause(); }\n' | gcc -x c -O2 -static -o "$work/pause" -
export E2E_WORK="$work" E2E_TOOLS="$tools" E2E_HELM="$helm" E2E_CGROUP="$groups"
export E2E_VERSION="$(sed -n 's/^appVersion: //p' charts/deeprt/Chart.yaml)"
await $namespaces "$(command -v node)" dist/test/e2e/main.js
