#!/bin/sh
# Prepares a fresh Debian machine for bench.py. As root:  ./setup.sh [--clean]
# Debian's FTP daemons conflict with each other as packages, so they are not
# installed: each .deb is unpacked under $WORK/prefix, and what they need is
# installed. No daemon is started.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
WORK=${BENCH_WORK:-/var/tmp/ftpbench}
USER_NAME=ftpbench
if [ "${1:-}" = --clean ]; then
	userdel $USER_NAME 2>/dev/null || true
	rm -rf /etc/pam.d/$USER_NAME "$WORK"
	exit 0
fi
mkdir -p "$WORK/debs" "$WORK/prefix" "$WORK/bin" "$WORK/src"
chmod 755 "$WORK" "$WORK/bin" "$WORK/prefix"

export DEBIAN_FRONTEND=noninteractive
apt-get update -q >/dev/null 2>&1 || true
apt-get install -y -q --no-install-recommends gcc libc6-dev openssl util-linux iproute2 curl lftp rclone wget \
	python3 python3-openssl libpam-modules libwrap0 libcap2 libsodium23 libacl1 \
	libhiredis0.14 libidn2-0 libmemcached11 libmemcachedutil2 libpcre2-posix3 libssl3 >/dev/null
(cd "$WORK/debs" && apt-get download -q vsftpd proftpd-core proftpd-mod-crypto pure-ftpd \
	pure-ftpd-common python3-pyftpdlib python3-sendfile >/dev/null 2>&1)
for d in "$WORK"/debs/*.deb; do dpkg -x "$d" "$WORK/prefix"; done

# one unprivileged system user, cheap MD5-crypt hash so that no peer's login rate
# is the cost of a slow password hash; the password is public: bench-pass
id $USER_NAME >/dev/null 2>&1 || useradd --system --no-create-home --shell /bin/sh $USER_NAME
usermod -d / $USER_NAME
usermod -p '$1$ftpbench$'"$(openssl passwd -1 -salt ftpbench bench-pass | cut -d'$' -f4)" $USER_NAME
printf 'auth required pam_unix.so nodelay\naccount required pam_permit.so\n' >/etc/pam.d/$USER_NAME

openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=ftpbench \
	-keyout "$WORK/key.pem" -out "$WORK/cert.pem" 2>/dev/null
cat "$WORK/key.pem" "$WORK/cert.pem" >"$WORK/both.pem"
chown $USER_NAME "$WORK/key.pem" "$WORK/cert.pem"
chmod 600 "$WORK/key.pem" "$WORK/both.pem"

export CGO_ENABLED=0
gcc -O2 -Wall -pthread -o "$WORK/bin/limit" "$HERE/limit/limit.c"
(cd "$HERE/loadgen" && go build -trimpath -o "$WORK/bin/loadgen" .)
(cd "$HERE/peers/gofloor" && go build -trimpath -o "$WORK/bin/gofloor" .)
(cd "$HERE/peers/ftpserverlib" && go build -trimpath -o "$WORK/bin/ftpserverlib" .) ||
	echo "setup: ftpserverlib did not build; it will be left out" >&2
(cd "$HERE/peers/jlaffaye" && go build -trimpath -o "$WORK/bin/jlaffaye" .) ||
	echo "setup: jlaffaye did not build; it will be left out" >&2
(cd "$HERE/.." && go build -trimpath -o "$WORK/bin/towpath" ./cmd/towpath)
ls "$WORK/bin"
