//go:build !unix

package main

import "towpath/internal/config"

// umask does nothing: this system has no such thing.
func umask(config.Mode) {}

// descriptors is 0: this system has no such limit.
func descriptors() int { return 0 }
