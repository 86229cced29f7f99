package interop

import (
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The clients, each in its own words. A program is told the whole session by
// one command line, or by what a person would type.
var clients = []client{
	curl, wget, aria2, lftp, rclone,
	rcloneBound, tnftp, inetutils, ncftp, busybox,
	ftplib, ftplibBound, netFTP, netFTPTLS,
}

// url is where name is, for programs that are told all in one argument.
func (v *visit) url(scheme, name string) string {
	u := url.URL{Scheme: scheme, User: url.UserPassword(user, password), Host: v.addr, Path: "/" + name}
	return u.String()
}

// port is that of the server.
func (v *visit) port() string {
	_, port, err := net.SplitHostPort(v.addr)
	if err != nil {
		v.t.Fatal(err)
	}
	return port
}

// each makes a call for each name.
func each(one func(v *visit, name string) call) func(*visit, ...string) []call {
	return func(v *visit, names ...string) []call {
		var all []call
		for _, name := range names {
			all = append(all, one(v, name))
		}
		return all
	}
}

func curlCall(v *visit, more ...string) call {
	args := []string{"curl", "--disable", "--silent", "--show-error", "--max-time", "10"}
	if v.mode == "active" {
		args = append(args, "--ftp-port", "-")
	}
	switch v.tls {
	case "tls12":
		args = append(args, "--ssl-reqd", "--cacert", certFile, "--tlsv1.2", "--tls-max", "1.2")
	case "tls13":
		args = append(args, "--ssl-reqd", "--cacert", certFile, "--tlsv1.3")
	}
	return call{args: append(args, more...)}
}

var curl = client{
	name: "curl", programs: []string{"curl"}, pkg: "curl",
	ways:  also6("passive active", ways("passive active", "clear tls12 tls13")),
	binds: []string{"tls13"}, // OpenSSL's session identifiers without tickets, in 1.2
	fault: curlFault,
	list:  func(v *visit, dir string) call { return curlCall(v, v.url("ftp", dir+"/")) },
	send: func(v *visit, names ...string) []call {
		var args []string
		for _, name := range names {
			args = append(args, "--upload-file", strings.NewReplacer("[", `\[`, "]", `\]`).Replace(v.local(name)), v.url("ftp", name))
		}
		return []call{curlCall(v, args...)}
	},
	fetch: func(v *visit, names ...string) []call {
		var args []string
		for _, name := range names {
			args = append(args, "--output", v.local(name), v.url("ftp", name))
		}
		return []call{curlCall(v, args...)}
	},
	resend: func(v *visit, name string) call {
		return curlCall(v, "--continue-at", "-", "--upload-file", v.local(name), v.url("ftp", name))
	},
	refetch: func(v *visit, name string) call {
		return curlCall(v, "--continue-at", "-", "--output", v.local(name), v.url("ftp", name))
	},
	remove: func(v *visit, name string) call { return curlCall(v, "--quote", "DELE "+name, v.url("ftp", "")) },
	mkdir:  func(v *visit, name string) call { return curlCall(v, "--quote", "MKD "+name, v.url("ftp", "")) },
	rename: func(v *visit, from, to string) call {
		return curlCall(v, "--quote", "RNFR "+from, "--quote", "RNTO "+to, v.url("ftp", ""))
	},
}

// curlFault knows two releases that never start TLS on an active data
// connection, and wait (curl#10666).
func curlFault(t *testing.T, w way, _ string) string {
	if w.mode == "passive" || w.tls == "clear" {
		return ""
	}
	out, err := exec.CommandContext(t.Context(), "curl", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if v := string(out); strings.HasPrefix(v, "curl 7.87.") || strings.HasPrefix(v, "curl 7.88.") {
		return "curl 7.87 and 7.88 never start TLS on active data connections"
	}
	return ""
}

// wgetURL has the scheme that makes wget send AUTH TLS.
func wgetURL(v *visit, name string) string {
	if v.tls == "clear" {
		return v.url("ftp", name)
	}
	return v.url("ftps", name)
}

func wgetCall(v *visit, more ...string) call {
	args := []string{"wget", "--no-config", "--no-verbose", "--tries=1", "--timeout=30", "--no-proxy"}
	if v.mode == "active" {
		args = append(args, "--no-passive-ftp")
	}
	switch v.tls {
	case "tls12":
		args = append(args, "--secure-protocol=TLSv1_2", "--ca-certificate="+certFile)
	case "tls13":
		args = append(args, "--secure-protocol=TLSv1_3", "--ca-certificate="+certFile)
	}
	return call{args: append(args, more...)}
}

var wget = client{
	name: "wget", programs: []string{"wget"}, pkg: "wget",
	ways:  also6("passive active", ways("passive active", "clear tls12 tls13")),
	binds: []string{"tls12", "tls13"},
	list: func(v *visit, dir string) call {
		return wgetCall(v, "--output-document=-", wgetURL(v, dir+"/"))
	},
	fetch: each(func(v *visit, name string) call {
		return wgetCall(v, "--output-document="+v.local(name), wgetURL(v, name))
	}),
	refetch: func(v *visit, name string) call { return wgetCall(v, "--continue", wgetURL(v, name)) },
	mirrorDown: func(v *visit, dir string) []call {
		return []call{wgetCall(v, "--recursive", "--no-host-directories", "--restrict-file-names=nocontrol", wgetURL(v, dir+"/"))}
	},
}

func aria2Call(v *visit, name string, more ...string) call {
	args := []string{
		// aria2 1.36 misses a 226 that it has read along with the 150, and waits
		// for it until the time is over: then the next try finds all there.
		"aria2c", "--no-conf", "--quiet", "--file-allocation=none", "--max-tries=5", "--timeout=2",
		"--dir=" + v.dir, "--out=" + name, "--ftp-type=binary", "--ftp-pasv=" + strconv.FormatBool(v.mode == "passive"),
	}
	return call{args: append(append(args, more...), v.url("ftp", name))}
}

var aria2 = client{
	name: "aria2", programs: []string{"aria2c"}, pkg: "aria2",
	ways:    also6("passive active", ways("passive active", "clear")),
	fetch:   each(func(v *visit, name string) call { return aria2Call(v, name, "--split=4", "--min-split-size=1M") }),
	refetch: func(v *visit, name string) call { return aria2Call(v, name, "--continue") },
}

func lftpCall(v *visit, command string, names ...string) call {
	settings := fmt.Sprintf("set cmd:fail-exit yes; set net:max-retries 1; set net:timeout 30; set ftp:passive-mode %t; set ftp:auto-passive-mode no; ", v.mode == "passive")
	if v.tls == "clear" {
		settings += "set ftp:ssl-allow no; "
	} else {
		settings += fmt.Sprintf("set ftp:ssl-force yes; set ftp:ssl-protect-list yes; set ftp:ssl-protect-data yes; set ssl:ca-file %s; set ssl:priority NORMAL:-VERS-ALL:+VERS-TLS1.%s; ",
			certFile, strings.TrimPrefix(v.tls, "tls1"))
	}
	open := fmt.Sprintf("open -u %s,%s ftp://%s; ", user, password, v.addr)
	return run("lftp", "--norc", "-c", settings+open+quoted(command, names...))
}

var lftp = client{
	name: "lftp", programs: []string{"lftp"}, pkg: "lftp",
	ways:    also6("passive active", ways("passive active", "clear tls12 tls13")),
	binds:   []string{"tls12", "tls13"},
	list:    func(v *visit, dir string) call { return lftpCall(v, "cls -1", dir) },
	send:    func(v *visit, names ...string) []call { return []call{lftpCall(v, "put", names...)} },
	fetch:   func(v *visit, names ...string) []call { return []call{lftpCall(v, "get", names...)} },
	resend:  func(v *visit, name string) call { return lftpCall(v, "put -c", name) },
	refetch: func(v *visit, name string) call { return lftpCall(v, "get -c", name) },
	remove:  func(v *visit, name string) call { return lftpCall(v, "rm", name) },
	mkdir:   func(v *visit, name string) call { return lftpCall(v, "mkdir", name) },
	rename:  func(v *visit, from, to string) call { return lftpCall(v, "mv", from, to) },
	mirrorUp: func(v *visit, dir string) []call {
		return []call{lftpCall(v, "mirror --reverse --parallel=2", dir, dir)}
	},
	mirrorDown: func(v *visit, dir string) []call {
		return []call{lftpCall(v, "mirror --parallel=2", dir, dir)}
	},
}

// quoted is a command with names in quotes behind it.
func quoted(command string, names ...string) string {
	for _, name := range names {
		command += ` "` + name + `"`
	}
	return command
}

func rcloneCall(v *visit, verb string, args ...string) call {
	at := fmt.Sprintf(":ftp,host=%q,port=%s,user=%s,pass=%s", strings.TrimSuffix(v.addr, ":"+v.port()), v.port(), user, obscured)
	if v.tls != "clear" {
		at += fmt.Sprintf(",explicit_tls=true,disable_tls13=%t", v.tls == "tls12")
	}
	c := []string{"rclone", verb, "--config", "/dev/null", "--retries", "1", "--low-level-retries", "1", "--multi-thread-streams", "0", "--timeout", "10s"}
	for _, a := range args {
		c = append(c, strings.Replace(a, "server:", at+":", 1))
	}
	return call{args: c}
}

// obscured is [password] in the form that rclone keeps.
const obscured = "95T7mhNa1wnni4hyhbzTK3SS6Nk"

var rclone = client{
	name: "rclone", programs: []string{"rclone"}, pkg: "rclone",
	ways:   also6("passive", ways("passive", "clear tls12 tls13")),
	list:   func(v *visit, dir string) call { return rcloneCall(v, "lsf", "server:"+dir) },
	send:   each(func(v *visit, name string) call { return rcloneCall(v, "copyto", v.local(name), "server:"+name) }),
	fetch:  each(func(v *visit, name string) call { return rcloneCall(v, "copyto", "server:"+name, v.local(name)) }),
	remove: func(v *visit, name string) call { return rcloneCall(v, "deletefile", "server:"+name) },
	mkdir:  func(v *visit, name string) call { return rcloneCall(v, "mkdir", "server:"+name) },
	rename: func(v *visit, from, to string) call { return rcloneCall(v, "moveto", "server:"+from, "server:"+to) },
	mirrorUp: func(v *visit, dir string) []call {
		return []call{rcloneCall(v, "copy", v.local(dir), "server:"+dir), rcloneCall(v, "check", "--download", v.local(dir), "server:"+dir)}
	},
	mirrorDown: func(v *visit, dir string) []call {
		return []call{rcloneCall(v, "copy", "server:"+dir, v.local(dir)), rcloneCall(v, "check", "--download", "server:"+dir, v.local(dir))}
	},
}

// rcloneBound moves one file at a time. With more it keeps several sessions
// and resumes on one what began on another.
var rcloneBound = func() client {
	c := rclone
	c.name, c.ways, c.binds = "rclone-bound", ways("passive", "tls12 tls13"), []string{"tls12", "tls13"}
	c.mirrorUp, c.mirrorDown = nil, nil
	return c
}()

// typed is what a person types into one of the old interactive programs.
// They exit with 0 whatever happens; the files tell.
func typed(v *visit, program string, flags []string, lines ...string) call {
	args := append(append([]string{program}, flags...), v.host, v.port())
	login := []string{"user " + user + " " + password, "binary"}
	return call{args: args, stdin: strings.Join(append(append(login, lines...), "quit", ""), "\n")}
}

// typist is a client that is typed to in the manner of BSD's ftp.
func typist(name, program, pkg string, flags func(v *visit) []string) client {
	talk := func(v *visit, lines ...string) call { return typed(v, program, flags(v), lines...) }
	all := func(verb string) func(*visit, ...string) []call {
		return func(v *visit, names ...string) []call {
			var lines []string
			for _, name := range names {
				lines = append(lines, quoted(verb, name))
			}
			return []call{talk(v, lines...)}
		}
	}
	one := func(verb string) func(*visit, string) call {
		return func(v *visit, name string) call { return talk(v, quoted(verb, name)) }
	}
	return client{
		name: name, programs: []string{program}, pkg: pkg,
		ways: also6("passive active", ways("passive active", "clear")),
		list: one("ls"), send: all("put"), fetch: all("get"),
		refetch: one("reget"), remove: one("delete"), mkdir: one("mkdir"),
		resend: func(v *visit, name string) call {
			return talk(v, fmt.Sprintf("restart %d", len(sea)/2), quoted("put", name))
		},
		rename: func(v *visit, from, to string) call { return talk(v, quoted("rename", from, to)) },
	}
}

var tnftp = typist("tnftp", "tnftp", "tnftp", func(v *visit) []string {
	if v.mode == "active" {
		return []string{"-n", "-i", "-v", "-A"}
	}
	return []string{"-n", "-i", "-v", "-p"}
})

var inetutils = typist("inetutils-ftp", "inetutils-ftp", "inetutils-ftp", func(v *visit) []string {
	if v.mode == "active" {
		return []string{"-n", "-i", "-v", "--active"}
	}
	return []string{"-n", "-i", "-v", "--passive"}
})

func ncftpCall(v *visit, program string, args ...string) call {
	mode := "-F"
	if v.mode == "active" {
		mode = "-E"
	}
	c := []string{program, mode, "-u", user, "-p", password, "-P", v.port(), "-t", "30", "-r", "0"}
	return run(append(c, args...)...)
}

var ncftp = client{
	name: "ncftp", programs: []string{"ncftpls", "ncftpget", "ncftpput"}, pkg: "ncftp",
	ways: ways("passive active", "clear"), // it speaks no IPv6
	list: func(v *visit, dir string) call {
		return ncftpCall(v, "ncftpls", "-1", "ftp://"+v.host+"/"+dir+"/")
	},
	send: each(func(v *visit, name string) call {
		return ncftpCall(v, "ncftpput", "-V", "-C", v.host, v.local(name), "/"+name)
	}),
	fetch: each(func(v *visit, name string) call {
		return ncftpCall(v, "ncftpget", "-V", "-C", v.host, "/"+name, v.local(name))
	}),
	// ncftpput -z sends REST and then the whole file from its start, which no
	// server can tell from what it should have sent: no resend.
	refetch: func(v *visit, name string) call {
		return ncftpCall(v, "ncftpget", "-V", "-z", v.host, v.dir, "/"+name)
	},
	mirrorUp: func(v *visit, dir string) []call {
		return []call{ncftpCall(v, "ncftpput", "-V", "-R", v.host, "/", v.local(dir))}
	},
	mirrorDown: func(v *visit, dir string) []call {
		return []call{ncftpCall(v, "ncftpget", "-V", "-R", "-T", v.host, v.dir, "/"+dir)}
	},
}

var busybox = client{
	name: "busybox", programs: []string{"busybox"}, probe: []string{"busybox", "ftpget", "--help"}, pkg: "busybox",
	ways: also6("passive", ways("passive", "clear")),
	send: each(func(v *visit, name string) call {
		return run("busybox", "ftpput", "-u", user, "-p", password, "-P", v.port(), v.host, name, v.local(name))
	}),
	fetch: each(func(v *visit, name string) call {
		return run("busybox", "ftpget", "-u", user, "-p", password, "-P", v.port(), v.host, v.local(name), name)
	}),
	refetch: func(v *visit, name string) call {
		return run("busybox", "ftpget", "-c", "-u", user, "-p", password, "-P", v.port(), v.host, v.local(name), name)
	},
}

// script is a client that is a library of a language, with a program of ours
// in testdata around it.
func script(interpreter, file string, words ...string) client {
	step := func(v *visit, step string, names ...string) call {
		program, err := filepath.Abs(filepath.Join("testdata", file))
		if err != nil {
			v.t.Fatal(err)
		}
		how := strings.Join(append([]string{v.mode, v.tls}, words...), " ")
		return run(append([]string{interpreter, program, v.host, v.port(), certFile, how, step}, names...)...)
	}
	one := func(verb string) func(*visit, string) call {
		return func(v *visit, name string) call { return step(v, verb, name) }
	}
	all := func(verb string) func(*visit, ...string) []call {
		return func(v *visit, names ...string) []call { return []call{step(v, verb, names...)} }
	}
	return client{
		programs: []string{interpreter},
		list:     one("list"), send: all("send"), fetch: all("fetch"),
		resend: one("resend"), refetch: one("refetch"), remove: one("remove"), mkdir: one("mkdir"),
		rename: func(v *visit, from, to string) call { return step(v, "rename", from, to) },
	}
}

var ftplib = func() client {
	c := script("python3", "session.py")
	c.name, c.pkg, c.probe = "ftplib", "python3", []string{"python3", "-c", "import ftplib, ssl"}
	c.ways = also6("passive active", ways("passive active", "clear tls12 tls13"))
	return c
}()

// ftplibBound is what people write who must resume the session.
var ftplibBound = func() client {
	c := script("python3", "session.py", "bound")
	c.name, c.pkg, c.probe = "ftplib-bound", "python3", []string{"python3", "-c", "import ftplib, ssl"}
	c.ways = ways("passive", "tls12 tls13")
	c.binds = []string{"tls12", "tls13"}
	return c
}()

var netFTP = func() client {
	c := script("perl", "session.pl")
	c.name, c.pkg, c.probe = "Net::FTP", "perl", []string{"perl", "-MNet::FTP", "-e", "1"}
	c.ways = also6("passive active", ways("passive active", "clear"))
	return c
}()

var netFTPTLS = func() client {
	c := script("perl", "session.pl")
	c.name, c.pkg, c.probe = "Net::FTP-TLS", "libio-socket-ssl-perl", []string{"perl", "-MNet::FTP", "-MIO::Socket::SSL", "-e", "1"}
	c.ways = ways("passive active", "tls12 tls13")
	c.fault = func(_ *testing.T, w way, step string) string {
		if w.tls == "tls13" && strings.HasSuffix(step, "send") {
			return "Net::FTP closes uploads with session tickets unread, which resets them"
		}
		return ""
	}
	return c
}()

// The names of clients are the names of tests, and are told apart by them.
func TestClientNames(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, c := range clients {
		if seen[c.name] || c.name == "" || len(c.programs) == 0 || c.pkg == "" || len(c.ways) == 0 {
			t.Errorf("client %q: named twice, or something is not said", c.name)
		}
		seen[c.name] = true
	}
}
