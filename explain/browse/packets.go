package browse

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"towpath/capture"
	"towpath/explain"
	"towpath/explain/view"
	"towpath/internal/columns"
)

// mostPackets of a rung are shown.
const mostPackets = 20

// raw are the lines of the packets that a rung stands for: what was said, whole,
// and the bytes.
func (b *browser) raw(r *view.Rung) []string {
	var lines []string
	for _, text := range []string{r.Step.Line, twinLine(r)} {
		if text != "" {
			for l := range strings.SplitSeq(text, "\n") {
				lines = append(lines, columns.Shown(l))
			}
			lines = append(lines, "")
		}
	}
	s := b.view.Session(r.Session)
	if s == nil {
		return append(lines, b.say("browse.no-packet"))
	}
	secret := b.secret(s)
	wanted := []int{}
	hidden := 0
	for _, p := range r.Packets {
		switch {
		case secret[p]:
			hidden++
		case p > 0:
			wanted = append(wanted, p)
		}
	}
	if hidden > 0 {
		lines = append(lines, b.say("browse.hidden"))
	}
	if len(wanted) == 0 {
		if hidden == 0 {
			lines = append(lines, b.say("browse.no-packet"))
		}
		return lines
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	wanted = wanted[:min(len(wanted), mostPackets)]
	err := b.packets(s.Capture, func(p *capture.Packet) error {
		if _, ok := slices.BinarySearch(wanted, p.Number); ok {
			lines = append(lines, b.dump(p)...)
		}
		if p.Number >= wanted[len(wanted)-1] {
			return errEnough
		}
		return nil
	})
	if err != nil {
		lines = append(lines, columns.Shown(err.Error()))
	}
	return lines
}

// secret are the packets in which something is that is not to be shown: a
// password, a reply that repeats it, and the command before it if that was sent
// along, for the password may begin there.
func (b *browser) secret(s *explain.Session) map[int]bool {
	all := map[int]bool{}
	if b.options.ShowSecrets {
		return all
	}
	for i, c := range s.Commands {
		if strings.Contains(c.Verb+c.Arg, masked) {
			all[c.Packet] = true
			if i > 0 && (s.Commands[i-1].Replied.Packet == 0 || s.Commands[i-1].Replied.Packet > c.Packet) {
				all[s.Commands[i-1].Packet] = true
			}
		}
		if strings.Contains(c.Reply, masked) {
			all[c.Replied.Packet] = true
		}
		if c.Begun != nil && strings.Contains(c.Begun.Text, masked) {
			all[c.Begun.Packet] = true
		}
	}
	return all
}

// masked stands in a story for what is not to be shown.
const masked = "****"

func twinLine(r *view.Rung) string {
	if r.Twin == nil || r.Twin.Line == r.Step.Line {
		return ""
	}
	return r.Twin.Line
}

// dump shows a packet: where it went, and its bytes.
func (b *browser) dump(p *capture.Packet) []string {
	head := fmt.Sprintf("%d  %s  %s", p.Number, p.Time.Format("15:04:05.000000"), b.say("view.bytes", "n", p.Length))
	if seg, ok := capture.Decode(p); ok {
		head += fmt.Sprintf("  %v → %v  %v", seg.From(), seg.To(), seg.Flags)
	}
	lines := []string{head}
	for l := range strings.Lines(hex.Dump(p.Data)) {
		lines = append(lines, strings.TrimSuffix(l, "\n"))
	}
	return append(lines, "")
}

// errEnough ends the reading of packets early.
var errEnough = errors.New("enough")

// packets reads a capture again.
func (b *browser) packets(file int, f func(*capture.Packet) error) (err error) {
	if b.options.Open == nil {
		return errors.New(b.say("browse.gone"))
	}
	src, err := b.options.Open(file)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, src.Close())
	}()
	for p, err := range src.Packets() {
		if err != nil {
			return err
		}
		if err := f(p); err != nil {
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		}
	}
	return nil
}

// pair is a connection, whoever opened it.
type pair struct{ a, b netip.AddrPort }

func pairOf(a, b netip.AddrPort) pair {
	if a.Compare(b) > 0 {
		a, b = b, a
	}
	return pair{a, b}
}

// keep writes sessions into a file that was not there: their packets if its name
// is that of a capture, else their story. It returns how many packets.
func (b *browser) keep(name string, ids []int) (n int, err error) {
	if b.options.Open == nil && asPackets(name) {
		return 0, errors.New(b.say("browse.gone"))
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(name)) // half of it would stand in the way
		}
	}()
	if !asPackets(name) {
		some := b.view.Only(ids...)
		some.All = true // they were chosen one by one
		return 0, some.WriteText(f)
	}
	wanted := map[int]map[pair]bool{} // by capture
	for _, id := range ids {
		for _, s := range b.view.Sides(id) {
			if wanted[s.Capture] == nil {
				wanted[s.Capture] = map[pair]bool{}
			}
			wanted[s.Capture][pairOf(s.Client, s.Server)] = true
			for _, t := range s.Transfers {
				if t.Connection != nil {
					wanted[s.Capture][pairOf(t.Connection.From, t.Connection.To)] = true
				}
			}
		}
	}
	w := capture.NewWriter(f)
	for _, file := range slices.Sorted(maps.Keys(wanted)) {
		pairs := wanted[file]
		err := b.packets(file, func(p *capture.Packet) error {
			seg, ok := capture.Decode(p)
			if !ok || !pairs[pairOf(seg.From(), seg.To())] {
				return nil
			}
			n++
			p.File = file
			return w.Write(p)
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
