package disk

import (
	"testing"

	"towpath/storage"
	"towpath/storage/storagetest"
)

// forms are the two ways of keeping beneath; on systems without openat2 they
// are one.
var forms = map[string]Options{"openat2": {}, "os.Root": {rooted: true}}

func open(t testing.TB, dir string, o Options) *FS {
	t.Helper()
	f, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestKit(t *testing.T) {
	t.Parallel()
	for name, o := range forms {
		o.Sync = SyncOff // thousands of files; TestSync has the other policies
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storagetest.Run(t, func(t *testing.T) storage.FS { return open(t, t.TempDir(), o) })
		})
	}
}
