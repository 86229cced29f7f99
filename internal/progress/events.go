package progress

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"towpath/internal/columns"
)

// events shows one JSON object in each line.
type events struct{ p *Progress }

// event is what happened. Fields that say nothing are left out.
type event struct {
	// Event is "start", "progress", "done" or "error" of one file, "total" of
	// all at the end, or "note".
	Event string `json:"event"`
	File  string `json:"file,omitempty"`
	// Bytes are there of Size; Moved of them came by this transfer.
	Bytes int64  `json:"bytes"`
	Moved int64  `json:"moved"`
	Size  *int64 `json:"size,omitempty"`
	// Rate is in bytes per second.
	Rate    float64 `json:"rate,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Error   string  `json:"error,omitempty"`
}

// end is the last event.
type end struct {
	Event   string  `json:"event"`
	Files   int     `json:"files"`
	Done    int     `json:"done"`
	Failed  int     `json:"failed"`
	Moved   int64   `json:"moved"`
	Rate    float64 `json:"rate"`
	Seconds float64 `json:"seconds"`
}

// note is text of the program.
type note struct {
	Event string `json:"event"`
	Text  string `json:"text"`
}

// JSON returns v as one line of JSON that does nothing to a terminal: names are
// the word of a server.
func JSON(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return columns.JSON([]byte(b.String())), nil
}

func line(v any) string {
	b, err := JSON(v)
	if err != nil {
		panic(err) // no value above can fail
	}
	return string(b)
}

func (e *events) of(f *File, what string) event {
	v := event{Event: what, File: f.name, Bytes: f.at(), Moved: f.moved.Load()}
	if size := f.size.Load(); size >= 0 {
		v.Size = &size
	}
	return v
}

func (e *events) started(f *File) string { return line(e.of(f, "start")) }

func (e *events) done(f *File) string {
	v := e.of(f, "done")
	v.Seconds = seconds(f.took)
	v.Rate = perSecond(v.Moved, f.took)
	if f.err != nil {
		v.Event, v.Error = "error", f.err.Error()
	}
	return line(v)
}

func (e *events) tick() string {
	var b strings.Builder
	for _, f := range e.p.files {
		if !f.ended {
			v := e.of(f, "progress")
			v.Rate = math.Round(f.meter.rate)
			v.Seconds = seconds(time.Since(f.began))
			b.WriteString(line(v))
		}
	}
	return b.String()
}

func (e *events) note(text string) string {
	var b strings.Builder
	for l := range strings.Lines(text) {
		b.WriteString(line(note{"note", strings.TrimRight(l, "\r\n")}))
	}
	return b.String()
}

func (e *events) close() string {
	t := e.p.total()
	return line(end{"total", t.files, t.done, t.failed, t.moved, perSecond(t.moved, t.took), seconds(t.took)})
}

func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return math.Round(float64(n) / d.Seconds())
}
