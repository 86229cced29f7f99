package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"towpath/internal/columns"
	"towpath/internal/exitcode"
	"towpath/internal/ftpurl"
	"towpath/internal/progress"
)

// outcome is how one transfer has ended, for --write-out.
type outcome struct {
	url   ftpurl.URL
	num   int    // of the transfer, from 0 on
	file  string // here
	up    bool
	moved int64
	took  time.Duration
	err   error
}

// writeOutVariables are those of curl that mean something for FTP, and that we
// know.
var writeOutVariables = map[string]func(o *outcome) any{
	"errormsg": func(o *outcome) any {
		if o.err == nil {
			return ""
		}
		return columns.Shown(o.err.Error())
	},
	"exitcode":           func(o *outcome) any { return exitcode.Of(o.err) },
	"filename_effective": func(o *outcome) any { return o.file },
	"scheme":             func(o *outcome) any { return o.url.Scheme.String() },
	"size_download":      func(o *outcome) any { return o.bytes(false) },
	"size_upload":        func(o *outcome) any { return o.bytes(true) },
	"speed_download":     func(o *outcome) any { return o.speed(false) },
	"speed_upload":       func(o *outcome) any { return o.speed(true) },
	"time_total":         func(o *outcome) any { return seconds6(o.took) },
	"url":                func(o *outcome) any { return o.url.String() },
	"url_effective":      func(o *outcome) any { return o.url.String() },
	"urlnum":             func(o *outcome) any { return o.num },
}

// seconds6 are seconds as curl writes them, with six digits behind the point.
type seconds6 time.Duration

func (s seconds6) String() string               { return strconv.FormatFloat(time.Duration(s).Seconds(), 'f', 6, 64) }
func (s seconds6) MarshalJSON() ([]byte, error) { return []byte(s.String()), nil }

func (o *outcome) bytes(up bool) int64 {
	if up != o.up {
		return 0
	}
	return o.moved
}

// speed is in bytes per second.
func (o *outcome) speed(up bool) int64 {
	if o.took <= 0 {
		return 0
	}
	return int64(float64(o.bytes(up)) / o.took.Seconds())
}

// writeOut is a format of --write-out, as pieces of text and of variables.
type writeOut []writeOutPiece

type writeOutPiece struct {
	text     string
	variable string // "" for text
}

// parseWriteOut reads what curl takes: %{NAME}, %% for a percent sign, \n, \r and
// \t, and %{stdout}, %{stderr}, %{onerror} and %{json}. With an @ before it names
// the file that holds the format, or - for standard input.
func parseWriteOut(format string, stdin io.Reader) (writeOut, error) {
	if name, ok := strings.CutPrefix(format, "@"); ok {
		b, err := os.ReadFile(name)
		if name == "-" {
			b, err = io.ReadAll(stdin)
		}
		if err != nil {
			return nil, misuse("--write-out: %w", err)
		}
		format = string(b)
	}
	var w writeOut
	var text strings.Builder
	for s := format; s != ""; {
		i := strings.IndexAny(s, `%\`)
		if i < 0 {
			text.WriteString(s)
			break
		}
		text.WriteString(s[:i])
		s = s[i:]
		switch {
		case strings.HasPrefix(s, "%{"):
			name, rest, closed := strings.Cut(s[2:], "}")
			if _, known := writeOutVariables[name]; !closed || !known && !slices.Contains([]string{"stdout", "stderr", "onerror", "json"}, name) {
				return nil, misuse("--write-out: %%{%s: want stdout, stderr, onerror, json or one of %s, and a }", name,
					strings.Join(slices.Sorted(maps.Keys(writeOutVariables)), ", "))
			}
			w = append(w, writeOutPiece{text: text.String()}, writeOutPiece{variable: name})
			text.Reset()
			s = rest
		case strings.HasPrefix(s, "%%"):
			text.WriteByte('%')
			s = s[2:]
		case len(s) > 1 && s[0] == '\\' && strings.IndexByte("nrt", s[1]) >= 0:
			text.WriteByte(map[byte]byte{'n': '\n', 'r': '\r', 't': '\t'}[s[1]])
			s = s[2:]
		default:
			text.WriteByte(s[0])
			s = s[1:]
		}
	}
	return append(w, writeOutPiece{text: text.String()}), nil
}

// write writes one outcome.
func (w writeOut) write(stdout, stderr io.Writer, o outcome) error {
	to := stdout
	for _, p := range w {
		text := p.text
		switch p.variable {
		case "":
		case "stdout":
			to = stdout
		case "stderr":
			to = stderr
		case "onerror":
			if o.err == nil {
				return nil
			}
		case "json":
			all := make(map[string]any, len(writeOutVariables))
			for name, value := range writeOutVariables {
				all[name] = value(&o)
			}
			b, err := json.Marshal(all)
			if err != nil {
				return fmt.Errorf("--write-out: %w", err)
			}
			text = string(columns.JSON(b))
		default:
			text = fmt.Sprint(writeOutVariables[p.variable](&o))
		}
		if _, err := io.WriteString(to, text); err != nil {
			return exitcode.With(exitcode.Write, fmt.Errorf("--write-out: %w", err))
		}
	}
	return nil
}

// ended ends the row of a transfer, which has none if it did not begin, and
// writes what --write-out wants.
func (v *transferFlags) ended(s *visit, shown *progress.Progress, stdout io.Writer, f *progress.File, name string, o outcome) error {
	s.failed = cmp.Or(s.failed, exitcode.Of(o.err))
	if f == nil {
		f = shown.File(name, -1)
	}
	f.Done(o.err)
	o.moved = f.Moved()
	return v.format.write(stdout, s.notes, o)
}
