package ftpserver_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/storage/mem"
)

// TestSessionLimits: one too many is told why, and may come when another goes.
func TestSessionLimits(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]ftptest.Option{
		"in all":      func(o *ftpserver.Options) { o.MaxSessions = 1 },
		"per address": func(o *ftpserver.Options) { o.MaxPerAddress = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan struct{}, 10)
			s := ftptest.Serve(t, nil, option, func(o *ftpserver.Options) {
				o.Events = func(e ftpserver.Event) {
					if e, ok := e.(ftpserver.SessionEvent); ok && e.What == ftpserver.SessionEnded {
						ended <- struct{}{}
					}
				}
			})
			first := s.Login()
			second := s.Dial()
			second.Expect(421)
			second.ExpectEOF()
			first.Do("QUIT", 221)
			first.ExpectEOF()
			<-ended
			for { // the place is given back just after the event
				c := s.Dial()
				if c.Reply().Code == 220 {
					break
				}
			}
			if st := s.Stats(); st.Refused == 0 {
				t.Error("no refusal is counted")
			}
		})
	}
}

// TestFailedLogins: a session has a few, an address some more.
func TestFailedLogins(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, func(o *ftpserver.Options) { o.MaxFailures, o.BanAfter = 2, 4 })
	for range 2 {
		c := s.Dial()
		c.Expect(220)
		c.Do("USER test", 331)
		c.Do("PASS wrong", 530)
		c.Do("USER test", 331)
		c.Do("PASS wrong", 421)
		c.ExpectEOF()
	}
	c := s.Dial()
	c.Expect(421)
	c.ExpectEOF()
}

// TestLoginTimeout: no command extends it.
func TestLoginTimeout(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, func(o *ftpserver.Options) { o.LoginTimeout = 100 * time.Millisecond })
	c := s.Dial()
	c.Expect(220)
	c.Expect(421)
	c.ExpectEOF()

	c = s.Dial()
	c.Expect(220)
	for {
		if _, err := io.WriteString(c.Conn, "USER test\r\n"); err != nil {
			break // closed already
		}
		r := c.Reply()
		if r.Code == 421 {
			break
		}
		if r.Code != 331 {
			t.Fatalf("S: %v", r)
		}
	}
}

// TestIdleTimeout of the server, and of a user who has another.
func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, withUser(ftpserver.User{Root: mem.New(nil), IdleTimeout: 50 * time.Millisecond}))
	c := s.Dial()
	c.Expect(220)
	c.Do("USER test", 331)
	c.Do("PASS secret", 230)
	c.Expect(421)
	c.ExpectEOF()
}

// TestStall: a transfer in which nothing moves ends, and the session goes on.
func TestStall(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"big": strings.Repeat("0123456789abcdef", 2<<20), "a": "old"},
		func(o *ftpserver.Options) { o.StallTimeout = 100 * time.Millisecond })
	c, d := uploading(t, s, "a")
	c.Expect(426)
	_ = d.Close()
	data := dialPassive(t, c)
	c.Do("RETR big", 150)
	d = data()
	c.Expect(426)
	if _, err := io.Copy(io.Discard, d); err == nil {
		t.Error("the stalled download ended as if it were whole")
	}
	c.Do("NOOP", 200)
	if got := s.File("a"); got != "old" {
		t.Errorf("a holds %q", got)
	}
}

// TestIdleInTransfer: a session whose data moves is not idle, however long
// nothing is said. The rate limit makes the upload last longer than the clock.
func TestIdleInTransfer(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, withUser(ftpserver.User{
		Root: mem.New(nil), Rights: all, IdleTimeout: 100 * time.Millisecond, UploadRate: 10 << 10,
	}))
	c := s.Dial()
	c.Expect(220)
	c.Do("USER test", 331)
	c.Do("PASS secret", 230)
	if code := upload(t, c, "STOR a", strings.Repeat("x", 4<<10)); code != 226 {
		t.Errorf("S: %d, want 226", code)
	}
	c.Expect(421)
}

// TestShutdown lets a transfer finish, says goodbye to the idle, and takes
// nobody new.
func TestShutdown(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil)
	idle := s.Login()
	c, d := uploading(t, s, "a")
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	idle.Expect(421)
	idle.ExpectEOF()
	if n, err := net.Dial("tcp", s.Addr); err == nil {
		b, _ := io.ReadAll(n)
		_ = n.Close()
		if strings.HasPrefix(string(b), "220") {
			t.Error("a session began after Shutdown")
		}
	}
	if _, err := io.WriteString(d, "content"); err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
	c.Expect(226)
	c.Expect(421)
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if got := s.File("a"); got != "content" {
		t.Errorf("a holds %q", got)
	}
}

// TestShutdownEndsThePipeline: what waits behind a transfer is not begun any more.
func TestShutdownEndsThePipeline(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil)
	idle := s.Login()
	c, d := uploading(t, s, "a")
	c.Do("NOOP", 200) // somebody listens
	c.Send("PWD\r\nPWD\r\nPWD")
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	idle.Expect(421)
	_ = d.Close()
	c.Expect(226)
	c.Expect(421)
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestSessionsWaitForNobody: one who does not read his replies keeps nobody from
// seeing who is there.
func TestSessionsWaitForNobody(t *testing.T) {
	t.Parallel()
	srv, err := ftpserver.New(ftpserver.Options{Login: ftptest.Login(mem.New(nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	go func() { _ = srv.Serve(l) }() // ErrClosed
	c := l.dial(local)
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err != nil { // of the greeting: the rest is being written
		t.Fatal(err)
	}
	seen := make(chan []ftpserver.SessionInfo, 1)
	go func() { seen <- srv.Sessions() }()
	select {
	case all := <-seen:
		if len(all) != 1 || all[0].TLS {
			t.Errorf("sessions: %+v", all)
		}
	case <-time.After(patience):
		t.Error("they cannot be seen")
	}
}

// TestKick ends the session of that number, whatever it does.
func TestKick(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil)
	c, _ := uploading(t, s, "a")
	var id uint64
	for _, i := range s.Sessions() {
		if i.Verb != "STOR" || i.Path != "/a" || i.User != ftptest.User {
			t.Errorf("session is %+v", i)
		}
		id = i.ID
	}
	if s.Kick(id + 1) {
		t.Error("a session that is not there was ended")
	}
	if !s.Kick(id) {
		t.Fatal("no such session")
	}
	c.Expect(426)
	c.Expect(421)
	c.ExpectEOF()
}

// TestOptionsThatCannotBe are refused with what is wrong in words.
func TestOptionsThatCannotBe(t *testing.T) {
	t.Parallel()
	login := ftptest.Login(mem.New(nil))
	for want, o := range map[string]ftpserver.Options{
		"Login is not set":     {},
		"50100-50000":          {Login: login, PassivePorts: ftpserver.PortRange{Low: 50100, High: 50000}},
		"NoActive":             {Login: login, NoPassive: true, NoActive: true},
		"RequireTLS needs":     {Login: login, RequireTLS: true},
		"300.1.1.1":            {Login: login, Told: []ftpserver.Told{{Address: "300.1.1.1"}}},
		fmt.Sprintf("0-%d", 5): {Login: login, PassivePorts: ftpserver.PortRange{High: 5}},
	} {
		if _, err := ftpserver.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want %q in it", err, want)
		}
	}
}

// Who has said QUIT and heard the 221 may come again at once, with however few
// sessions he is allowed.
func TestComeAgain(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, func(o *ftpserver.Options) { o.MaxPerAddress = 1 })
	for range 200 {
		c := ftptest.Dial(t, s.Addr)
		c.Expect(220)
		c.Do("QUIT", 221)
	}
}
