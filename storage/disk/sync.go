package disk

import "fmt"

// Sync says when Commit asks the disk to keep a file.
type Sync int

const (
	// SyncClose has the bytes on disk before the name appears, so that a
	// power cut leaves the old file or the new one.
	SyncClose Sync = iota
	// SyncOff leaves it to the kernel: a power cut soon after Commit may
	// leave an empty file, a crash of the server may not.
	SyncOff
	// SyncDir has the bytes and the name on disk before Commit returns.
	SyncDir
)

var syncs = [...]string{SyncClose: "close", SyncOff: "off", SyncDir: "dir"}

// ParseSync reads "off", "close" or "dir".
func ParseSync(s string) (Sync, error) {
	for i, name := range syncs {
		if s == name {
			return Sync(i), nil
		}
	}
	return 0, fmt.Errorf("sync policy %q: want off, close or dir", s)
}

// String is the inverse of [ParseSync].
func (s Sync) String() string {
	if s < 0 || int(s) >= len(syncs) {
		return fmt.Sprintf("Sync(%d)", int(s))
	}
	return syncs[s]
}
