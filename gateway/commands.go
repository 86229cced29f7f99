package gateway

import (
	"strings"

	"towpath/ftp"
	"towpath/ftp/dialogue"
)

// handlers are the commands that do not just pass. What a handler returns is
// done by the goroutine that reads the client, without the lock.
var handlers map[string]func(*session, line) func() error

func init() { // the handlers lead back here
	handlers = map[string]func(*session, line) func() error{
		"RETR": transfer, "STOR": transfer, "STOU": transfer, "APPE": transfer,
		"LIST": transfer, "NLST": transfer, "MLSD": transfer,
		"USER": user, "HOST": host, "REIN": reinitialize, "ABOR": abort,
		"AUTH": auth, "ADAT": auth, "PBSZ": bufferSize, "PROT": protection, "CCC": clearControl,
		"SSCN": notServed,
		"GET":  notFTP, "POST": notFTP, "HEAD": notFTP, "PUT": notFTP, "OPTIONS": notFTP, "CONNECT": notFTP, "PATCH": notFTP,
		"TRACE": notFTP, "EHLO": notFTP, "HELO": notFTP, "MAIL": notFTP, "INVITE": notFTP, "REGISTER": notFTP,
	}
	for verb := range announcements {
		handlers[verb] = announce
	}
}

// announcements are the verbs that [announce] is for.
var announcements = map[string]bool{
	"PORT": true, "EPRT": true, "PASV": true, "EPSV": true, "P@SW": true,
	"LPRT": true, "LPSV": true, "SPSV": true, "CPSV": true,
}

// first are the verbs that a client of FTP may begin with.
var first = func() map[string]bool {
	m := map[string]bool{}
	for v := range strings.FieldsSeq(`USER PASS ACCT HOST AUTH ADAT PBSZ PROT CCC FEAT OPTS CLNT CSID LANG SYST STAT HELP NOOP QUIT
		REIN ALGS SITE TYPE MODE STRU PASV EPSV PORT EPRT LPRT LPSV CWD CDUP PWD XPWD ABOR LIST NLST MLSD MLST RETR STOR SIZE MDTM ALLO REST`) {
		m[v] = true
	}
	return m
}()

// dispatch does what a line of the client asks for. ahead says that it waited
// for the answer to a line before it. The caller holds mu, and calls what is
// returned without it.
func (s *session) dispatch(raw []byte, ahead bool) func() error {
	l, err := readLine(raw)
	l.ahead = ahead
	switch {
	case err == ftp.ErrEmpty:
		return nil // servers pass over it
	case !s.spoken && (err != nil || !first[l.command.Verb]):
		return notFTP(s, l)
	case err != nil:
		check := 0
		if err == ftp.ErrLine {
			check = 3
		}
		s.deny(refuse(check, 500, "Not a command: %v.", err))
		return nil
	}
	s.spoken = true
	s.rec.Commands++
	if !s.secured(l.command.Verb) {
		s.deny(refuse(13, 530, "This gateway wants TLS before login; say AUTH TLS."))
		return nil
	}
	if handle, ok := handlers[l.command.Verb]; ok {
		return handle(s, l)
	}
	if s.allowed(l) {
		s.forward(l)
	}
	return nil
}

// request is what a command asks for.
func (s *session) request(l line) Request {
	return Request{Visitor: s.visitor, Server: &s.seat.Server, Command: l.command, Dir: s.dir, RenameFrom: s.rename}
}

// allowed asks whether a command may go to the server.
func (s *session) allowed(l line) bool {
	if s.set.Allow == nil {
		return true
	}
	err := s.set.Allow(s.request(l))
	if err == nil {
		return true
	}
	s.deny(refuse(0, 550, "%s", err.Error()))
	return false
}

// notFTP cuts a client that speaks another protocol: a web browser, say, that
// somebody sends here with a page of his own (slipstreaming).
func notFTP(s *session, l line) func() error {
	s.alarm(1, "the client begins by "+ftp.Escape(clip(string(trimEnd(l.raw)))))
	s.cause = errNotFTP.Error()
	s.say(ftp.NewReply(500, "This is FTP. Goodbye."), true)
	s.over = true
	return nil
}

func clip(s string) string { return s[:min(len(s), 40)] }

func notServed(s *session, l line) func() error {
	s.deny(refuse(0, 502, "%s is not served by this gateway.", l.command.Verb))
	return nil
}

func user(s *session, l line) func() error {
	s.visitor.User = l.command.Arg
	if !s.allowed(l) {
		return nil
	}
	if as := s.seat.Server.User; as != nil {
		l.command.Arg, l.raw = as(l.command.Arg), nil
	}
	s.forward(l)
	return nil
}

func host(s *session, l line) func() error {
	s.visitor.Host = l.command.Arg
	if s.allowed(l) {
		s.forward(l)
	}
	return nil
}

// reinitialize: what is left of TLS behind it, servers and clients do not agree
// on (RFC 4217 11).
func reinitialize(s *session, l line) func() error {
	if s.client.secure.on() || s.server.secure.on() {
		s.deny(refuse(0, 502, "REIN is not served under TLS; connect again."))
		return nil
	}
	s.forward(l)
	return nil
}

// abort passes, and ends what the server has sent already and the client does
// not take.
func abort(s *session, l line) func() error {
	if s.using != nil && s.using.answered {
		s.using.stop(errAborted)
	}
	s.forward(l)
	return nil
}

// announce deals with PORT, EPRT, PASV and EPSV.
func announce(s *session, l line) func() error {
	c := l.command
	if c.Verb == "EPSV" && strings.EqualFold(strings.TrimSpace(c.Arg), "ALL") {
		// It binds the client. What the server is asked for is our affair.
		s.epsvAll = true
		s.say(ftp.NewReply(200, "EPSV ALL: only EPSV from now on."), false)
		return nil
	}
	if !s.entered() {
		check := 2
		if l.ahead { // it came with a login that has failed since
			check = 0
		}
		s.deny(refuse(check, 530, "Log in first."))
		return nil
	}
	if s.epsvAll && c.Verb != "EPSV" {
		s.deny(refuse(10, 501, "EPSV ALL was said: only EPSV may follow."))
		return nil
	}
	w, r := s.set.readWish(c, s.visitor.Client.Addr())
	if r == nil && w.mode == dialogue.Active && s.gw.isOurs(w.addr, s) {
		r = refuse(12, 501, "%s names a port of this gateway.", c.Verb)
	}
	if r == nil && w.verb == "EPSV" && s.visitor.Original.IsValid() && s.set.Redirect == nil && s.visitor.Original.Addr() != s.client.local.Addr() {
		r = refuse(0, 500, "EPSV would lead past this gateway; use PASV or PORT.")
	}
	if r != nil {
		s.deny(r)
		return nil
	}
	if !s.allowed(l) {
		return nil
	}
	s.drop()
	s.open(l, w)
	return nil
}

// transfer hands on a command that moves data, and readies its way first.
func transfer(s *session, l line) func() error {
	if !s.allowed(l) {
		return nil
	}
	way := s.way
	if way == nil {
		s.forward(l) // the server will say what is missing
		return nil
	}
	if err := way.failed(); err != nil {
		s.drop()
		s.say(ftp.NewReply(425, sentence(err)+" Announce again."), false)
		return nil
	}
	s.way, s.using = nil, way
	if s.set.Size != nil {
		way.most = s.set.Size(s.request(l))
	}
	way.begin(l.command)
	o := s.forward(l)
	o.way, way.owed = way, o
	way.start()
	return nil
}

// sentence makes a reply of an error.
func sentence(err error) string {
	t := plainError(err)
	return strings.ToUpper(t[:1]) + t[1:] + "."
}
