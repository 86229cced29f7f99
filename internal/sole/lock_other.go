//go:build unix && !linux

package sole

func lock(fd int) error { return flock(fd) }
