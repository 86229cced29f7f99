package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"towpath/ftp"
)

// Class says what kind of thing a command does. Some commands are of several.
type Class uint8

// The classes.
const (
	// List looks at directories and at what is known of files.
	List Class = 1 << iota
	// Read fetches what is in files. Rules that say "read" mean List too.
	Read
	// Write makes and changes files and directories; renaming is of it, since
	// uploads under a passing name need it.
	Write
	// Delete removes.
	Delete
	// Admin is SITE, and every verb that is not known here: what it does cannot
	// be known.
	Admin
	// Own belongs to the session itself: login, modes, where it stands.
	Own
)

// classNames are the words of rules.
var classNames = []struct {
	name  string
	class Class
}{
	{"list", List},
	{"read", List | Read},
	{"write", Write},
	{"delete", Delete},
	{"admin", Admin},
}

// String gives the names of the classes, "read,write".
func (c Class) String() string {
	var names []string
	for i := len(classNames) - 1; i >= 0; i-- {
		if n := classNames[i]; c&n.class == n.class {
			names = append(names, n.name)
			c &^= n.class
		}
	}
	slices.Reverse(names)
	return strings.Join(names, ",")
}

// slot is where in an argument the path stands.
type slot uint8

const (
	none    slot = iota
	whole        // RETR path
	options      // LIST [-la] [path]
	second       // MFMT time path
	unclear      // SITE CHMOD 644 path, and what nobody knows
)

// verbs is what the gateway knows of commands. What is not here is Admin.
var verbs = map[string]struct {
	classes Class
	path    slot
}{
	"RETR": {Read, whole},

	"LIST": {List, options}, "NLST": {List, options}, "MLSD": {List, whole}, "MLST": {List, whole},
	"SIZE": {List, whole}, "MDTM": {List, whole}, "AVBL": {List, whole}, "DSIZ": {List, whole}, "THMB": {Read, second},
	// A digest tells whether a guess at the content is right.
	"HASH": {Read, whole}, "MD5": {Read, whole}, "MMD5": {Read, unclear},
	"XCRC": {Read, unclear}, "XMD5": {Read, unclear}, "XSHA": {Read, unclear}, "XSHA1": {Read, unclear},
	"XSHA256": {Read, unclear}, "XSHA384": {Read, unclear}, "XSHA512": {Read, unclear},

	"STOR": {Write, whole}, "APPE": {Write, whole}, "STOU": {Write, whole}, "ALLO": {Own, none},
	"MKD": {Write, whole}, "XMKD": {Write, whole},
	"RNFR": {Write, whole}, "RNTO": {Write, whole},
	"MFMT": {Write, second}, "MFCT": {Write, second}, "MFF": {Write, second},
	"COMB": {Write, unclear},

	"DELE": {Delete, whole}, "RMD": {Delete, whole}, "XRMD": {Delete, whole}, "RMDA": {Delete, whole},

	"SITE": {Admin, unclear}, "SMNT": {Admin, whole},

	"CWD": {Own, whole}, "XCWD": {Own, whole},
	// STAT of a path is a listing: see act.
	"STAT": {Own, options},

	"USER": {Own, none}, "PASS": {Own, none}, "ACCT": {Own, none}, "HOST": {Own, none}, "REIN": {Own, none}, "QUIT": {Own, none},
	"AUTH": {Own, none}, "ADAT": {Own, none}, "PBSZ": {Own, none}, "PROT": {Own, none}, "CCC": {Own, none}, "CDC": {Own, none},
	"SSCN": {Own, none}, "CPSV": {Own, none},
	"CDUP": {Own, none}, "XCUP": {Own, none}, "PWD": {Own, none}, "XPWD": {Own, none},
	"TYPE": {Own, none}, "MODE": {Own, none}, "STRU": {Own, none}, "REST": {Own, none}, "RANG": {Own, none}, "PRET": {Own, none},
	"PORT": {Own, none}, "PASV": {Own, none}, "EPRT": {Own, none}, "EPSV": {Own, none}, "LPRT": {Own, none}, "LPSV": {Own, none},
	"P@SW": {Own, none}, "SPSV": {Own, none}, "ESTA": {Own, none}, "ESTP": {Own, none}, "ALGS": {Own, none},
	"ABOR": {Own, none}, "NOOP": {Own, none}, "HELP": {Own, none}, "FEAT": {Own, none}, "OPTS": {Own, none},
	"LANG": {Own, none}, "CLNT": {Own, none}, "CSID": {Own, none}, "SYST": {Own, none},
}

// action is what a command would do.
type action struct {
	verb    string
	classes Class
	// path is what it would do it to, cleaned and from the root on. It is ""
	// if there is none, and unsure says why if it cannot be known.
	path, unsure string
	// other is the path as Windows would take it, "" if that is the same.
	other string
	// tree tells that all below path goes with it.
	tree bool
}

// act looks at a command.
func act(c ftp.Command, dir string) action {
	verb := strings.ToUpper(c.Verb)
	v, known := verbs[verb]
	if !known {
		v.classes, v.path = Admin, unclear
	}
	a := action{verb: verb, classes: v.classes}
	arg := c.Arg
	switch verb {
	case "STAT":
		if strings.Trim(arg, " ") != "" {
			a.classes = List
		}
	case "MDTM":
		// "MDTM 20260101000000 name" sets the time, as some clients and servers
		// have it from before MFMT.
		if when, rest, two := strings.Cut(arg, " "); two && stamp(when) {
			a.classes |= Write
			arg = rest
		}
	}
	switch v.path {
	case none:
		return a
	case unclear:
		a.unsure = fmt.Sprintf("the gateway cannot tell which path %s is about", ftp.Escape(verb))
		return a
	case options:
		var odd bool
		if arg, odd = withoutOptions(arg); odd {
			a.unsure = "the gateway cannot tell which paths a pattern, or a listing of whole trees, is about"
			return a
		}
	case second:
		_, arg, _ = strings.Cut(arg, " ")
	}
	if arg == "" && (verb == "STAT" || verb == "STOU") {
		if verb == "STAT" {
			return a
		}
		arg = "." // a name that the server chooses, in the current directory
	}
	a.path, a.unsure = resolve(dir, arg)
	if w := windows(arg); w != arg {
		a.other, _ = resolve(dir, w)
	}
	a.tree = verb == "RNFR" || verb == "RMDA"
	return a
}

// windows writes a path of Windows, C:\a\b, as one from the root on.
func windows(name string) string {
	name = strings.ReplaceAll(name, `\`, "/")
	if len(name) >= 2 && name[1] == ':' {
		return "/" + strings.TrimLeft(name[2:], "/")
	}
	return name
}

// stamp tells whether s is a time as MDTM and MFMT write it.
func stamp(s string) bool {
	if len(s) < 14 {
		return false
	}
	for i := range 14 {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// withoutOptions takes the options of ls off the argument of LIST; odd tells
// that more than the one path is shown: -R, or a pattern.
func withoutOptions(arg string) (path string, odd bool) {
	for strings.HasPrefix(arg, "-") {
		var word string
		word, arg, _ = strings.Cut(arg, " ")
		odd = odd || strings.Contains(word, "R")
		arg = strings.TrimLeft(arg, " ")
		if word == "--" {
			break
		}
	}
	return arg, odd || strings.ContainsAny(arg, "*?[{~")
}

// allocated reads how many bytes ALLO announces (RFC 959 4.1.3).
func allocated(arg string) (int64, bool) {
	number, _, _ := strings.Cut(strings.TrimLeft(arg, " "), " ")
	n, err := strconv.ParseInt(number, 10, 64)
	return n, err == nil && n >= 0
}
