package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// A mistake in the file of a gateway is told with its line.
func TestGatewayFile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want []string // "" is none
	}{
		{"to = ['10.0.0.5 weight=2 drain', '10.0.0.6']\nhealth = '10s'\nread-only = true\ntls = 'refuse'", nil},
		{"# a\nto = '10.0.0.5'\nbalanse = 'least'\n", []string{"f.toml:3:1: balanse", "3 | balanse"}},
		{"to = '10.0.0.5'\nhealth = '10'\nhealth-user = ['a:secret']", []string{"f.toml:2:1: health", "2 | health = '10'", "f.toml:3:1: health-user"}},
		{"to = '10.0.0.5'\nto = 1", []string{"f.toml:2:"}},
		{"to = '10.0.0.5'\nread-only = true", []string{"--tls refuse"}},
		{"to = '10.0.0.5 weight=0'", []string{"weight: \"0\""}},
	} {
		name := filepath.Join(t.TempDir(), "f.toml")
		if err := os.WriteFile(name, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var v gatewayFlags
		f := pflag.NewFlagSet("gateway", pflag.ContinueOnError)
		v.bind(f)
		err := f.Parse([]string{"--config", name})
		if err != nil {
			t.Fatal(err)
		}
		next, err := v.load(f)
		if err == nil {
			g := &gatewayService{}
			o, problem := g.options(next)
			err = problem
			if err == nil && (o.Route == nil || len(g.pool.Snapshot()) != 2) {
				t.Errorf("%q: %+v", tt.text, g.pool.Snapshot())
			}
			if err := g.close(); err != nil {
				t.Error(err)
			}
		}
		if (err == nil) != (len(tt.want) == 0) {
			t.Errorf("%q: %v", tt.text, err)
		}
		for _, w := range tt.want {
			if err != nil && !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %v\nwant %q", tt.text, err, w)
			}
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("a password is shown: %v", err)
		}
	}
}
