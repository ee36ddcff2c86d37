#!/bin/sh
# Makes the virtual environment; Debian ships the venv module apart, so it is installed where it is missing.
set -eu
python=$1 venv=$2
[ -x "$venv/bin/python" ] && exit 0
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  $sudo apt-get update -qq
  $sudo apt-get install -y -qq --no-install-recommends "python$version-venv" >/dev/null
fi
"$python" -m venv "$venv"
