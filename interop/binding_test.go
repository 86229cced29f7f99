package interop

import (
	"path/filepath"
	"strings"
	"testing"
)

// Where sessions must be resumed, a client that does not resume is refused
// and sees it as an error: nothing is stored, nothing is shown.
func TestUnboundIsRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		client client
		tls    string
	}{
		{curl, "tls12"},
		{ftplib, "tls12"},
		{ftplib, "tls13"},
	} {
		t.Run(tc.client.name+"/"+tc.tls, func(t *testing.T) {
			t.Parallel()
			need(t, tc.client)
			v := visitors(t, way{"passive", tc.tls, v4}, "require")
			write(t, v.local("sea.bin"), sea)
			for _, c := range tc.client.send(v, "sea.bin") {
				if _, all, err := v.try(t, c); err == nil {
					t.Errorf("%q reports success:\n%s", c.args, all)
				}
			}
			v.stop()
			if left, err := filepath.Glob(filepath.Join(v.root, "*")); err != nil || len(left) > 0 {
				t.Errorf("stored: %q, %v", left, err)
			}
			// 522, or 426 to a client that has gone without waiting for it.
			if d := strings.Join(v.dialogues(), ""); strings.Contains(d, "S: 226") || !strings.Contains(d, "S: 522") && !strings.Contains(d, "S: 426") {
				t.Errorf("neither 522 nor 426 in:\n%s", d)
			}
		})
	}
}
