// Package headway asks the kernel how far the bytes of a TCP connection have come.
// Who writes learns that a piece has gone when the kernel has taken all of it, and
// who reads TLS that one has come when its record is whole; on a slow line that
// takes minutes, in which a connection that lives looks like one that is dead.
//
// Only Linux knows. It keeps no time, and ends no connection.
package headway
