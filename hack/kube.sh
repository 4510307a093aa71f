#!/bin/sh
# Prints the folder that holds etcd, kube-apiserver and kubectl for the tests, with the argument `node` also what a whole
# cluster of one node takes: that of KUBEBUILDER_ASSETS where it is set, else the pinned modules of hack/tools built from source,
# kept in the user's cache and keyed by what they are built from.
set -eu
tools="etcd kube-apiserver kubectl"
[ "${1:-}" != node ] || tools="$tools kube-controller-manager kube-scheduler kube-proxy kubelet"
if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ "${1:-}" != node ]; then
  for tool in $tools; do
    [ -x "$KUBEBUILDER_ASSETS/$tool" ] || { echo "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS holds no $tool; correct it, or unset it to build one" >&2; exit 1; }
  done
  echo "$KUBEBUILDER_ASSETS"
  exit 0
fi
cd "$(dirname "$0")/tools"
version=$(sed -n 's/.*k8s.io\/kubernetes \(v[0-9.]*\)$/\1/p' go.mod)
key=$(cat go.mod go.sum etcd/main.go "../$(basename "$0")" | sha256sum | cut -c1-12)
home=${XDG_CACHE_HOME:-$HOME/.cache}/deeprt/kube-$version-$key
minor=${version#v1.}
set_version="-X k8s.io/component-base/version"
for tool in $tools; do
  [ ! -x "$home/$tool" ] || continue
  command -v go >/dev/null || { echo "the tests need $tools: install Go to have them built, or set KUBEBUILDER_ASSETS to a folder that holds them" >&2; exit 1; }
  echo "building $tool $version into $home (up to some minutes, once)" >&2
  package=k8s.io/kubernetes/cmd/$tool
  [ "$tool" != etcd ] || package=./etcd
  mkdir -p "$home"
  CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags "-s -w $set_version.gitVersion=$version $set_version.gitMajor=1 $set_version.gitMinor=${minor%%.*}" -o "$home/$tool.part" "$package" >&2
  mv "$home/$tool.part" "$home/$tool"
done
echo "$home"
