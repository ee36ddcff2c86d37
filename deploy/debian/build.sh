#!/bin/sh
# Builds the Debian package: `make deb` calls it. Needs dpkg-deb and this release's own Python, nothing of debhelper.
#
# The virtual environment is made here, from the hashes of requirements.lock, and not on the target: it installs without
# a network, dpkg knows every file of it (dpkg --verify), and postinst runs no foreign code. Its interpreter is a link to
# Debian's, so that security updates of Python reach it. Hence one package for each release and architecture: the
# dependency says which Python it wants. The client of schema registries is in it, since nothing can be added later.
#
#   PYTHON   Debian's interpreter      [/usr/bin/python3]
#   PIP      a pip of another one      [needed; `make deb` gives the one of .venv]
#   OUTPUT   where the package goes    [dist]
#   VERSION  the package's version     [that of the program, and -1]
#   MAINTAINER  who answers for this build, as `Name <address>`
set -eu
umask 022

MAINTAINER=${MAINTAINER:-The authors of tie-forwarder <nobody@tie-forwarder.invalid>}
PYTHON=${PYTHON:-/usr/bin/python3} OUTPUT=${OUTPUT:-dist}
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
program=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$source/pyproject.toml")
version=${VERSION:-$program-1}
architecture=$(dpkg --print-architecture)
minor=$("$PYTHON" -I -c 'import sys; print(sys.version_info[1])')
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$source" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"
home=$root/usr/lib/tie-forwarder
documents=$root/usr/share/doc/tie-forwarder

DESTDIR=$root PREFIX=/usr UNITDIR=/lib/systemd/system SYSUSERSDIR=/usr/lib/sysusers.d TMPFILESDIR=/usr/lib/tmpfiles.d \
  PYTHON=$PYTHON PIP=$PIP REQUIREMENTS=requirements-registry.lock "$source/deploy/systemd/install.sh" install >/dev/null
find "$home" -name __pycache__ -type d -prune -exec rm -rf {} +
rm -rf "$home/include" "$home/lib64"
ln -sfn "../../../bin/python3.$minor" "$home/bin/python3.$minor"
ln -sfn "python3.$minor" "$home/bin/python3"
ln -sfn "python3.$minor" "$home/bin/python"
# Only the program itself is a command; nobody looks for the others here.
find "$home/bin" -type f ! -name tie-forwarder -delete
find "$home/lib" -type f -exec chmod 0644 {} +

mkdir -p "$documents" "$root/usr/share/lintian/overrides" "$root/DEBIAN"
cp "$here/copyright" "$documents/copyright"
cp "$source"/docs/*.md "$documents/"
gzip -9n <"$source/CHANGELOG.md" >"$documents/changelog.gz"
{
  echo "tie-forwarder ($version) unstable; urgency=medium"
  echo
  echo "  * Version $program; what is new stands in changelog.gz."
  echo
  echo " -- $MAINTAINER  $(date -Ru -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$documents/changelog.Debian.gz"
cp "$here/lintian-overrides" "$root/usr/share/lintian/overrides/tie-forwarder"
[ ! -d "$root/usr/share/man" ] || gzip -9n "$root/usr/share/man/man1/tie-forwarder.1"
[ ! -d "$root/usr/share/zsh" ] || mv "$root/usr/share/zsh/site-functions" "$root/usr/share/zsh/vendor-completions"

cat >"$root/DEBIAN/control" <<CONTROL
Package: tie-forwarder
Version: $version
Architecture: $architecture
Maintainer: $MAINTAINER
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Depends: python3 (>= 3.$minor), python3 (<< 3.$((minor + 1))), libc6, systemd
Section: net
Priority: optional
Description: forwards TIE events from an OpenDXL fabric to Apache Kafka
 A service that subscribes to the events of McAfee/Trellix Threat Intelligence
 Exchange on an OpenDXL fabric, keeps them in a spool on the disk, and
 publishes each exactly once to Apache Kafka.
CONTROL
echo /etc/tie-forwarder/config.yaml >"$root/DEBIAN/conffiles"
for script in preinst postinst prerm postrm; do
  cp "$here/$script" "$root/DEBIAN/$script"
  chmod 0755 "$root/DEBIAN/$script"
done
(cd "$root" && find . -type f ! -path './DEBIAN/*' ! -path ./etc/tie-forwarder/config.yaml -printf '%P\0' |
  sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$OUTPUT"
dpkg-deb --root-owner-group -Zxz --build "$root" "$OUTPUT/tie-forwarder_${version}_$architecture.deb"
