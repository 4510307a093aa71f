#!/bin/sh
# Prints the folder that holds etcd, kube-apiserver and kubectl for the tests: KUBEBUILDER_ASSETS where it is set,
# else the pinned modules of hack/tools built from source, kept in the user's cache and keyed by what they are built from.
set -eu
if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  for tool in etcd kube-apiserver kubectl; do
    [ -x "$KUBEBUILDER_ASSETS/$tool" ] || { echo "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS holds no $tool; correct it, or unset it to build one" >&2; exit 1; }
  done
  echo "$KUBEBUILDER_ASSETS"
  exit 0
fi
cd "$(dirname "$0")/tools"
version=$(sed -n 's/.*k8s.io\/kubernetes \(v[0-9.]*\)$/\1/p' go.mod)
key=$(cat go.mod go.sum etcd/main.go "../$(basename "$0")" | sha256sum | cut -c1-12)
home=${XDG_CACHE_HOME:-$HOME/.cache}/deeprt/kube-$version-$key
if [ ! -e "$home/.built" ]; then
  command -v go >/dev/null || { echo "the tests need etcd, kube-apiserver and kubectl: install Go to have them built, or set KUBEBUILDER_ASSETS to a folder that holds them" >&2; exit 1; }
  echo "building etcd, kube-apiserver and kubectl $version into $home (some minutes, once)" >&2
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  set_version="-X k8s.io/component-base/version"
  minor=${version#v1.}
  build() { CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags "-s -w $set_version.gitVersion=$version $set_version.gitMajor=1 $set_version.gitMinor=${minor%%.*}" -o "$work/$1" "$2" >&2; }
  build etcd ./etcd
  build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
  build kubectl k8s.io/kubernetes/cmd/kubectl
  mkdir -p "$home"
  mv "$work"/* "$home"
  touch "$home/.built"
fi
echo "$home"
