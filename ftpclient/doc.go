// Package ftpclient speaks FTP as a client (RFC 959, 2228, 2428, 3659, 4217).
//
// Its one idea is that a [Client] is one session and knows at every moment what
// is owed on it: each command waits in a queue for its reply, so that a reply
// that comes late, or that nobody asked for, is never taken for another's. What
// cannot be put right that way ends the session plainly ([ErrPoisoned]).
//
// All methods take a context and may be called from many goroutines; calls on
// one Client go one after the other, and a [Pool] has several sessions. Names
// are taken as the server takes them: absolute, or relative to the directory in
// which the login has put us. The package never changes that directory.
//
// It keeps no local files, copies no trees and reads no URLs.
package ftpclient
