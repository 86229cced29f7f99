package ftp

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Errors of command lines. They may come wrapped.
var (
	// ErrEmpty: the line holds nothing. Servers pass over it, since some NAT
	// devices send empty lines.
	ErrEmpty = errors.New("empty command line")
	// ErrLine: CR, LF or NUL where a command line cannot hold it.
	ErrLine = errors.New("CR, LF or NUL inside a command line")
	// ErrVerb: the line does not begin with a verb.
	ErrVerb = errors.New("not a command verb")
	// ErrTooLong: more than MaxLine or MaxReply bytes.
	ErrTooLong = errors.New("line or reply too long")
)

// maxVerb is the longest verb taken. The longest in use, XSHA512 and the like,
// have seven bytes.
const maxVerb = 16

// Command is one command of a dialogue.
type Command struct {
	// Verb is upper case ASCII: letters, digits and @ (P@SW), 16 at most.
	Verb string
	// Arg is everything behind the blank that follows the verb, in the bytes
	// of the wire. It may begin and end with blanks: file names do.
	Arg string
}

// ParseCommand reads a command line that has lost its end of line and its
// Telnet commands, as [Reader.ReadLine] returns it. Its errors are [ErrEmpty],
// [ErrLine] and [ErrVerb].
func ParseCommand(line string) (Command, error) {
	if line == "" {
		return Command{}, ErrEmpty
	}
	if !isPlain(line) && strings.ContainsAny(line, "\r\n\x00") {
		return Command{}, ErrLine
	}
	verb, arg, _ := strings.Cut(line, " ")
	if err := checkVerb(verb); err != nil {
		return Command{}, err
	}
	return Command{Verb: strings.ToUpper(verb), Arg: arg}, nil
}

// Encode returns the command as it goes on the wire. No other code makes
// command lines, so no file name can smuggle in a second command. A byte 0xFF
// is doubled as Telnet wants it (in CP1251 it is the letter я). Its errors are
// [ErrLine], [ErrVerb] and [ErrTooLong].
func (c Command) Encode() ([]byte, error) {
	if strings.ContainsAny(c.Verb, "\r\n\x00") || strings.ContainsAny(c.Arg, "\r\n\x00") {
		return nil, ErrLine
	}
	if err := checkVerb(c.Verb); err != nil {
		return nil, err
	}
	if n := len(c.Verb) + 1 + len(c.Arg); n > MaxLine {
		return nil, fmt.Errorf("%s with %d bytes, %d at most: %w", c.Verb, n, MaxLine, ErrTooLong)
	}
	b := make([]byte, 0, len(c.Verb)+len(c.Arg)+len(" \r\n"))
	b = append(b, c.Verb...)
	if c.Arg != "" {
		b = append(b, ' ')
		b = appendTelnet(b, c.Arg)
	}
	return append(b, "\r\n"...), nil
}

// checkVerb says why verb is none. The error shows only its beginning: what
// stands there may be a TLS handshake or a password.
func checkVerb(verb string) error {
	if len(verb) == 0 {
		return fmt.Errorf("%w: the line begins with a blank", ErrVerb)
	}
	if len(verb) > maxVerb {
		return fmt.Errorf("%w: %s… is longer than %d letters", ErrVerb, Escape(verb[:maxVerb]), maxVerb)
	}
	for i := range len(verb) {
		c := verb[i]
		if !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || isDigit(c) || c == '@') {
			return fmt.Errorf("%w: %s, want letters, digits or @", ErrVerb, Escape(verb))
		}
	}
	return nil
}

// String returns the command for people and logs: control bytes are escaped,
// and **** stands for an argument that may hold a secret. That is the argument
// of every verb but those known to be harmless, since a password may follow a
// mistyped PASS, and of every SITE command but those: servers have a dozen that
// change or give a password (PSWD, GPASS, CHPASS, ADDUSER).
func (c Command) String() string {
	if c.Arg == "" {
		return Escape(c.Verb)
	}
	return Escape(c.Verb) + " " + c.ShownArg()
}

// ShownArg returns the argument for people and logs, as [Command.String] has it.
func (c Command) ShownArg() string {
	if c.Arg == "" {
		return ""
	}
	if !public(c.Verb) {
		return "****"
	}
	if c.Verb == "SITE" {
		sub, _, more := strings.Cut(strings.TrimLeft(c.Arg, " "), " ")
		if more && !publicSite[strings.ToUpper(sub)] {
			return Escape(sub) + " ****"
		}
	}
	return Escape(c.Arg)
}

// LogValue makes a logged command hide its secrets, as [Command.String] does.
func (c Command) LogValue() slog.Value { return slog.StringValue(c.String()) }

// public says whether the argument of a verb may be shown.
func public(verb string) bool {
	switch verb {
	case "ABOR", "ALGS", "ALLO", "APPE", "AUTH", "AVBL", "CCC", "CDUP", "CLNT", "COMB", "CPSV", "CSID", "CWD",
		"DELE", "DSIZ", "EPRT", "EPSV", "ESTA", "ESTP", "FEAT", "HASH", "HELP", "HOST", "LANG", "LIST", "LPRT",
		"LPSV", "MD5", "MDTM", "MFCT", "MFF", "MFMT", "MKD", "MLSD", "MLST", "MMD5", "MODE", "NLST", "NOOP",
		"OPTS", "PASV", "PBSZ", "PORT", "PRET", "PROT", "PWD", "QUIT", "RANG", "REIN", "REST", "RETR", "RMD",
		"RMDA", "RNFR", "RNTO", "SITE", "SIZE", "SMNT", "SSCN", "STAT", "STOR", "STOU", "STRU", "SYST", "THMB",
		"TYPE", "USER", "XCRC", "XCUP", "XCWD", "XMD5", "XMKD", "XPWD", "XRMD", "XSHA", "XSHA1", "XSHA256",
		"XSHA384", "XSHA512":
		return true
	}
	return false
}

// publicSite holds the SITE commands whose argument may be shown.
var publicSite = func() map[string]bool {
	m := make(map[string]bool)
	for _, name := range strings.Fields(`
		CHGRP CHMOD CHOWN COPY CPFR CPTO DIRSTYLE FREE GROUP HELP IDLE LINK MKDIR QUOTA RMDIR SYMLINK TIME TOUCH UMASK UTIME WHO ZONE`) {
		m[name] = true
	}
	return m
}()
