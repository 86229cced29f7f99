package ftpserver

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"towpath/ftp"
	"towpath/ftp/listing"
)

func (s *session) noop(context.Context, string) (ftp.Reply, error) {
	return ftp.NewReply(200, "Still here."), nil
}

// syst is SYST. Clients take it for the dialect of LIST.
func (s *session) syst(context.Context, string) (ftp.Reply, error) {
	if s.set.DOSListing {
		return ftp.NewReply(215, "Windows_NT"), nil
	}
	return ftp.NewReply(215, "UNIX Type: L8"), nil
}

// feat is FEAT (RFC 2389 3.2).
func (s *session) feat(context.Context, string) (ftp.Reply, error) {
	lines := s.features()
	return ftp.NewReply(211, "Features:\n "+strings.Join(lines, "\n ")+"\nEnd"), nil
}

// features are the lines of FEAT, out of the command table.
func (s *session) features() []string {
	lines := []string{"UTF8", "TVFS"}
	for _, c := range commands {
		line := c.feature
		if c.featured != nil {
			line = c.featured(s)
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func mlstFeature(s *session) string { return "MLST " + listing.FormatFeature(offeredFacts, s.facts()) }

func authFeature(s *session) string {
	if s.set.TLS == nil {
		return ""
	}
	return "AUTH TLS"
}

// withTLS shows a feature where the server speaks TLS.
func withTLS(line string) func(*session) string {
	return func(s *session) string {
		if s.set.TLS == nil {
			return ""
		}
		return line
	}
}

// passiveFeature and activeFeature show a verb where its mode is allowed: clients
// that see it listed try it first, and do not always fall back.
func passiveFeature(verb string) func(*session) string {
	return func(s *session) string { return shownIf(!s.set.NoPassive, verb) }
}

func activeFeature(verb string) func(*session) string {
	return func(s *session) string { return shownIf(!s.set.NoActive, verb) }
}

func shownIf(shown bool, line string) string {
	if !shown {
		return ""
	}
	return line
}

// opts is OPTS.
func (s *session) opts(_ context.Context, arg string) (ftp.Reply, error) {
	word, rest, _ := strings.Cut(strings.TrimSpace(arg), " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToUpper(word) {
	case "UTF8", "UTF-8": // Windows sends it before USER, Explorer in lower case
		switch strings.ToUpper(rest) {
		case "", "ON", "NLST":
			s.utf8 = true
			return ftp.NewReply(200, "Names are UTF-8."), nil
		case "OFF":
			if u := s.user(); u != nil && u.Charset != nil {
				s.utf8 = false
				return ftp.NewReply(200, "Names are "+u.Charset.Name()+"."), nil
			}
			return ftp.Reply{}, refuse(504, "Names are UTF-8 here.", nil)
		}
		return ftp.Reply{}, refuse(501, "OPTS UTF8 wants ON or OFF.", nil)
	case "MLST":
		facts, err := listing.ParseFacts(rest)
		if err != nil {
			return ftp.Reply{}, refuse(501, "OPTS MLST wants a list like type;size;modify;", err)
		}
		facts &= offeredFacts
		s.more().facts = &factChoice{facts}
		return ftp.NewReply(200, facts.OptsReply()), nil
	case "HASH":
		if rest == "" {
			return ftp.NewReply(200, s.hashName()), nil
		}
		for _, a := range algorithms {
			if strings.EqualFold(a.name, rest) {
				s.more().hash = a.name
				return ftp.NewReply(200, a.name), nil
			}
		}
		return ftp.Reply{}, refuse(501, "Unknown algorithm; FEAT lists the known ones.", nil)
	case "MODE":
		return s.optsModeZ(rest)
	default:
		return ftp.Reply{}, refuse(501, "OPTS knows UTF8, MLST, HASH and MODE Z.", nil)
	}
}

// help is HELP, printed from the command table.
func (s *session) help(ctx context.Context, arg string) (ftp.Reply, error) {
	verb := strings.ToUpper(strings.TrimSpace(arg))
	if verb == "SITE" {
		return s.siteHelp(ctx, "")
	}
	if verb != "" {
		c, ok := commands[verb]
		if !ok {
			return ftp.Reply{}, refuse(502, "Unknown command "+ftp.Escape(verb)+".", nil)
		}
		return ftp.NewReply(214, strings.TrimSpace("Syntax: "+verb+" "+c.syntax)), nil
	}
	var b strings.Builder
	b.WriteString("These commands are known:")
	for i, v := range slices.Sorted(maps.Keys(commands)) {
		if i%8 == 0 {
			b.WriteString("\n ")
		}
		fmt.Fprintf(&b, "%-8s", v)
	}
	return ftp.NewReply(214, b.String()+"\nEnd"), nil
}

// clnt is CLNT and CSID: who the client says it is.
func (s *session) clnt(_ context.Context, arg string) (ftp.Reply, error) {
	s.setClient(arg)
	return ftp.NewReply(200, "Noted."), nil
}

func (s *session) csid(_ context.Context, arg string) (ftp.Reply, error) {
	s.setClient(arg)
	return ftp.NewReply(200, "Name=Towpath;"), nil
}

func (s *session) setClient(name string) {
	s.more().client = name[:min(len(name), 200)]
	s.log(slog.LevelInfo, "client named itself", "client", ftp.Escape(s.extra.client))
}

// lang is LANG (RFC 2640): replies are English.
func (s *session) lang(_ context.Context, arg string) (ftp.Reply, error) {
	switch tag := strings.ToLower(strings.TrimSpace(arg)); {
	case tag == "", tag == "en", strings.HasPrefix(tag, "en-"):
		return ftp.NewReply(200, "Replies are in English."), nil
	default:
		return ftp.Reply{}, refuse(504, "Replies are in English only.", nil)
	}
}

// stat is STAT: the state of the session, and of the transfer that runs, or a
// listing over the control connection.
func (s *session) stat(ctx context.Context, arg string) (ftp.Reply, error) {
	if strings.TrimSpace(arg) == "" {
		return s.status(), nil
	}
	if s.user() == nil {
		return ftp.Reply{}, refuse(530, "Please log in with USER and PASS first.", nil)
	}
	sel, err := s.choose(arg)
	if err != nil {
		return ftp.Reply{}, err
	}
	sel.prefix = ""
	return s.statListing(ctx, sel)
}

func (s *session) status() ftp.Reply {
	var b strings.Builder
	b.WriteString("Status:")
	fmt.Fprintf(&b, "\n Connected from %v, session %d", s.peer, s.id)
	if u := s.user(); u != nil {
		fmt.Fprintf(&b, "\n Logged in as %s", ftp.Escape(u.Name))
	} else {
		b.WriteString("\n Not logged in")
	}
	fmt.Fprintf(&b, "\n Control connection %s, data connections %s", clearOr(s.binding != nil), clearOr(s.private))
	fmt.Fprintf(&b, "\n TYPE %c, STRU %c, MODE %c", s.kind, pick(s.records, 'R', 'F'), pick(s.block == modeDeflate, 'Z', 'S'))
	if t := s.current.Load(); t != nil {
		fmt.Fprintf(&b, "\n %s %s: %d bytes", t.verb, ftp.Escape(t.path), t.moved.Load())
		if size := t.size.Load(); size >= 0 {
			fmt.Fprintf(&b, " of %d", size)
		}
	} else {
		b.WriteString("\n No transfer is running")
	}
	return ftp.NewReply(211, b.String()+"\nEnd")
}

func clearOr(tls bool) string {
	if tls {
		return "under TLS"
	}
	return "in clear text"
}

func pick(cond bool, yes, no rune) rune {
	if cond {
		return yes
	}
	return no
}

// notHere answers commands that are known and not carried out.
func notHere(text string) func(*session, context.Context, string) (ftp.Reply, error) {
	return func(*session, context.Context, string) (ftp.Reply, error) {
		return ftp.Reply{}, refuse(502, text, nil)
	}
}
