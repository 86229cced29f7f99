package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"towpath/capture"
	"towpath/explain"
	"towpath/explain/browse"
	"towpath/explain/view"
	catalogue "towpath/internal/words" // words are those of the shell here
)

// What explain says by its exit status, beside 0.
const (
	explainFailed = 1
	explainUnread = 2
)

// explaining are the flags of explain.
type explaining struct {
	options                        explain.Options
	host, since, until, html, live string
	ladder, json, mermaid, tui     bool
	all                            bool
	follow                         int
}

func explainCommand() *cobra.Command {
	var e explaining
	cmd := &cobra.Command{
		Use:   "explain [FILE...]",
		Short: "Say what happened in captured FTP sessions, and why transfers failed",
		Long: `Reads captures (pcap and pcapng, gzip and zstd too; - is standard input) and says
what happened in the FTP sessions in them, on whatever port: the verdict first,
then each session packet by packet, its transfers, and what was found, with
advice.

A transfer has worked, or failed for a cause; or its data is not in the capture,
or nobody can tell. Two captures of the two sides of a NAT are told as one: each
session is found again on the other side, with what became of addresses and
announcements on the way.

Passwords are **** unless --show-secrets is given. Of many sessions some are told
step by step, those that failed first; --all tells all.

Exit codes: 0 nothing failed, 1 something failed, 2 there is nothing to tell or a
file cannot be read.`,
		Example: `  towpath explain client.pcap
  towpath explain client.pcap server.pcap --ladder
  tcpdump -w - port 21 | towpath explain -
  towpath explain trace.pcapng.gz --html story.html
  towpath explain trace.pcapng --user alice --since '2026-11-21 14:00'
  towpath explain trace.pcapng --tui
  towpath explain trace.pcapng --extract files
  towpath explain --live eth0`,
		RunE: func(cmd *cobra.Command, args []string) error {
			lang, err := spoken(cmd)
			if err != nil {
				return err
			}
			if err := e.run(cmd, args, lang); err != nil {
				if _, ok := errors.AsType[*exitError](err); !ok {
					err = exit(explainUnread, err)
				}
				return err
			}
			return nil
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit(explainUnread, err) })
	f := cmd.Flags()
	f.BoolVar(&e.ladder, "ladder", false, "draw each session: client and server, or client, both sides of the NAT, and server")
	f.BoolVar(&e.json, "json", false, "write JSON")
	f.BoolVar(&e.mermaid, "mermaid", false, "write sequence diagrams of Mermaid, for a ticket")
	f.StringVar(&e.html, "html", "", "write a page with ladders into `FILE` too")
	f.IntVar(&e.follow, "follow", 0, "write the dialogue of session `N` alone")
	f.BoolVar(&e.tui, "tui", false, "browse: sessions, ladders, packets")
	f.BoolVar(&e.all, "all", false, "tell all sessions step by step, and all their steps")
	f.StringVar(&e.live, "live", "", "listen on `INTERFACE` (any is all of them) in place of files; Linux, needs CAP_NET_RAW")
	f.StringVar(&e.options.Extract, "extract", "", "write the files that were transferred into `DIRECTORY`")
	f.StringVar(&e.host, "host", "", "tell sessions with this `ADDRESS` or network (10.0.0.0/8) at an end")
	f.Uint16Var(&e.options.Filter.Port, "port", 0, "tell sessions with this `PORT` at an end, of a data connection too")
	f.StringVar(&e.options.Filter.User, "user", "", "tell sessions of this `NAME`")
	f.StringVar(&e.options.Filter.File, "file", "", "tell sessions that transferred a file like `PATTERN` (*.csv)")
	f.StringVar(&e.since, "since", "", "tell what happened since this `TIME`, as 2026-11-21T14:00:00Z or '2026-11-21 14:00' (UTC)")
	f.StringVar(&e.until, "until", "", "tell what happened until this `TIME`")
	f.BoolVar(&e.options.ShowSecrets, "show-secrets", false, "show passwords")
	f.String(langFlag, "", "speak this `LANGUAGE`: en, zh-Hans, zh-Hant or ja (default: that of the locale)")
	cmd.ValidArgsFunction = cobra.FixedCompletions([]string{"pcap", "pcapng", "cap", "gz", "zst"}, cobra.ShellCompDirectiveFilterFileExt)
	_ = cmd.MarkFlagFilename("html", "html") // the flags are there
	_ = cmd.MarkFlagDirname("extract")
	_ = cmd.RegisterFlagCompletionFunc(langFlag, cobra.FixedCompletions([]string{"en", "zh-Hans", "zh-Hant", "ja"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("live", interfaces)
	return cmd
}

// interfaces completes the names of those of this machine.
func interfaces(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	names := []string{"any"}
	all, err := net.Interfaces()
	if err != nil {
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	for _, i := range all {
		names = append(names, i.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (e *explaining) run(cmd *cobra.Command, files []string, lang catalogue.Lang) error {
	if err := e.check(files); err != nil {
		return err
	}
	if e.tui && !(isTerminal(cmd.InOrStdin()) && isTerminal(cmd.OutOrStdout())) {
		return errors.New("--tui without a terminal: want one for its keys and its screen, or --ladder or --html")
	}
	if e.live != "" {
		return e.listen(cmd, lang)
	}
	for i, name := range files {
		if name == "-" && slices.Contains(files[:i], "-") {
			return errors.New("-: standard input can be read once")
		}
	}
	// What a story holds only grows, so looking for garbage in it again and
	// again costs more than it finds. While it grows to N bytes, all takes at
	// most 3N, where it would be 2N else. What is written of it afterwards is
	// garbage at once, and finds room in what was taken. Where sessions are let
	// go N is little, and so is what is written.
	percent, afterwards := 200, 100
	var digest view.Digest
	if e.plain() && len(files) == 1 {
		e.options.Told = digest.Told
		percent, afterwards = 400, 400
	}
	asked := os.Getenv("GOGC") != ""
	if !asked {
		debug.SetGCPercent(percent)
	}
	story, err := explain.Explain(cmd.Context(), files, e.options)
	if !asked && afterwards != percent { // which looks for garbage at once
		debug.SetGCPercent(afterwards)
	}
	if err != nil {
		return err
	}
	if err := cmd.Context().Err(); err != nil {
		return err
	}
	if e.tui {
		return browse.Run(cmd.Context(), story, browse.Options{
			In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Lang: lang, ShowSecrets: e.options.ShowSecrets,
			Open: func(i int) (capture.Source, error) {
				if i < 0 || i >= len(files) || files[i] == "-" {
					return nil, errors.New("standard input cannot be read again")
				}
				return capture.Open(files[i])
			},
		})
	}
	return e.show(cmd.OutOrStdout(), view.New(story, lang).With(&digest))
}

// plain says that text is written that shows few sessions of many.
func (e *explaining) plain() bool {
	return !e.all && !e.ladder && !e.json && !e.mermaid && !e.tui && e.follow == 0 && e.html == ""
}

// show writes the story in the form that was asked for.
func (e *explaining) show(w io.Writer, v *view.View) error {
	v.All, v.Chosen = e.all, e.options.Filter != (explain.Filter{})
	if e.html != "" {
		if err := writeNew(e.html, v.WriteHTML); err != nil {
			return err
		}
	}
	write := v.WriteText
	switch {
	case e.follow != 0:
		write = func(w io.Writer) error { return v.WriteDialogue(w, e.follow) }
	case e.ladder:
		write = v.WriteLadder
	case e.mermaid:
		write = v.WriteMermaid
	case e.json:
		write = v.WriteJSON
	case e.html != "":
		write = func(w io.Writer) error {
			if err := v.WriteVerdict(w); err != nil {
				return err
			}
			_, err := fmt.Fprintln(w, e.html)
			return err
		}
	}
	if err := write(w); err != nil {
		return err
	}
	switch {
	case len(v.Told()) == 0:
		return exit(explainUnread, errors.New("")) // it has been told
	case !v.Works():
		return exit(explainFailed, errors.New(""))
	}
	return nil
}

// check reads what flags say.
func (e *explaining) check(files []string) error {
	var forms []string
	for name, on := range map[string]bool{"--ladder": e.ladder, "--json": e.json, "--mermaid": e.mermaid, "--follow": e.follow != 0, "--tui": e.tui} {
		if on {
			forms = append(forms, name)
		}
	}
	slices.Sort(forms)
	switch {
	case len(forms) > 1:
		return fmt.Errorf("%s: want one of them", strings.Join(forms, " and "))
	case len(files) == 0 && e.live == "":
		return errors.New("want a capture, - for standard input, or --live INTERFACE")
	case len(files) > 0 && e.live != "":
		return fmt.Errorf("--live %s and %s: want an interface or files", e.live, files[0])
	case e.live != "" && len(forms) > 0 && !e.tui:
		return fmt.Errorf("--live with %s: want it alone, or with --tui or --html", forms[0])
	case e.tui && e.html != "":
		return errors.New("--tui with --html: want one of them")
	case e.tui && slices.Contains(files, "-"):
		return errors.New("--tui reads its keys where - reads a capture; want a file")
	case e.follow < 0:
		return fmt.Errorf("--follow %d: want the number of a session, from 1", e.follow)
	}
	// JSON holds digests; elsewhere they are not worth the time.
	e.options.Hash = e.json
	if e.host != "" {
		p, err := netip.ParsePrefix(e.host)
		if err != nil {
			a, aerr := netip.ParseAddr(e.host)
			if aerr != nil {
				return fmt.Errorf("--host %q: want an address as 192.0.2.1, or a network as 192.0.2.0/24", e.host)
			}
			p = netip.PrefixFrom(a.WithZone(""), a.BitLen())
		}
		e.options.Filter.Host = p.Masked()
	}
	var err error
	if e.options.Filter.Since, err = moment("since", e.since); err != nil {
		return err
	}
	e.options.Filter.Until, err = moment("until", e.until)
	return err
}

// moment reads a time. Without a zone it is that of UTC, as all that is shown.
func moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if at, err := time.Parse(form, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("--%s %q: want a time as 2026-11-21T14:00:00Z, '2026-11-21 14:00' or 2026-11-21", flag, text)
}

// locked is a source whose packets are worked on under a lock, so that the story
// can be read between two of them.
type locked struct {
	capture.Source
	mu   *sync.Mutex
	kept *kept // may be nil
}

func (l locked) Packets() iter.Seq2[*capture.Packet, error] {
	return func(yield func(*capture.Packet, error) bool) {
		for p, err := range l.Source.Packets() {
			if err == nil && l.kept != nil {
				l.kept.take(p)
			}
			l.mu.Lock()
			more := yield(p, err)
			l.mu.Unlock()
			if !more {
				return
			}
		}
	}
}

// mostKept is how many bytes of live packets are kept to be shown again.
const mostKept = 256 << 20

// kept are the packets of a wire, in a file that goes with us. Their numbers in
// it are those that they have in the story, so it ends where one is left out.
type kept struct {
	file *os.File
	w    *capture.Writer
	left int
}

func newKept() (*kept, error) {
	f, err := os.CreateTemp("", "towpath-*.pcapng")
	if err != nil {
		return nil, err
	}
	return &kept{file: f, w: capture.NewWriter(f), left: mostKept}, nil
}

func (k *kept) take(p *capture.Packet) {
	if k.left -= len(p.Data); k.left < 0 {
		return
	}
	if err := k.w.Write(p); err != nil {
		k.left = 0 // what cannot be kept cannot be shown, no more
	}
}

// Close removes the file.
func (k *kept) Close() error {
	return errors.Join(k.file.Close(), os.Remove(k.file.Name()))
}

// pause is how long what happens may wait until it is told.
const pause = 300 * time.Millisecond

// settle gives what was extracted its names, by the end of the story.
func settle(t *explain.Teller) error {
	t.Story()
	return t.Close()
}

// listen tells what happens on an interface until it is asked to end.
func (e *explaining) listen(cmd *cobra.Command, lang catalogue.Lang) error {
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	src, err := capture.Live(ctx, e.live, capture.LiveOptions{})
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // there is nothing to lose
	var (
		mu      sync.Mutex
		teller  = explain.NewTeller(e.options)
		ended   = make(chan error, 1)
		packets *kept
	)
	if e.tui {
		if packets, err = newKept(); err != nil {
			return err
		}
		defer packets.Close() //nolint:errcheck // it was for us alone
	}
	go func() {
		ended <- teller.Read(ctx, locked{src, &mu, packets}, e.live)
	}()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	if e.tui {
		news := make(chan *explain.Story)
		go func() {
			for {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
				mu.Lock()
				s := teller.Story()
				mu.Unlock()
				select {
				case news <- s:
				case <-ctx.Done():
					return
				}
			}
		}()
		err := browse.Run(ctx, &explain.Story{}, browse.Options{
			In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Lang: lang, ShowSecrets: e.options.ShowSecrets, Live: news, Guard: &mu,
			Open: func(int) (capture.Source, error) { return capture.Open(packets.file.Name()) },
		})
		stop()
		err = errors.Join(err, <-ended)
		mu.Lock() // it may be asked for its story still
		defer mu.Unlock()
		return errors.Join(err, settle(teller))
	}
	out := cmd.OutOrStdout()
	ticker := view.NewTicker(lang)
	for {
		var done error
		over := false
		select {
		case <-tick.C:
		case done = <-ended:
			over = true
		}
		var text bytes.Buffer
		mu.Lock()
		story := teller.Story()
		err := ticker.Write(&text, story)
		mu.Unlock()
		if err == nil {
			_, err = text.WriteTo(out)
		}
		if err != nil && !over {
			stop()
			done, over = <-ended, true
		}
		if over {
			err = errors.Join(err, done, settle(teller))
		}
		if err != nil {
			return err
		}
		if over {
			fmt.Fprintln(out)
			return e.show(out, view.New(story, lang))
		}
	}
}
