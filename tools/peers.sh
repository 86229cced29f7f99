#!/bin/sh
# Shows which programs the tests talk to are here and which are missing, and
# installs the missing ones on Debian.
#
#	tools/peers.sh            show
#	tools/peers.sh install    install what is missing; needs root and apt-get
#
# No service is started: what a package brings of that sort stays off. Servers
# of others, whose packages exclude each other, are unpacked into .peers in this
# tree, with the libraries that they need and that are not installed.
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
nft              nftables         the rules that are written for nftables
iptables         iptables         the rules that are written for iptables
mandoc           mandoc           the manual pages
zsh              zsh              completion in zsh
fish             fish             completion in fish
'
# A compiler needs the headers of the C library too, and modules come over TLS.
beside='libc6-dev ca-certificates'

# Servers and proxies that the client is tested against, and their packages.
servers='
vsftpd              vsftpd
proftpd             proftpd-core proftpd-mod-crypto
proftpd:mod_proxy   proftpd-mod-proxy
pure-ftpd           pure-ftpd
python3:pyftpdlib   python3-pyftpdlib python3-openssl
microsocks          microsocks
danted              dante-server
tinyproxy           tinyproxy-bin
'

present() {
	case $1 in
	perl:*) perl -M"${1#perl:}" -e1 2>/dev/null ;;
	python3:*) PYTHONPATH=.peers/usr/lib/python3/dist-packages /usr/bin/python3 -W ignore -c "import ${1#python3:}" 2>/dev/null ;;
	proftpd:*) ls /usr/lib/proftpd/"${1#*:}".so .peers/usr/lib/proftpd/"${1#*:}".so 2>/dev/null | grep -q . ;;
	vsftpd | proftpd | pure-ftpd | microsocks | danted | tinyproxy)
		PATH=$PATH:/usr/sbin:.peers/usr/sbin:.peers/usr/bin command -v "$1" >/dev/null 2>&1 ;;
	nft | iptables) PATH=$PATH:/usr/sbin command -v "$1" >/dev/null 2>&1 ;;
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

# absent prints the lines of the servers that are not here.
absent() {
	echo "$servers" | while read -r program packages; do
		if [ -n "$program" ] && ! present "$program"; then
			echo "$program $packages"
		fi
	done
}

# unpack puts packages, and what they depend on and is not installed, into
# .peers. Nothing of them runs here, no script either.
unpack() {
	here=$PWD/.peers
	mkdir -p "$here/debs/partial"
	apt-get install -y -qq -o DPkg::Lock::Timeout=120 --no-install-recommends --download-only \
		-o "Dir::Cache::archives=$here/debs" -o APT::Sandbox::User=root "$@" >/dev/null
	for package in "$here"/debs/*.deb; do
		dpkg -x "$package" "$here"
	done
	# Programs and libraries are all that tests need.
	rm -rf "$here/debs" "$here/etc" "$here/var" "$here/run" "$here/usr/share" "$here/usr/include"
}

case ${1-show} in
install)
	servers_lacking=$(absent)
	lacking=$(missing | cut -d' ' -f2 | sort -u)
	# What the tests of clients ask for, should the table above lag behind.
	for package in $(cat interop/packages.txt); do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || lacking="$lacking $package"
	done
	[ -n "$(echo $lacking $servers_lacking)" ] || exit 0
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "peers: only root on Debian can install them" >&2
		exit 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
		chmod 755 /usr/sbin/policy-rc.d
	fi
	apt-get update -qq
	if [ -n "$(echo $lacking)" ]; then
		# shellcheck disable=SC2086 # a list of packages
		echo "peers: installing" $lacking $beside
		# shellcheck disable=SC2086
		apt-get install -y -qq -o DPkg::Lock::Timeout=120 --no-install-recommends $lacking $beside >/dev/null
	fi
	echo "$servers_lacking" | while read -r program packages; do
		[ -n "$program" ] || continue
		echo "peers: unpacking $packages"
		# One by one: together they would exclude each other.
		# shellcheck disable=SC2086
		unpack $packages
	done
	# As an installation would; servers start in a fifth of the time.
	if [ -d .peers/usr/lib/python3 ]; then
		/usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash .peers/usr/lib/python3
	fi
	case $lacking in
	*fail2ban*) deb-systemd-helper disable fail2ban.service >/dev/null 2>&1 || true ;;
	esac
	;;
show)
	absent | while read -r program packages; do
		printf 'missing: %-20s (package %s) for servers and proxies that the client meets: its tests are skipped\n' "$program" "$packages"
	done
	missing | while read -r program package purpose; do
		printf 'missing: %-20s (package %s) for %s: its tests are skipped\n' "$program" "$package" "$purpose"
	done
	;;
*)
	echo "usage: tools/peers.sh [show|install]" >&2
	exit 64
	;;
esac
