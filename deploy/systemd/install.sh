#!/bin/sh
# Installs tie-forwarder as a systemd service, or takes it away again: `make install` and `make uninstall` call it.
#
#   PREFIX      where the program goes: PREFIX/lib/tie-forwarder, and PREFIX/bin/tie-forwarder      [/usr/local]
#   DESTDIR     stands before every path, for packages and tests; nothing outside is then touched  [none]
#   PYTHON      the interpreter that the service will run with                                     [python3]
#   PIP         a pip that can install for another interpreter, where PYTHON has none              [PYTHON's own]
#   REQUIREMENTS  the lock file; requirements-registry.lock is for a schema registry           [requirements.lock]
#   PURGE=1     uninstall also removes configuration, secrets, spool and user
#
# It can be run again: that is an upgrade. A configuration that is there stays as it is.
set -eu
umask 022

PREFIX=${PREFIX:-/usr/local} DESTDIR=${DESTDIR:-} PYTHON=${PYTHON:-python3} PIP=${PIP:-} PURGE=${PURGE:-}
REQUIREMENTS=${REQUIREMENTS:-requirements.lock}
UNITDIR=${UNITDIR:-/etc/systemd/system}
SYSUSERSDIR=${SYSUSERSDIR:-/etc/sysusers.d}
TMPFILESDIR=${TMPFILESDIR:-/etc/tmpfiles.d}
CONFIGDIR=/etc/tie-forwarder
STATEDIR=/var/lib/tie-forwarder
SECRETS=/etc/credstore/tie-forwarder

here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
home=$PREFIX/lib/tie-forwarder
build=$DESTDIR$home.new

fail() {
  echo "install.sh: $1" >&2
  exit 1
}

# Whether this very system is meant, and a service manager runs in it.
system() { [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; }

check() {
  case $PREFIX in
    /home | /home/* | /root | /root/* | /run/user/*) fail "PREFIX=$PREFIX: the service sees no home directory; give another" ;;
    /*) ;;
    *) fail "PREFIX=$PREFIX is not absolute; give a path from the root" ;;
  esac
  [ -n "$DESTDIR" ] || [ "$(id -u)" = 0 ] || fail "only root may install into the system; give DESTDIR, or run it as root"
}

# The virtual environment is complete before it takes the place of the one that is in use.
make_environment() {
  rm -rf "$build"
  mkdir -p "$(dirname "$build")"
  if [ -n "$PIP" ]; then
    "$PYTHON" -I -m venv --without-pip "$build"
    pip="$PIP --python $build/bin/python"
  else
    "$PYTHON" -I -c 'import ensurepip, venv' 2>/dev/null ||
      fail "$PYTHON cannot make virtual environments; install its venv module (Debian: apt-get install python3-venv)"
    "$PYTHON" -I -m venv "$build"
    pip="$build/bin/python -I -m pip"
  fi
  $pip install --quiet --disable-pip-version-check --no-compile --require-hashes --no-deps -r "$source/$REQUIREMENTS"
  $pip install --quiet --disable-pip-version-check --no-compile --no-deps "$source"
  [ -n "$PIP" ] || $pip uninstall --quiet --yes pip setuptools wheel 2>/dev/null || true
  # What was made in one place runs in another: no script or byte code may name the first.
  find "$build/bin" -type f -exec sed -i "s#$build#$home#g" {} +
  sed -i "s#$build#$home#g" "$build/pyvenv.cfg"
  rm -f "$build"/bin/[Aa]ctivate*
  find "$build" -name direct_url.json -delete
  "$build/bin/python" -I -W ignore -m compileall -q -s "$build" -p "$home" "$build/lib"
}

install_files() {
  rm -rf "$DESTDIR$home"
  mv "$build" "$DESTDIR$home"
  mkdir -p "$DESTDIR$PREFIX/bin"
  ln -sfn ../lib/tie-forwarder/bin/tie-forwarder "$DESTDIR$PREFIX/bin/tie-forwarder"
  for unit in tie-forwarder.service tie-forwarder@.service; do
    sed "s#/usr/local/bin/tie-forwarder#$PREFIX/bin/tie-forwarder#" "$here/$unit" |
      put 0644 "$DESTDIR$UNITDIR/$unit"
  done
  put 0644 "$DESTDIR$SYSUSERSDIR/tie-forwarder.conf" <"$here/sysusers.conf"
  put 0644 "$DESTDIR$TMPFILESDIR/tie-forwarder.conf" <"$here/tmpfiles.conf"
  for_people "$source/deploy/man/tie-forwarder.1" man/man1/tie-forwarder.1
  for_people "$source/deploy/completions/tie-forwarder.bash" bash-completion/completions/tie-forwarder
  for_people "$source/deploy/completions/_tie-forwarder" zsh/site-functions/_tie-forwarder
  for_people "$source/deploy/completions/tie-forwarder.fish" fish/vendor_completions.d/tie-forwarder.fish
  if [ ! -e "$DESTDIR$CONFIGDIR/config.yaml" ]; then
    mkdir -p -m 0750 "$DESTDIR$CONFIGDIR"
    sed "s#^  directory: spool\$#  directory: $STATEDIR/spool#" "$source/config.yaml" |
      put 0644 "$DESTDIR$CONFIGDIR/config.yaml"
  fi
}

# The man page and the completions, below PREFIX/share; a source tree need not have them.
for_people() {
  [ -e "$1" ] || return 0
  put 0644 "$DESTDIR$PREFIX/share/$2" <"$1"
}

# Standard input becomes a file of this mode, whole or not at all.
put() {
  mkdir -p "$(dirname "$2")"
  cat >"$2.new"
  chmod "$1" "$2.new"
  mv "$2.new" "$2"
}

activate() {
  [ -z "$DESTDIR" ] || return 0
  systemd-sysusers "$SYSUSERSDIR/tie-forwarder.conf"
  systemd-tmpfiles --create "$TMPFILESDIR/tie-forwarder.conf"
  system || return 0
  systemctl daemon-reload
  systemctl try-restart tie-forwarder.service 'tie-forwarder@*.service'
}

install_all() {
  check
  make_environment
  install_files
  activate
  echo "tie-forwarder is installed; its configuration is $CONFIGDIR/config.yaml"
  echo "see 'Before the first start' in docs/deploy.md, then: systemctl enable --now tie-forwarder"
}

uninstall_all() {
  check
  if system; then
    systemctl disable --now --quiet tie-forwarder.service 2>/dev/null || true
    systemctl stop --quiet 'tie-forwarder@*.service' 2>/dev/null || true
  fi
  rm -rf "$DESTDIR$home" "$build"
  rm -f "$DESTDIR$PREFIX/bin/tie-forwarder" "$DESTDIR$SYSUSERSDIR/tie-forwarder.conf"
  rm -f "$DESTDIR$PREFIX/share/man/man1/tie-forwarder.1" "$DESTDIR$PREFIX/share/zsh/site-functions/_tie-forwarder"
  rm -f "$DESTDIR$PREFIX/share/bash-completion/completions/tie-forwarder"
  rm -f "$DESTDIR$PREFIX/share/fish/vendor_completions.d/tie-forwarder.fish"
  rm -f "$DESTDIR$TMPFILESDIR/tie-forwarder.conf"
  rm -f "$DESTDIR$UNITDIR/tie-forwarder.service" "$DESTDIR$UNITDIR/tie-forwarder@.service"
  # What enabled an instance of the template.
  rm -f "$DESTDIR"/etc/systemd/system/*.wants/tie-forwarder@*.service
  if system; then systemctl daemon-reload; fi
  if [ "$PURGE" = 1 ]; then
    rm -rf "$DESTDIR$CONFIGDIR" "$DESTDIR$STATEDIR"
    rm -f "$DESTDIR$SECRETS".*
    if [ -z "$DESTDIR" ] && id tie-forwarder >/dev/null 2>&1; then userdel tie-forwarder; fi
    echo "tie-forwarder is gone, with its configuration, its secrets and its spool"
  else
    echo "tie-forwarder is gone; $CONFIGDIR, $SECRETS.* and the spool in $STATEDIR are kept (PURGE=1 removes them)"
  fi
}

case ${1:-} in
  install) install_all ;;
  uninstall) uninstall_all ;;
  *) fail "say install or uninstall" ;;
esac
