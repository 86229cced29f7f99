//go:build !unix

package control

import "syscall"

// private: elsewhere the directory decides who may come in.
func private(string, string, syscall.RawConn) error { return nil }

// isTaken: whatever it was, what stands there is looked at.
func isTaken(err error) bool { return err != nil }
