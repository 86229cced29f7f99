// Package strangers starts the FTP servers of others for tests: vsftpd, ProFTPD,
// Pure-FTPd and pyftpdlib, each as it is installed or as tools/peers.sh has
// unpacked it, on loopback and in a directory of its own. The servers run on Unix.
// Pages are opened in Chromium.
//
// It says nothing to the servers; that is for the tests.
package strangers
