package ftpclient

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"towpath/ftp"
)

// ErrFXP: the two servers do not send a file from one to the other. Many refuse
// it, since whoever may name a foreign address can make a server connect to
// anybody (the bounce attack).
var ErrFXP = errors.New("the servers do not send files to each other")

// FXP lets one server send a file to another: one is told to listen (PASV), the
// other to connect to it (PORT), and no byte of it comes to us. The target
// listens; if that is refused, and there is no file to lose, the source does.
// Done is what both servers call done, when the file has the same size on both.
//
// Where one of them refuses it the error is ErrFXP; a file that was there is as it
// was unless the target had made room already, a new one may be empty. The one
// that listens is told of under the address of its control connection; with
// Options.AllowForeign, under the one that its 227 names.
//
// Over TLS one of the two must take the part of the client: it does if it knows
// SSCN or CPSV.
func FXP(ctx context.Context, from *Client, source string, to *Client, target string) error {
	err := fxp(ctx, from, source, to, target)
	if err == nil {
		return nil
	}
	return about("fxp", source, err)
}

func fxp(ctx context.Context, from *Client, source string, to *Client, target string) error {
	if from == to {
		return fmt.Errorf("%w: both are one session, which moves one file at a time", ErrFXP)
	}
	a, b, err := takeBoth(ctx, from, to)
	if err != nil {
		return err
	}
	defer from.give()
	defer to.give()
	read, write := ftp.Command{Verb: "RETR"}, ftp.Command{Verb: "STOR"}
	if read.Arg, err = a.encode(source); err != nil {
		return err
	}
	if write.Arg, err = b.encode(target); err != nil {
		return err
	}
	for _, cmd := range []ftp.Command{read, write} {
		if _, err := cmd.Encode(); err != nil {
			return err
		}
	}
	x, err := fxpTLS(a, b)
	if err != nil {
		return err
	}
	// A file that cannot be read would leave an empty one.
	size, err := a.size(ctx, source)
	if err != nil && !unknown(err) {
		return err
	}
	known := err == nil
	for _, s := range []*session{a, b} {
		if err := s.setType(ctx, 'I'); err != nil {
			return err
		}
		if err := s.setMode(ctx, false); err != nil { // both must be in the same
			return err
		}
		if err := s.restart(ctx, 0); err != nil {
			return err
		}
	}
	// The target listens first: if the source is refused then, nothing has
	// connected to it.
	room := func() int64 { // what is at the target, -1 if nothing
		n, err := b.size(ctx, target)
		if err != nil {
			return -1
		}
		return n
	}
	before, err := b.size(ctx, target)
	absent := refused(err, 550)
	if err != nil {
		before = -1
	}
	try := func(listens, connects peerOf) error {
		err := x.run(ctx, listens, connects)
		if refused(err, 426) && b.alive() == nil {
			// One who turns strangers away may go on waiting: then the other
			// speaks first, and all that it knows is that it was cut off.
			switch n := room(); {
			case n == before, n <= 0:
				err = fmt.Errorf("%w: a data connection was cut before a byte came through: %w", ErrFXP, err)
			case x.client == a:
				err = fmt.Errorf("%w: as a client of TLS %s closes before all has arrived: %w", ErrFXP, a.host, err)
			}
		}
		return err
	}
	err = try(peerOf{b, write}, peerOf{a, read})
	if errors.Is(err, ErrFXP) && a.alive() == nil && b.alive() == nil && ctx.Err() == nil {
		// The other way around a source that turns the target away leaves an
		// empty file there: only where there is none to lose.
		if _, serr := b.size(ctx, target); refused(serr, 550) {
			before = -1
			if again := try(peerOf{a, read}, peerOf{b, write}); !errors.Is(again, ErrFXP) {
				err = again
			}
		}
	}
	if err != nil && absent && known && b.alive() == nil {
		// In clear text the end of a source that has died looks like the end of
		// the file, and the target may have taken it for that.
		if n := room(); n >= 0 && n != size {
			_, _ = b.do(ctx, "DELE", write.Arg) // the error says that there is no copy
		}
	}
	if err != nil || !known {
		return err
	}
	there, err := b.size(ctx, target)
	if err == nil && there != size {
		return fmt.Errorf("both servers say that it is done, and the copy has %d of %d bytes", there, size)
	}
	if unknown(err) {
		return nil
	}
	return err
}

// takeBoth takes two turns. Of two that want the same pair from either end none
// waits for the other for ever.
func takeBoth(ctx context.Context, x, y *Client) (*session, *session, error) {
	for {
		a, err := x.take(ctx, nil)
		if err != nil {
			return nil, nil, err
		}
		select {
		case y.turn <- struct{}{}:
			b, err := y.mine(ctx, nil)
			if err != nil {
				y.give()
				x.give()
				return nil, nil, err
			}
			return a, b, nil
		default:
			x.give()
		}
		select { // until it is free
		case y.turn <- struct{}{}:
			y.give()
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// fxpTLS chooses how a data connection from a to b is secured, by what either of
// them knows.
//
// The client had better be the one that receives: it has to read the tickets that
// come behind a handshake of TLS 1.3. One that sends and closes over them, as
// ProFTPD does, resets the connection, and the end of the file is lost.
func fxpTLS(a, b *session) (fxpRun, error) {
	switch {
	case (a.tls == nil) != (b.tls == nil):
		return fxpRun{}, fmt.Errorf("%w: one of them is spoken to by TLS and the other in clear text", ErrFXP)
	case a.tls == nil:
		return fxpRun{}, nil
	case b.features.Has("SSCN"):
		return fxpRun{"SSCN", b}, nil
	case a.features.Has("SSCN"):
		return fxpRun{"SSCN", a}, nil
	case a.features.Has("CPSV"), b.features.Has("CPSV"):
		return fxpRun{secret: "CPSV"}, nil
	}
	return fxpRun{}, fmt.Errorf("%w: over TLS one of them must know SSCN or CPSV, and neither does", ErrFXP)
}

// peerOf is one server's part in a transfer.
type peerOf struct {
	*session
	cmd ftp.Command
}

type fxpRun struct {
	secret string   // "SSCN", "CPSV", or "" in clear text
	client *session // who is told by SSCN to take the part of the client
}

// run has one side listen and the other connect.
func (x fxpRun) run(ctx context.Context, listens, connects peerOf) error {
	verb := "PASV"
	switch x.secret {
	case "SSCN":
		if _, err := x.client.do(ctx, "SSCN", "ON"); err != nil {
			return refusesFXP(x.client, err)
		}
		defer func() { _, _ = x.client.do(context.WithoutCancel(ctx), "SSCN", "OFF") }() // or the session is over
	case "CPSV":
		if verb = "CPSV"; !listens.features.Has(verb) {
			return fmt.Errorf("%w: %s does not know CPSV", ErrFXP, listens.host)
		}
	}
	if err := x.announce(ctx, verb, listens, connects); err != nil {
		return err
	}
	// Many say 150 only when the connection is there: the one that listens is
	// told first, and not waited for.
	first := &transfer{s: listens.session, up: true}
	second := &transfer{s: connects.session, up: true}
	var err error
	if first.answer, err = listens.send(listens.cmd); err != nil {
		return err
	}
	if second.answer, err = connects.send(connects.cmd); err == nil {
		err = x.wait(ctx, first, second)
	}
	if err == nil {
		return nil
	}
	for _, t := range []*transfer{first, second} {
		if t.answer == nil || t.s.alive() != nil {
			continue
		}
		// It ends what goes on. What one was cut off for the other may say only
		// now, and of its own accord: to ABOR the answer is 426.
		if why := t.settle(); refused(err, 426) && refused(why, 451, 452, 550, 552, 553) {
			err = why
		}
	}
	return err
}

// announce tells one where the other listens.
func (x fxpRun) announce(ctx context.Context, verb string, listens, connects peerOf) error {
	at, to := listens.peer, connects.peer
	if at.IsValid() && to.IsValid() && at.Is4() != to.Is4() {
		return fmt.Errorf("%w: one is reached by IPv4 (%v, %v), the other by IPv6", ErrFXP, at, to)
	}
	if at.Is6() && verb == "PASV" {
		verb = "EPSV"
	}
	r, err := listens.do(ctx, verb, "")
	if err != nil {
		return refusesFXP(listens.session, err)
	}
	var told netip.AddrPort
	if text := r.Lines[len(r.Lines)-1]; verb == "EPSV" {
		told, err = ftp.ParseExtendedPassive(text)
	} else {
		told, err = ftp.ParsePassive(text)
	}
	if err != nil {
		return err
	}
	if !at.IsValid() || listens.set.AllowForeign && told.Addr().IsValid() && !told.Addr().IsUnspecified() {
		at = told.Addr()
	}
	if at.IsLoopback() && to.IsValid() && !to.IsLoopback() {
		return fmt.Errorf("%w: %v means another machine to %v than to us", ErrFXP, at, to)
	}
	told = netip.AddrPortFrom(at.Unmap().WithZone(""), told.Port())
	cmd := ftp.Command{Verb: "EPRT"}
	if at.Unmap().Is4() {
		cmd = ftp.Command{Verb: "PORT", Arg: ftp.FormatHostPort(told)}
	} else {
		cmd.Arg = ftp.FormatEPRT(told)
	}
	if _, err = connects.do(ctx, cmd.Verb, cmd.Arg); err != nil {
		return refusesFXP(connects.session, err)
	}
	return nil
}

// refusesFXP is the error for a server that refuses its part.
func refusesFXP(s *session, err error) error {
	if _, ok := errors.AsType[*ftp.Error](err); !ok {
		return err
	}
	return fmt.Errorf("%w: %s says: %w", ErrFXP, s.host, err)
}

// wait awaits the last replies of both, or the first that is none of success.
func (x fxpRun) wait(ctx context.Context, one, other *transfer) error {
	var tick <-chan time.Time
	if k := max(one.s.set.KeepAlive, other.s.set.KeepAlive); k > 0 {
		t := time.NewTicker(k)
		defer t.Stop()
		tick = t.C
	}
	// Until both have begun they have as long as a connection and a reply may
	// take.
	late, stop := clock(max(one.s.set.DataTimeout, 0) + max(one.s.set.Timeout, 0))
	defer func() { stop() }()
	oneBegun, otherBegun := one.answer.begun, other.answer.begun
	oneDone, otherDone := one.answer.done, other.answer.done
	behind := func() { // what one has sent may be long on its way with the other, not for ever
		stop()
		late, stop = clock(max(one.s.set.Timeout, one.s.set.StallTimeout, other.s.set.StallTimeout) * 10)
	}
	for oneDone != nil || otherDone != nil {
		select {
		case <-oneBegun:
			oneBegun = nil
		case <-otherBegun:
			otherBegun = nil
		case <-oneDone:
			oneDone, oneBegun = nil, nil
			if err := one.fxpResult(other); err != nil {
				return err
			}
			behind()
		case <-otherDone:
			otherDone, otherBegun = nil, nil
			if err := other.fxpResult(one); err != nil {
				return err
			}
			behind()
		case <-one.s.dead:
			return one.s.alive()
		case <-other.s.dead:
			return other.s.alive()
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			late = nil
			if oneDone == nil || otherDone == nil {
				return fmt.Errorf("%w: one server has said that it is done, and the other says nothing", ErrStalled)
			}
			if oneBegun != nil || otherBegun != nil {
				return fmt.Errorf("%w: no data connection came about between %s and %s", ErrFXP, one.s.host, other.s.host)
			}
		case <-tick:
			for _, t := range []*transfer{one, other} {
				select {
				case <-t.answer.done:
				default:
					_, _ = t.s.put(ftp.Command{Verb: "NOOP"}, keeping) // a failure ends the session
				}
			}
		}
	}
	return nil
}

// fxpResult judges a last reply of t, whose end may be the doing of the other.
// That no data connection came about is what servers say that take none from
// strangers; who was turned away says that it broke.
func (t *transfer) fxpResult(other *transfer) error {
	err := t.result()
	if err == nil {
		return nil
	}
	if turnedAway(err) {
		return refusesFXP(t.s, err)
	}
	if other.s.soon(other.answer) && other.s.alive() == nil {
		if cause := other.result(); turnedAway(cause) {
			return refusesFXP(other.s, cause)
		}
	}
	return err
}

func turnedAway(err error) bool { return refused(err, 425, 500, 501, 504, 522) }
