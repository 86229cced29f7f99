// Package strangers starts the FTP servers of others for tests: vsftpd, ProFTPD,
// Pure-FTPd and pyftpdlib, each as it is installed or as tools/peers.sh has
// unpacked it, on loopback and in a directory of its own.
//
// It says nothing to them; that is for the tests. It runs on Unix, where they do.
package strangers
