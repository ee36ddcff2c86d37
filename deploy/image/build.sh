#!/bin/sh
# Builds the image with what there is: docker, podman or buildah, which is installed by apt-get where none is.
#   BUILDER  docker, podman or buildah     default: the first that works
#   BASE     the image to build on         default: that of the Dockerfile; where no registry gives it, one made of
#                                          Debian's packages by base.sh, which needs Debian and root
#   IMAGE    the name of the image         default: localhost/tie-forwarder
#   REQUIREMENTS                           default: requirements.lock
#   SOURCE_DATE_EPOCH                      default: the time of the last commit; no file is younger than it
# What pip is configured to use on this machine it uses in the build as well; nothing of it stays in the image.
set -eu
cd "$(dirname "$0")/../.."
default=$(sed -n 's/^ARG BASE=//p' Dockerfile)
base=${BASE:-} image=${IMAGE:-localhost/tie-forwarder} requirements=${REQUIREMENTS:-requirements.lock}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

say() { echo "image: $*" >&2; }
fail() { say "$*"; exit 1; }

install() {
  command -v apt-get >/dev/null || fail "no docker, podman or buildah here, and no apt-get; install one of them"
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  say "installing $*"
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

works() { timeout 20 "$1" info >/dev/null 2>&1; }

builder=${BUILDER:-}
for candidate in docker podman buildah; do
  [ -n "$builder" ] || ! works "$candidate" || builder=$candidate
done
if [ -z "$builder" ]; then
  install buildah
  builder=buildah
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# pip's configuration of this machine, from its files and its environment, and the authorities that it trusts.
authorities=
for file in "${PIP_CERT:-}" "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt; do
  [ -n "$authorities" ] || [ ! -f "$file" ] || authorities=$file
done
{
  echo "[global]"
  [ -z "$authorities" ] || echo "cert = /etc/ssl/certs/ca-certificates.crt"
  "${PYTHON:-python3}" -I -m pip config list 2>/dev/null |
    sed -n "s/^\(global\|:env:\)\.\(index-url\|extra-index-url\|trusted-host\|proxy\|timeout\|default-timeout\)='\(.*\)'$/\2 = \3/p"
} >"$scratch/pip.conf"
set -- --secret "id=pip.conf,src=$scratch/pip.conf"
[ -z "$authorities" ] || set -- "$@" --secret "id=ca-certificates,src=$authorities"

# In a container or a sandbox buildah may neither make namespaces nor lay one tree over another; these ways always work.
export BUILDAH_ISOLATION="${BUILDAH_ISOLATION:-chroot}"
[ "$builder" = docker ] || "$builder" info >/dev/null 2>&1 || export STORAGE_DRIVER=vfs

known() {
  if [ "$builder" = buildah ]; then buildah inspect --type image "$1"; else "$builder" image inspect "$1"; fi
} >/dev/null 2>&1

debian_base() {
  [ "$(id -u)" = 0 ] || fail "$default: no registry gives it; set BASE to an image that is here, or run this as root"
  command -v debootstrap >/dev/null || install debootstrap
  say "no registry gives $default: making a base of Debian's packages"
  deploy/image/base.sh "$scratch/base" >"$scratch/base.log" 2>&1 || { tail -n 5 "$scratch/base.log" >&2; exit 1; }
  path=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  if [ "$builder" != buildah ]; then
    tar -C "$scratch/base" -c . | "$builder" import --change "ENV $path" - "$1" >/dev/null
    return
  fi
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$scratch/base" / >/dev/null
  buildah config --env "$path" "$container"
  buildah commit --quiet --rm --timestamp "$epoch" "$container" "$1" >/dev/null
}

if [ -z "$base" ]; then
  base=$default
  if ! known "$base" && ! timeout 120 "$builder" pull --quiet "$base" >/dev/null 2>&1; then
    base=localhost/tie-forwarder-base:$(. /etc/os-release && echo "$VERSION_CODENAME")
    known "$base" || debian_base "$base"
  fi
fi

# The name of a base may be given to another image tomorrow; its digest tells what this one was built on.
base_digest() {
  case $builder in
    buildah) buildah inspect --type image --format '{{.FromImageDigest}}' "$1" ;;
    *) "$builder" image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$1" | sed -n '1s/.*@//p' ;;
  esac
}
known "$base" || "$builder" pull --quiet "$base" >/dev/null
digest=$(base_digest "$base")

set -- "$@" --build-arg "BASE=$base" --build-arg "BASE_DIGEST=$digest" --build-arg "REQUIREMENTS=$requirements" \
  --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --tag "$image:$version" --tag "$image:latest"
say "building $image:$version on $base ($digest) with $builder"
case $builder in
  docker) DOCKER_BUILDKIT=1 docker build --build-arg "SOURCE_DATE_EPOCH=$epoch" "$@" . ;;
  podman) podman build --format docker --timestamp "$epoch" "$@" . ;;
  # The format of Docker, since only that has a health check.
  buildah) buildah bud --format docker --timestamp "$epoch" "$@" . ;;
  *) fail "BUILDER=$builder: not known; give docker, podman or buildah" ;;
esac
