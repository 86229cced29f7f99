#!/bin/sh
# Shows which programs the tests talk to are here and which are missing, and
# installs the missing ones on Debian.
#
#	tools/peers.sh            show
#	tools/peers.sh install    install what is missing; needs root and apt-get
#
# No service is started: what a package brings of that sort stays off.
set -eu
cd "$(dirname "$0")/.."

# Program, Debian package, what it is for.
table='
cc               gcc              the race detector
curl             curl             sessions of FTP clients
lftp             lftp             sessions of FTP clients
tnftp            tnftp            sessions of FTP clients
inetutils-ftp    inetutils-ftp    sessions of FTP clients
ncftpget         ncftp            sessions of FTP clients
wget             wget             sessions of FTP clients
aria2c           aria2            sessions of FTP clients
busybox          busybox          sessions of FTP clients
rclone           rclone           sessions of FTP clients
python3          python3          sessions of FTP clients (ftplib)
perl:Net::FTP    perl             sessions of FTP clients (Net::FTP)
perl:IO::Socket::SSL libio-socket-ssl-perl Net::FTP over TLS
openssl          openssl          TLS from outside
systemd-analyze  systemd          the units in deploy/systemd
logrotate        logrotate        the snippet in deploy/systemd
fail2ban-regex   fail2ban         the filter that reads our vsftpd log
mandoc           mandoc           the manual pages
zsh              zsh              completion in zsh
fish             fish             completion in fish
'
# A compiler needs the headers of the C library too, and modules come over TLS.
beside='libc6-dev ca-certificates'

present() {
	case $1 in
	perl:*) perl -M"${1#perl:}" -e1 2>/dev/null ;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

# missing prints the lines of the table whose program is not here.
missing() {
	echo "$table" | while read -r program package purpose; do
		if [ -n "$program" ] && ! present "$program"; then
			echo "$program $package $purpose"
		fi
	done
}

case ${1-show} in
install)
	lacking=$(missing | cut -d' ' -f2 | sort -u)
	# What the tests of clients ask for, should the table above lag behind.
	for package in $(cat interop/packages.txt); do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || lacking="$lacking $package"
	done
	[ -n "$(echo $lacking)" ] || exit 0
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "peers: only root on Debian can install them" >&2
		exit 1
	fi
	# shellcheck disable=SC2086 # a list of packages
	echo "peers: installing" $lacking $beside
	export DEBIAN_FRONTEND=noninteractive
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
		chmod 755 /usr/sbin/policy-rc.d
	fi
	apt-get update -qq
	# shellcheck disable=SC2086
	apt-get install -y -qq --no-install-recommends $lacking $beside >/dev/null
	case $lacking in
	*fail2ban*) deb-systemd-helper disable fail2ban.service >/dev/null 2>&1 || true ;;
	esac
	;;
show)
	missing | while read -r program package purpose; do
		printf 'missing: %-20s (package %s) for %s: its tests are skipped\n' "$program" "$package" "$purpose"
	done
	;;
*)
	echo "usage: tools/peers.sh [show|install]" >&2
	exit 64
	;;
esac
