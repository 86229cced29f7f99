package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"towpath/doctor/check"
	"towpath/doctor/serverside"
	"towpath/ftpserver"
)

// greet tells the operator what to try, what clients will be told, and what a
// firewall must let through.
func (svc *service) greet(out io.Writer) {
	s := svc.now.Load()
	root, err := filepath.Abs(s.Root)
	if err != nil {
		root = s.Root
	}
	var b strings.Builder
	what := "for reading and writing"
	if s.ReadOnly || s.Anonymous && len(s.Users) == 0 && s.Accounts == "" {
		what = "for reading"
	}
	if s.Accounts != "" && len(s.Users) == 0 && !s.Anonymous {
		what = "to the accounts of " + s.Accounts + ", " + what + ", but where they have homes of their own"
	}
	fmt.Fprintf(&b, "Serving %s %s.\n\n", root, what)

	user, password := svc.exampleUser()
	host, port := svc.exampleAddress()
	at := net.JoinHostPort(host, port)
	if svc.password != "" {
		fmt.Fprintf(&b, "  user      %s\n  password  %s   (made up for this run; --user NAME:PASSWORD chooses one)\n\n", user, password)
	}
	login, lftpLogin := user+":"+password, user+","+password
	switch {
	case user == "":
		fmt.Fprintf(&b, "Try:\n  curl ftp://%s/\n  lftp ftp://%s\n", at, at)
	case s.TLS.Require:
		fmt.Fprintf(&b, "Try:\n  curl --ssl-reqd -k ftp://%s/ --user %s\n  curl --ssl-reqd -k -T FILE ftp://%s/ --user %s\n  lftp -e 'set ssl:verify-certificate no' -u %s ftp://%s\n", at, login, at, login, lftpLogin, at)
	default:
		fmt.Fprintf(&b, "Try:\n  curl ftp://%s/ --user %s\n  curl -T FILE ftp://%s/ --user %s\n  lftp -u %s ftp://%s\n", at, login, at, login, lftpLogin, at)
	}
	if s.cert != "" {
		fmt.Fprintf(&b, "\nTLS certificate, SHA-256:\n  %s\n", s.cert)
	} else {
		b.WriteString("\nPasswords and files go in clear text; --tls-self-signed or --tls-cert adds TLS.\n")
	}
	svc.addresses(&b)
	svc.firewall(&b)
	svc.doubts(&b)
	_, _ = io.WriteString(out, b.String()+"\n") // nobody reading it is no reason to stop
}

// doubts tells, a line each, what will keep clients from being served, as far as
// it can be seen without asking anybody.
func (svc *service) doubts(b *strings.Builder) {
	subject := serverside.Ours(svc.now.Load().Settings, nil)
	r := serverside.Look(context.Background(), subject, serverside.This(), serverside.Options{Cheap: true})
	heading := "\nWhat clients will have trouble with (\"towpath doctor server\" says more):\n"
	for _, c := range r.Checks {
		if c.Answer == check.No && !c.Minor {
			fmt.Fprintf(b, "%s  %s: %s\n", heading, c.Name, c.Evidence)
			heading = ""
		}
	}
}

// exampleUser is who the examples log in as; "" is anonymous.
func (svc *service) exampleUser() (name, password string) {
	switch s := svc.now.Load(); {
	case svc.password != "":
		return madeUpUser, svc.password
	case len(s.Users) > 0:
		return s.Users[0].Name, "PASSWORD"
	case s.Anonymous:
		return "", ""
	default:
		return "USER", "PASSWORD"
	}
}

// exampleAddress is where the examples connect: the address listened on, or
// this machine when that is all of them.
func (svc *service) exampleAddress() (host, port string) {
	host, port, err := net.SplitHostPort(svc.listeners[0].Addr().String())
	if err != nil {
		return "localhost", "21"
	}
	if ip, err := netip.ParseAddr(host); err != nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return host, port
}

// addresses tells what PASV will say.
func (svc *service) addresses(b *strings.Builder) {
	s := svc.now.Load()
	if !s.Passive.Enable {
		b.WriteString("\nPassive mode is switched off: clients must be reachable (active mode).\n")
		return
	}
	b.WriteString("\nAddresses that clients are told in passive mode:\n")
	for _, t := range s.Passive.External {
		fmt.Fprintf(b, "  %-20s for %s\n", t.Address, toldTo(t))
	}
	if n := len(s.Passive.External); n == 0 || len(s.Passive.External[n-1].Clients) > 0 {
		who := "all clients"
		if n > 0 {
			who = "all others"
		}
		fmt.Fprintf(b, "  %-20s for %s\n", "the one they reached", who)
		for _, a := range svc.reachable() {
			note := ""
			if a.IsPrivate() || a.IsLinkLocalUnicast() {
				note = "   private: from outside a NAT it is of no use; see --external"
			}
			fmt.Fprintf(b, "    %v%s\n", a, note)
		}
	}
}

func toldTo(t ftpserver.Told) string {
	who := "all clients"
	if len(t.Clients) > 0 {
		nets := make([]string, len(t.Clients))
		for i, n := range t.Clients {
			nets[i] = n.String()
		}
		who = "clients in " + strings.Join(nets, ", ")
	}
	if t.TLS != nil {
		who += map[bool]string{true: ", under TLS", false: ", in clear text"}[*t.TLS]
	}
	return who
}

// reachable are the addresses that control connections can come to, but for
// loopback if there are others.
func (svc *service) reachable() []netip.Addr {
	var found []netip.Addr
	for _, l := range svc.listeners {
		a := l.Addr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		if !a.IsUnspecified() {
			found = append(found, a)
			continue
		}
		all, err := net.InterfaceAddrs()
		if err != nil {
			continue
		}
		for _, one := range all {
			if p, ok := one.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(p.IP); ok && !ip.Unmap().IsLinkLocalUnicast() {
					found = append(found, ip.Unmap())
				}
			}
		}
	}
	outside := slices.DeleteFunc(slices.Clone(found), netip.Addr.IsLoopback)
	if len(outside) > 0 {
		found = outside
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return slices.Compact(found)
}

// firewall tells which ports must be open.
func (svc *service) firewall(b *strings.Builder) {
	s := svc.now.Load()
	b.WriteString("\nPorts that a firewall must let in:\n")
	for _, l := range svc.listeners {
		kind := "control connections"
		if l.implicit {
			kind += ", TLS from the start"
		}
		fmt.Fprintf(b, "  tcp %-12d %s\n", l.Addr().(*net.TCPAddr).Port, kind)
	}
	if s.Passive.Enable {
		r, hint := s.Passive.Ports, ""
		if r == (ftpserver.PortRange{}) {
			r, hint = ftpserver.DynamicPorts, "; --passive-ports 50000-50100 makes it fewer"
		}
		fmt.Fprintf(b, "  tcp %-12s data connections of passive mode%s\n", fmt.Sprintf("%d-%d", r.Low, r.High), hint)
	}
	if s.Active.Enable {
		from := "any port"
		if s.Active.Port != 0 {
			from = fmt.Sprintf("port %d", s.Active.Port)
		}
		fmt.Fprintf(b, "and out, from %s to the clients: data connections of active mode.\n", from)
	}
	b.WriteString("\"towpath doctor rules\" writes them in the language of your firewall.\n")
}
