#!/bin/sh
# Prints the folder of SwiftShader, a Vulkan driver that runs on the CPU, for tests of the WebGPU provider without a GPU:
# that of an installed Chromium, else the one in Debian's package of it, kept in the user's cache and keyed by version.
set -eu
folder=usr/lib/chromium
icd=vk_swiftshader_icd.json
if [ -e "/$folder/$icd" ]; then
  echo "/$folder"
  exit 0
fi
for tool in apt-get apt-cache dpkg-deb; do
  command -v $tool >/dev/null || { echo "no SwiftShader: install Chromium, or use a system with apt to take it from its package" >&2; exit 1; }
done
version=$(apt-cache policy chromium-common 2>/dev/null | sed -n 's/^ *Candidate: \([^(].*\)/\1/p')
[ -n "$version" ] || { echo "no SwiftShader: Chromium is not installed, and apt knows no package chromium-common (apt-get update may help)" >&2; exit 1; }
home=${XDG_CACHE_HOME:-$HOME/.cache}/deeprt/swiftshader-$version
if [ ! -e "$home/$icd" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  chmod 755 "$work"
  echo "taking SwiftShader out of chromium-common $version" >&2
  (cd "$work" && apt-get -qq -o APT::Sandbox::User= download "chromium-common=$version" >&2) || { echo "no SwiftShader: apt-get download chromium-common failed" >&2; exit 1; }
  dpkg-deb -x "$work"/*.deb "$work/x"
  mkdir -p "$home"
  # Beside a loader of its own, for where libvulkan1 is not installed.
  for file in libvk_swiftshader.so libvulkan.so.1; do
    [ ! -e "$work/x/$folder/$file" ] || cp "$work/x/$folder/$file" "$home"
  done
  cp "$work/x/$folder/$icd" "$home/$icd.part"
  mv "$home/$icd.part" "$home/$icd"
fi
echo "$home"
