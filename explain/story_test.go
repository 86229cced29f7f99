package explain

import (
	"encoding/json"
	"testing"

	"towpath/internal/words"
)

// The names in JSON are kept for those who read it with programs.
func TestJSON(t *testing.T) {
	t.Parallel()
	s := tell(t, Options{}, needCapture(t, "dnat-passive-noalg-client.pcap"), needCapture(t, "dnat-passive-noalg-server.pcap"))
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	first := func(in map[string]any, name string) map[string]any {
		list, _ := in[name].([]any)
		if len(list) == 0 {
			t.Fatalf("%s is empty in %v", name, in)
		}
		return list[0].(map[string]any)
	}
	session := first(all, "sessions")
	for _, c := range []struct {
		in    map[string]any
		names []string
	}{
		{all, []string{"schema_version", "captures", "sessions", "translations"}},
		{first(all, "captures"), []string{"file", "packets", "link", "notes"}},
		{session, []string{"id", "client", "server", "started", "ended", "user", "password_in_clear", "tls", "commands", "transfers", "findings"}},
		{first(session, "commands"), []string{"packet", "time", "verb", "arg", "code", "reply"}},
		{first(session, "transfers"), []string{
			"verb", "path", "mode", "announced_by", "announced", "opener", "from", "to", "verdict", "bytes", "sha256", "complete", "code", "reply",
		}},
		{first(session, "findings"), []string{"id", "severity", "packets", "text", "advice"}},
		{first(all, "translations"), []string{"kind", "inside", "outside", "payload", "session_ids"}},
	} {
		for _, name := range c.names {
			if v, ok := c.in[name]; !ok || v == nil {
				t.Errorf("%s is %v in %v", name, v, c.in)
			}
		}
	}
	if session["client"] != "10.45.1.44:42874" || all["schema_version"] != 1.0 {
		t.Errorf("client %v, schema %v", session["client"], all["schema_version"])
	}
}

// A story speaks the language of who reads it; names stay.
func TestIn(t *testing.T) {
	t.Parallel()
	s := tell(t, Options{}, needCapture(t, "snat-active-noalg-client.pcap"))
	ja := s.In(words.Japanese)
	a, b := s.Sessions[0].Findings[0], ja.Sessions[0].Findings[0]
	if a.ID != b.ID || a.Text == b.Text || a.Advice == b.Advice || b.In(words.English).Text != a.Text {
		t.Errorf("%+v in Japanese is %+v", a, b)
	}
}
