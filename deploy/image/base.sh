#!/bin/sh
# Makes a base for the image without a registry: Debian's own packages in an empty tree, by debootstrap, as root.
#   base.sh TREE [SUITE]
# What a program does not need goes: package lists, documentation, translations, character sets, compiled Python.
set -eu
tree=$1 suite=${2:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv "$suite" "$tree" >&2
rm -rf "$tree"/var/cache/* "$tree"/var/lib/apt/lists/* "$tree"/var/log/* "$tree"/tmp/* \
  "$tree"/usr/share/bug "$tree"/usr/share/doc-base "$tree"/usr/share/info "$tree"/usr/share/lintian \
  "$tree"/usr/share/locale "$tree"/usr/share/man "$tree"/usr/lib/*/gconv
find "$tree/usr/share/doc" ! -type d ! -name copyright -delete
find "$tree/usr/share/doc" -type d -empty -delete
find "$tree/usr" -type d -name __pycache__ -prune -exec rm -rf {} +
