#!/bin/sh
# go test -exec tools/as-nobody.sh: runs a test binary, made by root, as an
# ordinary user with a home of its own. The binary lies where only root may
# look, so that it is copied. NOBODY_CACHE names his build cache.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cp "$1" "$here/test"
shift
mkdir "$here/home" "$here/tmp"
chown -R 65534:65534 "$here"
TMPDIR=$here/tmp HOME=$here/home XDG_CACHE_HOME=$here/home \
	GOCACHE=${NOBODY_CACHE:-$here/home/go} GOMODCACHE=$here/home/mod GOPROXY=off \
	setpriv --reuid=65534 --regid=65534 --clear-groups "$here/test" "$@"
