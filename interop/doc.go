// Package interop lets FTP clients that others have written talk to the real
// binary, each through the same scripted session: list, send, fetch, resume,
// delete, make, rename, mirror; in every mode and version of TLS that it knows.
//
// It holds tests alone. packages.txt names the Debian packages with the
// clients; a client that is not installed is skipped, and named at the end.
package interop
