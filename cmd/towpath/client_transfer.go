package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/time/rate"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/internal/config"
	"towpath/internal/exitcode"
	"towpath/internal/ftpurl"
	"towpath/internal/progress"
)

// transferFlags are those of get and put.
type transferFlags struct {
	resume, verify bool
	continueAt     string
	limitRate      string
	limiter        *rate.Limiter // nil: no limit
	retryDelay     seconds
	quote          []string
	quoted         map[*ftpclient.Client]bool
}

func (v *transferFlags) bind(f *pflag.FlagSet) {
	f.BoolVarP(&v.resume, "continue", "c", false, "go on where an earlier transfer stopped")
	f.StringVar(&v.continueAt, "continue-at", "", "as `WHERE` only -, which is the same as -c")
	f.BoolVar(&v.verify, "verify", false, "compare digests when all is there (HASH, XSHA256, XMD5, XCRC …)")
	f.StringVarP(&v.limitRate, "limit-rate", "T", "", "move `RATE` bytes per second at most: 500K, 10M, 10MiB")
}

// bindOwn are those of get and put alone.
func (v *transferFlags) bindOwn(f *pflag.FlagSet) {
	v.bind(f)
	f.VarP(&v.retryDelay, "retry-delay", "r", "wait this `TIME` before each --retry (default from a second on, doubled each time)")
	f.StringArrayVarP(&v.quote, "quote", "Q", nil, "send this `COMMAND` as it is before the first transfer; may be repeated; behind a * it may fail")
}

// check reads what the flags say.
func (v *transferFlags) check() error {
	switch v.continueAt {
	case "":
	case "-":
		v.resume = true
	default:
		return misuse("--continue-at %q: want -, which finds the place itself", v.continueAt)
	}
	if v.limitRate == "" {
		return nil
	}
	text := v.limitRate
	if strings.ContainsAny(text[len(text)-1:], "kKmMgG") {
		text = strings.ToUpper(text) + "iB" // curl's letters are powers of 1024
	}
	r, err := config.ParseRate(text)
	if err != nil || r <= 0 {
		return misuse("--limit-rate %q: want bytes per second, as 500K or 10MiB", v.limitRate)
	}
	v.limiter = rate.NewLimiter(rate.Limit(r), int(min(max(int64(r)/10, 1), 1<<20)))
	return nil
}

// ready makes a session fit for transfers: it sends what --quote says, once.
func (v *transferFlags) ready(ctx context.Context, c *ftpclient.Client) error {
	if v.quoted[c] {
		return nil
	}
	for _, text := range v.quote {
		text, mayFail := strings.CutPrefix(text, "*")
		verb, arg, _ := strings.Cut(text, " ")
		_, err := c.Quote(ctx, ftp.Command{Verb: verb, Arg: arg})
		if _, refused := errors.AsType[*ftp.Error](err); err != nil && (!refused || !mayFail) {
			return exitcode.With(exitcode.QuoteRefused, fmt.Errorf("--quote: %w", err))
		}
	}
	if v.quoted == nil {
		v.quoted = map[*ftpclient.Client]bool{}
	}
	v.quoted[c] = true
	return nil
}

// delay is the wait before retries.
func (v *transferFlags) delay(o *ftpclient.Options) {
	if v.retryDelay > 0 {
		o.Backoff = func(int) time.Duration { return time.Duration(v.retryDelay) }
	}
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
