//go:build unix && !linux

package sole

func lock(fd, how int) error { return flock(fd, how) }
