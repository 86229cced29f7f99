package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/time/rate"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/internal/exitcode"
	"towpath/internal/ftpurl"
	"towpath/internal/progress"
	"towpath/internal/units"
)

// transferFlags are those of get and put.
type transferFlags struct {
	resume, verify bool
	continueAt     string
	from           int64 // > 0: the byte to go on at
	writeOut       string
	format         writeOut
	limitRate      string
	limiter        *rate.Limiter // nil: no limit
	retryDelay     seconds
	quote          []string
}

func (v *transferFlags) bind(f *pflag.FlagSet) {
	f.BoolVarP(&v.resume, "continue", "c", false, "go on where an earlier transfer stopped")
	f.StringVar(&v.continueAt, "continue-at", "", "go on at the byte `WHERE`; - is the same as -c")
	f.BoolVar(&v.verify, "verify", false, "compare digests when all is there (HASH, XSHA256, XMD5, XCRC …)")
	f.StringVarP(&v.limitRate, "limit-rate", "T", "", "move `RATE` bytes per second at most: 500K, 10M, 10MiB")
}

// bindOwn are those of get and put alone.
func (v *transferFlags) bindOwn(f *pflag.FlagSet) {
	v.bind(f)
	f.VarP(&v.retryDelay, "retry-delay", "r", "wait this `TIME` before each --retry (default from a second on, doubled each time)")
	f.StringVarP(&v.writeOut, "write-out", "w", "", "write `FORMAT` behind each transfer, with %{url}, %{size_download} and others of curl's variables; @FILE holds it")
	f.StringArrayVarP(&v.quote, "quote", "Q", nil, "send this `COMMAND` as it is behind the login of each session; may be repeated; behind a * it may fail")
}

// check reads what the flags say.
func (v *transferFlags) check() error {
	switch v.continueAt {
	case "":
	case "-":
		v.resume = true
	default:
		n, err := strconv.ParseInt(v.continueAt, 10, 64)
		if err != nil || n < 0 {
			return misuse("--continue-at %q: want a number of bytes, or - for where an earlier transfer stopped", v.continueAt)
		}
		if v.from = n; n > 0 && v.resume {
			return misuse("-c finds the place itself, and --continue-at %d names it; want one of them", n)
		}
	}
	if v.writeOut != "" {
		var err error
		if v.format, err = parseWriteOut(v.writeOut, os.Stdin); err != nil {
			return err
		}
	}
	if v.limitRate == "" {
		return nil
	}
	text := v.limitRate
	if strings.ContainsAny(text[len(text)-1:], "kKmMgG") {
		text = strings.ToUpper(text) + "iB" // curl's letters are powers of 1024
	}
	r, err := units.ParseRate(text)
	if err != nil || r <= 0 {
		return misuse("--limit-rate %q: want bytes per second, as 500K or 10MiB", v.limitRate)
	}
	v.limiter = rate.NewLimiter(rate.Limit(r), int(min(max(int64(r)/10, 1), 1<<20)))
	return nil
}

// prepare puts into the options of sessions what is about all of a verb's.
func (v *transferFlags) prepare(o *ftpclient.Options) {
	if v.retryDelay > 0 {
		o.Backoff = func(int) time.Duration { return time.Duration(v.retryDelay) }
	}
	if v.quote != nil {
		o.Ready = v.sendQuotes
	}
}

// sendQuotes sends what --quote says.
func (v *transferFlags) sendQuotes(quote func(ftp.Command) (ftp.Reply, error)) error {
	for _, text := range v.quote {
		text, mayFail := strings.CutPrefix(text, "*")
		verb, arg, _ := strings.Cut(text, " ")
		_, err := quote(ftp.Command{Verb: verb, Arg: arg})
		if _, refused := errors.AsType[*ftp.Error](err); err != nil && (!refused || !mayFail) {
			return exitcode.With(exitcode.QuoteRefused, fmt.Errorf("--quote: %w", err))
		}
	}
	return nil
}

// options are what a URL and the flags ask of both directions.
func (v *transferFlags) asked(u ftpurl.URL) []ftpclient.TransferOption {
	var o []ftpclient.TransferOption
	if u.Type == ftpurl.ASCII {
		o = append(o, ftpclient.Text())
	}
	if v.verify {
		o = append(o, ftpclient.Verify())
	}
	if v.limiter != nil {
		o = append(o, ftpclient.Limited(v.limiter))
	}
	return o
}

// progress shows transfers on standard error; with --json, events on out.
func (v *clientFlags) progress(out io.Writer) *progress.Progress {
	o := progress.Detect(os.Stderr, os.Getenv)
	w := io.Writer(os.Stderr)
	if g := v.guest; g != nil {
		w = g.notes
		if g.frame != nil {
			o.Frame, o.Width, o.Color = g.frame, g.width, g.color
		}
	}
	if v.silent {
		o.Frame = nil
		o.Terminal = false
		o.Interval = 1<<63 - 1 // failures are still told
	}
	if o.JSON = v.json; v.json {
		w = out
		o.Interval = 0
	}
	return progress.New(w, o)
}

// counter counts for f what a transfer tells in sums.
func counter(f *progress.File) func(moved int64) {
	last := int64(0)
	return func(moved int64) {
		f.Add(moved - last)
		last = moved
	}
}

// bare takes the name off an error that is shown behind the name, and says in
// other words that the context has ended. The code stays.
func bare(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	short := err
	if p, ok := err.(*fs.PathError); ok && (p.Op == "get" || p.Op == "put" || p.Op == "append" || p.Op == "fxp" || p.Op == "copy") {
		short = p.Err
	}
	return exitcode.With(exitcode.Of(err), advised(ended(ctx, short)))
}
