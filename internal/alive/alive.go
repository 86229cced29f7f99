// Package alive has TCP find out that the other end of a control connection has
// vanished without a word: the machine is gone, or the cable out.
//
// Keep-alive asks an end that has been silent. As long as bytes are on their way
// to it, it is not asked; they are sent again, on Linux for a quarter of an hour.
// So that is bounded as well, where the system can (RFC 5482): by the time in
// which an end that owes nothing would be given up.
//
// It is not for data connections. The bound counts the time in which a peer takes
// nothing, though it answers, and those have a clock of their own for that.
package alive

import "time"

// probes are how many times nobody may answer before a connection counts as dead.
const probes = 4

// Patience is how long an end may be gone before its connection fails, if it is
// asked so often.
func Patience(every time.Duration) time.Duration { return (1 + probes) * every }
