package listing

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// line is one of testdata/lines.json: what a real server printed, and the facts
// that a reader should find. They come from the test data of other projects,
// named in From; the facts are what those projects find.
type line struct {
	ID     string `json:"id"`
	Format string `json:"format"`
	Raw    string `json:"raw"`
	Expect struct {
		Name         *string `json:"name"`
		Type         *string `json:"type"`
		Size         *uint64 `json:"size"` // 2^64-1 is one of them
		Target       *string `json:"target"`
		Owner        *string `json:"owner"`
		Group        *string `json:"group"`
		Mode         *string `json:"mode"`
		Time         *string `json:"time"`
		MonthDayTime *string `json:"month_day_time"`
		TimeIf       *string `json:"time_if_now_is_2017-03-10T23:00:00Z"`
		Refuse       bool    `json:"reject_or_undated"`
	} `json:"expect"`
	From string `json:"from"`
}

// disputed are the facts that other projects find and this one does not.
var disputed = map[string]string{
	"L030 size":  "27 is the minor of a device",
	"L030 group": "and 0, its major",
	"L072 name":  "numeric owner and group; the same line is L014, read right",
	"L072 size":  "as above",
	"L073 name":  "as above, L015",
	"L073 size":  "as above",
	"L182 name":  "the heading of a member list is no entry",
	"L182 type":  "as above",
	"L209 time":  "a date without time is midnight, not one in the morning",
	"L258 size":  "2^64-1 is not known",
}

// taken are lines that a reader held to their format must refuse, and that we
// know to be right.
var taken = map[string]string{
	"L122": `an owner and the group "0  xx": Cygwin has such, and OS/400 prints Unix lines`,
}

var formats = map[string]Dialect{
	"unix": Unix, "msdos": DOS, "netware": NetWare, "os2": OS2, "os400": OS400, "vms": VMS,
	"mvs": MVS, "netpresenz": Mac, "enterprise-unix": Enterprise, "mlsx": MLSx,
}

// heldOnly are lines that nobody can tell from other text: names without facts.
var heldOnly = map[string]bool{"L184": true, "L217": true, "L220": true, "L221": true}

var testNow = time.Date(2017, 3, 10, 23, 0, 0, 0, time.UTC)

func readLines(t *testing.T) []line {
	t.Helper()
	b, err := os.ReadFile("testdata/lines.json")
	if err != nil {
		t.Fatal(err)
	}
	var lines []line
	if err := json.Unmarshal(b, &lines); err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestRealLines(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, x := range readLines(t) {
		format, ok := formats[x.Format]
		if !ok {
			t.Fatalf("%s: format %q", x.ID, x.Format)
		}
		held, err := Parse(x.Raw, Options{Now: testNow, Dialect: format})
		if x.Expect.Refuse {
			if _, ok := taken[x.ID]; ok {
				used[x.ID] = true
			} else if err == nil && !held.Time.IsZero() {
				t.Errorf("%s, held to %v: %q gives %+v, want a refusal", x.ID, format, x.Raw, held)
			}
			continue
		}
		detect := Detect
		if heldOnly[x.ID] {
			detect = format
		}
		e, err := Parse(x.Raw, Options{Now: testNow, Dialect: detect})
		if err != nil {
			if disputed[x.ID+" name"] == "" {
				t.Errorf("%s: %v", x.ID, err)
			}
			e.Type = Link // to differ in every fact
		}
		check := func(fact, got string, want *string) {
			key := x.ID + " " + fact
			switch {
			case want == nil:
			case disputed[key] != "":
				used[key] = true
				if got == *want {
					t.Errorf("%s: not disputed any more: %q", key, got)
				}
			case got != *want:
				t.Errorf("%s: %q: got %q, want %q", key, x.Raw, got, *want)
			}
		}
		kind := e.Type
		if kind.IsDir() {
			kind = Dir
		}
		check("name", e.Name, x.Expect.Name)
		check("type", kind.String(), x.Expect.Type)
		if x.Expect.Size != nil {
			want := fmt.Sprint(*x.Expect.Size)
			check("size", fmt.Sprint(e.Size), &want)
		}
		check("target", e.Target, x.Expect.Target)
		check("owner", e.Owner, x.Expect.Owner)
		check("group", e.Group, x.Expect.Group)
		check("mode", fmt.Sprintf("%04o", unixMode(e.Mode)), x.Expect.Mode)
		check("time", e.Time.Format("2006-01-02T15:04:05"), x.Expect.Time)
		check("month", e.Time.Format("01-02T15:04"), x.Expect.MonthDayTime)
		check("time", e.Time.Format("2006-01-02T15:04:05"), x.Expect.TimeIf)
		if x.Expect.MonthDayTime != nil && (e.Time.After(testNow.Add(day)) || e.Time.Before(testNow.AddDate(-1, 0, 0))) {
			t.Errorf("%s: %q: the date without year is read as %v", x.ID, x.Raw, e.Time)
		}
	}
	for key := range disputed {
		if !used[key] {
			t.Errorf("%s is disputed and was not met", key)
		}
	}
	for id := range taken {
		if !used[id] {
			t.Errorf("%s is taken and was not met", id)
		}
	}
}

// Nothing is lost on the way through a stream: for every format, all its lines
// in one listing give as many entries and refusals as read one by one.
func TestRealListings(t *testing.T) {
	t.Parallel()
	lines := readLines(t)
	for name, format := range formats {
		var in strings.Builder
		entries, refused := 0, 0
		o := Options{Now: testNow, Dialect: format}
		for _, x := range lines {
			if x.Format != name || strings.Contains(x.Raw, "\n") && x.Expect.Refuse || newReading(o).noise(x.Raw) {
				continue
			}
			if _, err := Parse(x.Raw, o); err == nil {
				entries++
			} else {
				refused++
			}
			in.WriteString(x.Raw + "\r\n")
		}
		if entries == 0 {
			t.Errorf("%s: no line is an entry", name)
		}
		for _, err := range Read(strings.NewReader(in.String()), o) {
			if err != nil {
				refused--
			} else {
				entries--
			}
		}
		if entries != 0 || refused != 0 {
			t.Errorf("%s: read as a listing, %d entries and %d refusals less than line by line", name, entries, refused)
		}
	}
}
