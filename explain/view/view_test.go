package view_test

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"encoding/json"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"towpath/capture"
	"towpath/explain"
	"towpath/explain/view"
	"towpath/internal/strangers"
	"towpath/internal/words"
)

var update = flag.Bool("update", false, "write the files in testdata anew")

// wire is a place where packets are recorded.
type wire struct {
	t    *testing.T
	w    *capture.Writer
	file *os.File
	now  time.Time
	n    int
}

// record makes a capture of what a script does.
func record(t *testing.T, script func(*wire)) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "trace.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, w: capture.NewWriter(f), file: f, now: time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)}
	script(w)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// connection is one that is recorded. Its sides count their bytes.
type connection struct {
	wire     *wire
	from, to netip.AddrPort
	seq      [2]uint32
}

// packet records one, a millisecond after the one before.
func (c *connection) packet(back bool, flags capture.Flags, payload string) {
	c.wire.t.Helper()
	from, to, me, you := c.from, c.to, 0, 1
	if back {
		from, to, me, you = to, from, you, me
	}
	ip := make([]byte, 40, 40+len(payload))
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(ip[2:], uint16(40+len(payload)))
	copy(ip[12:], from.Addr().AsSlice())
	copy(ip[16:], to.Addr().AsSlice())
	tcp := ip[20:]
	binary.BigEndian.PutUint16(tcp, from.Port())
	binary.BigEndian.PutUint16(tcp[2:], to.Port())
	binary.BigEndian.PutUint32(tcp[4:], c.seq[me])
	if flags.Has(capture.ACK) {
		binary.BigEndian.PutUint32(tcp[8:], c.seq[you])
	}
	tcp[12], tcp[13] = 5<<4, byte(flags)
	binary.BigEndian.PutUint16(tcp[14:], 65535)
	c.seq[me] += uint32(len(payload))
	if flags.Has(capture.SYN) || flags.Has(capture.FIN) {
		c.seq[me]++
	}
	w := c.wire
	w.n++
	w.now = w.now.Add(time.Millisecond)
	data := append(ip, payload...)
	if err := w.w.Write(&capture.Packet{Number: w.n, Time: capture.InstantOf(w.now), Link: capture.LinkRaw, Length: len(data), Data: data}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wire) dial(from, to string) *connection {
	c := &connection{wire: w, from: netip.MustParseAddrPort(from), to: netip.MustParseAddrPort(to), seq: [2]uint32{uint32(1000 * (w.n + 1)), 5000}}
	c.packet(false, capture.SYN, "")
	c.packet(true, capture.SYN|capture.ACK, "")
	c.packet(false, capture.ACK, "")
	return c
}

// unanswered is a connection that nobody answers, asked for so many times.
func (w *wire) unanswered(from, to string, times int) {
	c := &connection{wire: w, from: netip.MustParseAddrPort(from), to: netip.MustParseAddrPort(to)}
	for range times {
		c.seq[0] = 1000
		c.packet(false, capture.SYN, "")
		w.now = w.now.Add(time.Second)
	}
}

// talk records lines: "C: …" by who opened the connection, "S: …" by the other.
func (c *connection) talk(lines ...string) {
	for _, l := range lines {
		who, text, _ := strings.Cut(l, ": ")
		c.packet(who == "S", capture.PSH|capture.ACK, text+"\r\n")
	}
}

func (c *connection) close() {
	c.packet(false, capture.FIN|capture.ACK, "")
	c.packet(true, capture.FIN|capture.ACK, "")
	c.packet(false, capture.ACK, "")
}

const (
	client  = "192.0.2.7"
	inside  = "10.0.0.5"
	outside = "203.0.113.9"
	server  = "198.51.100.2"
)

func login(c *connection) {
	c.talk("S: 220-Welcome", "S: 220 ftp.example.org", "C: USER alice", "S: 331 Password?", "C: PASS sesame", "S: 230 Hello")
}

// worked is a session in which all is well, but for who named the files.
func worked(w *wire) {
	c := w.dial(client+":40000", server+":21")
	login(c)
	c.talk("C: EPSV", "S: 229 Entering Extended Passive Mode (|||50000|)")
	d := w.dial(client+":40001", server+":50000")
	c.talk("C: RETR 日本.txt", "S: 150 Here it comes")
	d.packet(true, capture.PSH|capture.ACK, "0123456789")
	d.packet(true, capture.FIN|capture.ACK, "")
	d.packet(false, capture.FIN|capture.ACK, "")
	c.talk("S: 226 Done")
	c.talk("C: PORT 192,0,2,7,192,245", "S: 200 Good", "C: STOR \x1b[2J<script>alert(1)</script>\u202e;.txt", "S: 150 Send")
	d = w.dial(server+":20", client+":49397")
	d.packet(true, capture.PSH|capture.ACK, "abc")
	d.packet(true, capture.FIN|capture.ACK, "")
	d.packet(false, capture.FIN|capture.ACK, "")
	c.talk("S: 226 Stored", "C: QUIT", "S: 221 Bye")
	c.close()
}

// blocked is one whose server names its inside address.
func blocked(w *wire) {
	c := w.dial(client+":40000", server+":21")
	login(c)
	c.talk("C: PASV", "S: 227 Entering Passive Mode (10,0,0,5,195,80).")
	w.unanswered(client+":40001", "10.0.0.5:50000", 3)
	c.close()
}

// behind records a session in active mode on one side of a source NAT, which
// rewrites PORT.
func behind(near bool) func(*wire) {
	return func(w *wire) {
		from, port := inside+":40000", "C: PORT 10,0,0,5,195,80"
		to := inside + ":50000"
		if !near {
			from, port, to = outside+":40000", "C: PORT 203,0,113,9,195,80", outside+":50000"
		}
		c := w.dial(from, server+":21")
		login(c)
		c.talk(port, "S: 200 Good", "C: RETR sea.txt", "S: 150 Here it comes")
		d := w.dial(server+":20", to)
		d.packet(false, capture.PSH|capture.ACK, "0123456789")
		d.packet(false, capture.FIN|capture.ACK, "")
		d.packet(true, capture.FIN|capture.ACK, "")
		c.talk("S: 226 Done", "C: QUIT", "S: 221 Bye")
		c.close()
	}
}

// told explains captures, which bear the names of their scripts.
func told(t *testing.T, l words.Lang, names []string, scripts ...func(*wire)) *view.View {
	t.Helper()
	var files []string
	for _, s := range scripts {
		files = append(files, record(t, s))
	}
	story, err := explain.Explain(t.Context(), files, explain.Options{Hash: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range story.Captures {
		story.Captures[i].File = names[i] + ".pcapng"
	}
	return view.New(story, l)
}

// tales are the stories that are shown in these tests.
func tales(t *testing.T, l words.Lang) map[string]*view.View {
	return map[string]*view.View{
		"worked":  told(t, l, []string{"worked"}, worked),
		"blocked": told(t, l, []string{"blocked"}, blocked),
		"nat":     told(t, l, []string{"client", "server"}, behind(true), behind(false)),
	}
}

// golden holds a text to a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	at := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (go test ./explain/view -update writes it anew): -want +got\n%s", at, diff)
	}
}

func text(t *testing.T, write func(w *strings.Builder) error) string {
	t.Helper()
	var b strings.Builder
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What people read. Whoever named a file cannot write on their terminal.
func TestShown(t *testing.T) {
	t.Parallel()
	for name, v := range tales(t, words.English) {
		for form, write := range map[string]func(*strings.Builder) error{
			"txt":    func(b *strings.Builder) error { return v.WriteText(b) },
			"ladder": func(b *strings.Builder) error { return v.WriteLadder(b) },
			"mmd":    func(b *strings.Builder) error { return v.WriteMermaid(b) },
		} {
			got := text(t, write)
			golden(t, name+"."+form, got)
			if strings.ContainsFunc(got, func(r rune) bool { return r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
				t.Errorf("%s.%s: there are control characters in it", name, form)
			}
		}
	}
}

// Who chose the name of a user sets no picture into a ticket.
func TestMarkdown(t *testing.T) {
	t.Parallel()
	v := told(t, words.English, []string{"hostile"}, func(w *wire) {
		c := w.dial(client+":40000", server+":21")
		c.talk("S: 220 Hello", "C: USER ![x](http://192.0.2.66/x.png)<b>`@ops", "S: 331 Password?", "C: PASS sesame", "S: 230 Hello")
		c.close()
	})
	got, _, _ := strings.Cut(text(t, func(b *strings.Builder) error { return v.WriteMermaid(b) }), "\n")
	const want = `Session 1: \!\[x\](http\://192.0.2.66/x.png)\<b\>\` + "`" + `\@ops, 192.0.2.7:40000 → 198.51.100.2:21`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Each language says something else, and none of them an English sentence.
func TestLanguages(t *testing.T) {
	t.Parallel()
	for l, want := range map[words.Lang]string{
		words.Simplified:  "1 个会话，1 次传输：1 失败。",
		words.Traditional: "1 個工作階段，1 次傳輸：1 失敗。",
		words.Japanese:    "1 セッション、転送 1 件：失敗 1。",
	} {
		got := text(t, func(b *strings.Builder) error { return told(t, l, []string{"blocked"}, blocked).WriteText(b) })
		if !strings.Contains(got, want) || strings.Contains(got, "Handshake") {
			t.Errorf("%v: want %q in\n%s", l, want, got)
		}
	}
}

// The examples in docs/explain.md are what is really written.
func TestExamples(t *testing.T) {
	t.Parallel()
	at := filepath.Join("..", "..", "docs", "explain.md")
	was, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	v := tales(t, words.English)
	examples := map[string]string{
		"blocked": text(t, func(b *strings.Builder) error { return v["blocked"].WriteText(b) }),
		"nat":     text(t, func(b *strings.Builder) error { return v["nat"].WriteLadder(b) }),
	}
	n := 0
	now := regexp.MustCompile("(?s)<!-- (\\w+) -->\n```\n.*?```\n").ReplaceAllStringFunc(string(was), func(block string) string {
		n++
		name := strings.Fields(block)[1]
		return "<!-- " + name + " -->\n```\n" + examples[name] + "```\n"
	})
	if *update {
		if err := os.WriteFile(at, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(was), now); diff != "" || n != len(examples) {
		t.Errorf("%s (go test ./explain/view -update writes it anew), %d examples: -want +got\n%s", at, n, diff)
	}
}

func TestDialogue(t *testing.T) {
	t.Parallel()
	v := told(t, words.English, []string{"blocked"}, blocked)
	got := text(t, func(b *strings.Builder) error { return v.WriteDialogue(b, 1) })
	want := `S: 220 Welcome
S: ftp.example.org
C: USER alice
S: 331 Password?
C: PASS ****
S: 230 Hello
C: PASV
S: 227 Entering Passive Mode (10,0,0,5,195,80).
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := v.WriteDialogue(&strings.Builder{}, 7); err == nil || err.Error() != "there is no session 7; there are 1" {
		t.Error(err)
	}
}

func schemaInDocs(t *testing.T) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "explain.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// The JSON is what the schema in docs says, and says no more.
func TestJSON(t *testing.T) {
	t.Parallel()
	schema := schemaInDocs(t)
	for name, v := range tales(t, words.English) {
		got := text(t, func(b *strings.Builder) error { return v.WriteJSON(b) })
		golden(t, name+".json", got)
		var value any
		if err := json.Unmarshal([]byte(got), &value); err != nil {
			t.Fatal(err)
		}
		for _, problem := range check(schema, schema, name, value) {
			t.Error(problem)
		}
	}
	// And it can tell.
	if got := check(schema, schema, "", map[string]any{"schema_version": 2.0, "captures": []any{}, "sessions": "none", "more": 1.0}); len(got) != 4 {
		t.Errorf("found %q, want four problems", got)
	}
}

// So is that of every capture that we have.
func TestJSONOfCaptures(t *testing.T) {
	t.Parallel()
	schema := schemaInDocs(t)
	dirs := []string{filepath.Join("..", "testdata", "captures"), filepath.Join("..", "..", "capture", "testdata")}
	if more := os.Getenv("TOWPATH_CAPTURES"); more != "" {
		dirs = append(dirs, more, filepath.Join(more, "nat-pairs"))
	}
	n := 0
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.*cap*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			n++
			t.Run(filepath.Base(file), func(t *testing.T) {
				t.Parallel()
				story, err := explain.Explain(t.Context(), []string{file}, explain.Options{Hash: true})
				if err != nil {
					t.Fatal(err)
				}
				var b bytes.Buffer
				if err := view.New(story, words.English).WriteJSON(&b); err != nil {
					t.Fatal(err)
				}
				var value any
				if err := json.Unmarshal(b.Bytes(), &value); err != nil {
					t.Fatal(err)
				}
				for _, problem := range check(schema, schema, filepath.Base(file), value) {
					t.Error(problem)
				}
			})
		}
	}
	if n < 20 {
		t.Errorf("there are %d captures in %v", n, dirs)
	}
}

// The schema knows each name that the types can write.
func TestSchema(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "explain.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(raw, &root); err != nil {
		t.Fatal(err)
	}
	var hold func(at string, of reflect.Type, schema map[string]any)
	hold = func(at string, of reflect.Type, schema map[string]any) {
		if ref, ok := schema["$ref"].(string); ok {
			schema = root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
		}
		switch {
		case of.Kind() == reflect.Pointer:
			hold(at, of.Elem(), schema)
		case of.Kind() == reflect.Slice:
			items, ok := schema["items"].(map[string]any)
			if !ok {
				t.Errorf("%s: the schema has no items", at)
				return
			}
			hold(at+"[]", of.Elem(), items)
		case of.Kind() == reflect.Struct && !of.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
			properties, _ := schema["properties"].(map[string]any)
			names := map[string]bool{}
			for _, f := range reflect.VisibleFields(of) {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if !f.IsExported() || f.Anonymous || name == "-" {
					continue
				}
				names[name] = true
				of, ok := properties[name].(map[string]any)
				if !ok {
					t.Errorf("%s: the schema does not know %q", at, name)
					continue
				}
				hold(at+"."+name, f.Type, of)
			}
			for name := range properties {
				if !names[name] {
					t.Errorf("%s: the schema knows %q, which nobody writes", at, name)
				}
			}
		}
	}
	hold("story", reflect.TypeFor[explain.Story](), root)
}

// check holds a value to as much of JSON Schema as ours uses.
func check(root, schema map[string]any, at string, value any) (problems []string) {
	wrong := func(what string) { problems = append(problems, at+": "+what) }
	for word, rule := range schema {
		switch word {
		case "$schema", "$defs", "title", "description":
		case "$ref":
			name := strings.TrimPrefix(rule.(string), "#/$defs/")
			problems = append(problems, check(root, root["$defs"].(map[string]any)[name].(map[string]any), at, value)...)
		case "const":
			if value != rule {
				wrong("is not the constant")
			}
		case "enum":
			if !slices.Contains(rule.([]any), value) {
				wrong("is none of the values")
			}
		case "type":
			ok := false
			switch v := value.(type) {
			case map[string]any:
				ok = rule == "object"
			case []any:
				ok = rule == "array"
			case string:
				ok = rule == "string"
			case bool:
				ok = rule == "boolean"
			case float64:
				ok = rule == "integer" && v == float64(int64(v))
			}
			if !ok {
				wrong("is no " + rule.(string))
			}
		case "minimum", "maximum":
			if n, ok := value.(float64); ok && (word == "minimum" && n < rule.(float64) || word == "maximum" && n > rule.(float64)) {
				wrong("is beyond the " + word)
			}
		case "pattern":
			if s, ok := value.(string); ok && !regexp.MustCompile(rule.(string)).MatchString(s) {
				wrong("does not match: " + s)
			}
		case "items":
			all, _ := value.([]any)
			for _, v := range all {
				problems = append(problems, check(root, rule.(map[string]any), at+"[]", v)...)
			}
		case "required":
			object, _ := value.(map[string]any)
			for _, name := range rule.([]any) {
				if _, ok := object[name.(string)]; !ok {
					wrong("lacks " + name.(string))
				}
			}
		case "properties":
			object, _ := value.(map[string]any)
			for name, v := range object {
				if of, ok := rule.(map[string]any)[name]; ok {
					problems = append(problems, check(root, of.(map[string]any), at+"."+name, v)...)
				} else if schema["additionalProperties"] == false {
					wrong("has " + name)
				}
			}
		case "additionalProperties":
		default:
			wrong("the schema uses " + word + ", which this test does not know")
		}
	}
	return problems
}

// A page shows what it should, does nothing, and asks nobody.
func TestPage(t *testing.T) {
	t.Parallel()
	v := tales(t, words.English)
	for name, want := range map[string][]string{
		"worked":  {"prefers-color-scheme: dark", "@media print", "日本.txt", "49397", "class=\"bar worked\"", "&lt;script&gt;"},
		"blocked": {"10.0.0.5", "class=\"wait failed\"", "url(#bad)"},
		"nat":     {"NAT inside", "NAT outside", "203,0,113,9"},
	} {
		page := text(t, func(b *strings.Builder) error { return v[name].WriteHTML(b) })
		for _, w := range want {
			if !strings.Contains(page, w) {
				t.Errorf("%s: want %q in the page", name, w)
			}
		}
		for _, bad := range []string{"<script", "src=", "@import", "\x1b", "\u202e", "sesame"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: %q is in the page", name, bad)
			}
		}
	}
}

// The page is opened in Chromium, where it is installed.
func TestPageInBrowser(t *testing.T) {
	t.Parallel()
	page := strangers.Browse(t, text(t, func(b *strings.Builder) error { return tales(t, words.English)["worked"].WriteHTML(b) }))
	// A ladder and an axis, both parsed as drawings of the page.
	if got := strings.Count(page, "<figure>"); got != 2 {
		t.Errorf("the browser shows %d figures, want 2", got)
	}
	if !strings.Contains(page, "&lt;script&gt;alert(1)&lt;/script&gt;") {
		t.Error("the name of the file is not shown as text")
	}
}

// What cannot be told has a reason, and the verdict gives it.
func TestUntold(t *testing.T) {
	t.Parallel()
	const pasv, to = "C: PASV", "S: 227 Entering Passive Mode (198,51,100,2,195,80)."
	for want, lines := range map[string][]string{
		"1 session, 1 transfer: 1 cannot be told, for the capture ends before.\n": {pasv, to, "C: RETR sea.txt", "S: 150 Here it comes"},
		"1 session, 1 transfer: 1 cannot be told.\n! The client should have connected to 198.51.100.2:50000, and no packet of that\n  is in the capture": {
			"C: EPSV", "S: 229 ok (|||50000|)", pasv, to, "C: QUIT", "S: 221 Bye",
		},
	} {
		v := told(t, words.English, []string{"untold"}, func(w *wire) {
			c := w.dial(client+":40000", server+":21")
			login(c)
			c.talk(lines...)
		})
		if got := text(t, func(b *strings.Builder) error { return v.WriteVerdict(b) }); !strings.HasPrefix(got, want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// Of many sessions those that failed are told, and of a long one the ends.
func TestMany(t *testing.T) {
	t.Parallel()
	v := told(t, words.English, []string{"many"}, func(w *wire) {
		for i := range 60 {
			c := w.dial(netip.AddrPortFrom(netip.MustParseAddr(client), uint16(40000+i)).String(), server+":21")
			login(c)
			if i == 50 {
				c.talk("C: PASV", "S: 227 Entering Passive Mode (10,0,0,5,195,80).")
				w.unanswered(client+":39000", "10.0.0.5:50000", 2)
			}
			if i == 0 {
				for range 200 {
					c.talk("C: NOOP", "S: 200 Well")
				}
			}
			c.close()
		}
	})
	got := text(t, func(b *strings.Builder) error { return v.WriteText(b) })
	for _, want := range []string{"Session 51: alice", "✗  51  inside-address  alice", "… 20 left out; --all shows all", "55 more sessions are not shown", "… 2"} {
		if !strings.Contains(got, want) {
			t.Errorf("want %q in\n%.3000s", want, got)
		}
	}
	v.All = true
	all := text(t, func(b *strings.Builder) error { return v.WriteText(b) })
	if strings.Contains(all, "--all") || strings.Count(all, "\nSession ") != 60 || strings.Count(all, "NOOP") < 200 {
		t.Errorf("not all is told, in %d lines", strings.Count(all, "\n"))
	}
}

// Of very many sessions a page draws those that failed, and lists the others.
// Whatever is written, it is written piece by piece.
func TestCrowd(t *testing.T) {
	t.Parallel()
	const crowd, bad = 240, 230
	v := told(t, words.English, []string{"crowd"}, func(w *wire) {
		for i := range crowd {
			c := w.dial(netip.AddrPortFrom(netip.MustParseAddr(client), uint16(40000+i)).String(), server+":21")
			if login(c); i+1 == bad {
				c.talk("C: PASV", "S: 227 Entering Passive Mode (10,0,0,5,195,80).")
				w.unanswered(client+":39000", "10.0.0.5:50000", 2)
			}
			c.close()
		}
	})
	for form, write := range map[string]func(io.Writer) error{
		"text": v.WriteText, "ladder": v.WriteLadder, "mermaid": v.WriteMermaid, "page": v.WriteHTML, "json": v.WriteJSON,
	} {
		for _, v.All = range []bool{false, true} {
			var b meter
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			if v.All && b.most > b.Len()/8 {
				t.Errorf("%s: %d of %d bytes are written at once", form, b.most, b.Len())
			}
			if form != "page" {
				continue
			}
			if rows := strings.SplitAfter(b.String(), "<tr><td"); !strings.Contains(rows[1], "#session230") || !strings.Contains(rows[1], "inside-address") {
				t.Errorf("the table does not begin with the session that failed: %s", rows[1])
			}
			want, note := 200, strings.Contains(b.String(), "40 sessions stand in the table only; --all draws them too.")
			if v.All {
				want, note = crowd, !note
			}
			if n := strings.Count(b.String(), "<section id="); n != want || !note {
				t.Errorf("%d sections, want %d; whether the note stands as it should: %v", n, want, note)
			}
		}
	}
}

// meter is a writer that knows the most that it was given at once.
type meter struct {
	strings.Builder
	most int
}

func (m *meter) Write(b []byte) (int, error) {
	m.most = max(m.most, len(b))
	return m.Builder.Write(b)
}

func (m *meter) WriteString(s string) (int, error) { return m.Write([]byte(s)) }

// What grows is told once.
func TestTicker(t *testing.T) {
	t.Parallel()
	file := record(t, worked)
	src, err := capture.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	teller := explain.NewTeller(explain.Options{})
	ticker := view.NewTicker(words.English)
	var b strings.Builder
	err = teller.Watch(t.Context(), src, file, func(*capture.Packet) {
		if err := ticker.Write(&b, teller.Story()); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := ticker.Write(&b, teller.Story()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"USER alice", "PASS ****", "The server sends 10 bytes.", "The client sends 3 bytes.", "221 Bye"} {
		if n := strings.Count(b.String(), want); n != 1 {
			t.Errorf("%q is told %d times:\n%s", want, n, b.String())
		}
	}
}

// Whatever two ends say to each other, what is shown stays on its lines and
// orders nobody about.
func FuzzShown(f *testing.F) {
	for _, s := range []string{
		"", "PASS sesame", "RETR \x1b]0;title\a", "USER \u202e\u2028x", "STOR a\tb\x00\xff", "PORT 1,2,3,4,5,6", "MKD ```\n", "AUTH TLS", "LIST \u009b2J",
	} {
		f.Add(s, "227 Entering Passive Mode (10,0,0,5,195,80).\r\n150 \x1b[31m"+s, true)
		f.Add("RETR "+s, "220-"+s+"\r\n220 "+s, false)
	}
	f.Fuzz(func(t *testing.T, said, answered string, open bool) {
		if len(said)+len(answered) > 8000 {
			return
		}
		v := told(t, words.English, []string{"hostile"}, func(w *wire) {
			c := w.dial(client+":40000", server+":21")
			login(c)
			c.talk("C: "+said, "S: "+answered, "C: PASV", "S: 227 Entering Passive Mode (198,51,100,2,195,80).")
			if open {
				d := w.dial(client+":40001", server+":50000")
				c.talk("C: RETR "+said, "S: 150 "+answered)
				d.packet(true, capture.PSH|capture.ACK, answered)
				d.close()
			}
			c.talk("S: 226 "+answered, "C: "+said)
			c.close()
		})
		v.All = true
		for form, write := range map[string]func(*strings.Builder) error{
			"text":     func(b *strings.Builder) error { return v.WriteText(b) },
			"ladder":   func(b *strings.Builder) error { return v.WriteLadder(b) },
			"mermaid":  func(b *strings.Builder) error { return v.WriteMermaid(b) },
			"page":     func(b *strings.Builder) error { return v.WriteHTML(b) },
			"dialogue": func(b *strings.Builder) error { return v.WriteDialogue(b, 1) },
			"JSON":     func(b *strings.Builder) error { return v.WriteJSON(b) },
		} {
			if form == "dialogue" && v.Session(1) == nil {
				continue
			}
			got := text(t, write)
			if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
				t.Errorf("%s is not harmless: %q", form, got)
			}
			if form == "page" && strings.Contains(got, "<script") {
				t.Error("there is a script in the page")
			}
			if n := strings.Count(got, "```"); form == "mermaid" && n != 2*len(v.Told()) {
				t.Errorf("%d fences around %d diagrams", n, len(v.Told()))
			}
		}
	})
}
