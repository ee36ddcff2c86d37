#!/bin/sh
# Builds sdist and wheel: build.sh PYTHON SOURCE OUTPUT. The time in them is that of the commit, or what is set already.
set -eu
python=$1 source=$2 output=$3
commit_time=$(git -C "$source" log -1 --format=%ct 2>/dev/null || echo 1580601600)
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$commit_time}"
exec "$python" -m build --no-isolation --outdir "$output" "$source"
