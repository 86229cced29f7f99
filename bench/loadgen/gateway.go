package main

import (
	"fmt"
	"sync"
	"syscall"
	"time"
)

// What a gateway between the generator and the server costs.

// active announces a port of ours and returns what waits for the server there.
func (s *session) active() (func() (*sock, error), error) {
	own, err := syscall.Getsockname(s.c.fd)
	if err != nil {
		return nil, err
	}
	at := &syscall.SockaddrInet4{Addr: own.(*syscall.SockaddrInet4).Addr}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	l := &sock{fd: fd}
	fail := func(err error) (func() (*sock, error), error) {
		_ = l.Close()
		return nil, err
	}
	if err := syscall.Bind(fd, at); err != nil {
		return fail(err)
	}
	if err := syscall.Listen(fd, 1); err != nil {
		return fail(err)
	}
	// A server that never comes must not hold us for ever.
	tv := syscall.Timeval{Sec: replyTimeout}
	_ = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &tv)
	if own, err = syscall.Getsockname(fd); err != nil {
		return fail(err)
	}
	port := own.(*syscall.SockaddrInet4).Port
	a := at.Addr
	if _, err := s.want(2, "PORT", fmt.Sprintf("%d,%d,%d,%d,%d,%d", a[0], a[1], a[2], a[3], port>>8, port&255)); err != nil {
		return fail(err)
	}
	return func() (*sock, error) {
		defer l.Close()
		for {
			fd, _, err := syscall.Accept4(l.fd, syscall.SOCK_CLOEXEC)
			if err == syscall.EINTR {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("accept: %w", err)
			}
			return &sock{fd: fd}, nil
		}
	}, nil
}

// begin brings about the data connection of a command in clear text, in the mode
// that was asked for, up to the 150.
func (o *options) begin(s *session, words ...string) (*sock, error) {
	come := func() (*sock, error) { return s.data() }
	var d *sock
	var err error
	if o.active {
		come, err = s.active()
	} else {
		d, err = come()
	}
	if err != nil {
		return nil, err
	}
	if err = s.send(words...); err == nil {
		err = s.preliminary()
	}
	if err == nil && d == nil {
		d, err = come()
	}
	if err != nil && d != nil {
		_ = d.Close()
	}
	return d, err
}

// visit is how many whole sessions there are in a second: a login, one byte,
// QUIT.
func visit(o *options, r *result) error {
	once := func() error {
		s, err := o.open()
		if err != nil {
			return err
		}
		defer s.c.Close()
		if _, err := o.retrieve(s, "one", 1, nil); err != nil {
			return err
		}
		_, err = s.want(2, "QUIT")
		return err
	}
	for range 3 {
		if err := once(); err != nil {
			return err
		}
	}
	var (
		mu     sync.Mutex
		wg     sync.WaitGroup
		all    []time.Duration
		first  error
		failed int
	)
	c := o.start(r)
	until := time.Now().Add(time.Duration(o.seconds * float64(time.Second)))
	for range o.conc {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var mine []time.Duration
			bad := 0
			for time.Now().Before(until) && bad < 20 {
				t := time.Now()
				if err := once(); err != nil {
					bad++
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
					continue
				}
				mine = append(mine, time.Since(t))
			}
			mu.Lock()
			defer mu.Unlock()
			all, failed = append(all, mine...), failed+bad
		}()
	}
	wg.Wait()
	wall := c.end()
	if len(all) == 0 {
		return first
	}
	r.Value, r.Unit = float64(len(all))/wall.Seconds(), "sessions/s"
	r.Extra["failed"] = float64(failed)
	r.Units, r.UnitOf = float64(len(all)), "session"
	if first != nil {
		r.Notes = append(r.Notes, "first failure: "+first.Error())
	}
	r.spread("", all)
	return nil
}

// noop is the round trip of a command that does nothing; asks is that of PASV,
// which makes somebody listen each time.
func noop(o *options, r *result) error { return o.roundTrips(r, "NOOP") }
func asks(o *options, r *result) error { return o.roundTrips(r, "PASV") }

func (o *options) roundTrips(r *result, verb string) error {
	s, err := o.ready()
	if err != nil {
		return err
	}
	defer s.close()
	for range 100 {
		if _, err := s.want(2, verb); err != nil {
			return err
		}
	}
	all := make([]time.Duration, 0, o.n)
	c := o.start(r)
	for range o.n {
		t := time.Now()
		if _, err := s.want(2, verb); err != nil {
			c.end()
			return err
		}
		all = append(all, time.Since(t))
	}
	c.end()
	r.Value, r.Unit = r.spread("", all), "us (median)"
	r.Units, r.UnitOf = float64(o.n), "command"
	return nil
}

// crowd holds many sessions at once, and lets each fetch one byte while all are
// there.
func crowd(o *options, r *result) error {
	all := make([]*session, 0, o.n)
	defer func() {
		for _, s := range all {
			_ = s.c.Close()
		}
	}()
	c := o.start(r)
	for range o.n {
		s, err := o.open()
		if err != nil {
			c.end()
			return fmt.Errorf("session %d: %w", len(all)+1, err)
		}
		all = append(all, s)
	}
	opened := time.Since(c.began)
	failed := 0
	var first error
	for _, s := range all {
		if _, err := o.retrieve(s, "one", 1, nil); err != nil {
			failed++
			first = err
		}
	}
	c.end()
	r.Extra["opened_s"], r.Extra["failed"] = opened.Seconds(), float64(failed)
	r.Value, r.Unit = float64(len(all)-failed), "sessions at once"
	r.Units, r.UnitOf = float64(o.n), "session"
	if first != nil {
		r.Notes = append(r.Notes, "last failure: "+first.Error())
	}
	return nil
}
