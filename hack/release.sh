#!/bin/sh
# `make release`: release/ with what a release consists of. Needs root, buildah and mmdebstrap, as hack/image.sh does.
set -eu
cd "$(dirname "$0")/.."
version=$(sed -n 's/^appVersion: //p' charts/deeprt/Chart.yaml)
out=release
rm -rf "$out"
mkdir "$out"
hack/image.sh "$out/deeprt-$version.tar"
gzip -n "$out/deeprt-$version.tar"
"$(hack/helm.sh)" package charts/deeprt --destination "$out" >/dev/null
mv "$out/deeprt-$version.tgz" "$out/deeprt-chart-$version.tgz"
node dist/hack/kubectl-plugin.js "$out"
for crd in crds/*.yaml; do
  echo ---
  cat "$crd"
done >"$out/deeprt-crds-$version.yaml"
(cd "$out" && sha256sum -- * >SHA256SUMS)
ls -l "$out"
