package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"towpath/ftpclient"
	"towpath/internal/charset"
	"towpath/internal/config"
	"towpath/internal/exitcode"
)

// clientFlags are what all verbs of the client share. Short letters are those
// of BSD ftp, long names those of curl.
type clientFlags struct {
	proxyFlags
	active, passive, anonymous bool
	ipv4, ipv6                 bool
	ftpPort, iface             string
	noEPSV, noEPRT, skipPasvIP bool
	port                       uint16
	user, account              string
	netrc                      string
	noNetrc                    bool
	tls                        string
	sslReqd, insecure, sslCCC  bool
	compressed, proxyLine      bool
	ftpMethod                  string
	caFile, cert, key, pin     string
	connectTimeout, maxTime    seconds
	stallTimeout               seconds
	retry                      int
	charset                    string
	trace, silent, json        bool

	apart string // what tells sessions apart beside these flags
	taken string // letters that the verb uses otherwise
	guest *guest // of a shell that runs the verb, nil outside
}

// letter is a short flag, or none if the verb needs it for something else.
func (v *clientFlags) letter(l string) string {
	if strings.Contains(v.taken, l) {
		return ""
	}
	return l
}

// clientCommand makes a verb of the client. What is wrong with its command line
// ends it by 2, as it does curl.
func clientCommand(c cobra.Command, v *clientFlags, run func(c *cobra.Command, args []string) error) *cobra.Command {
	args := c.Args
	c.Args = func(c *cobra.Command, a []string) error {
		return clientError(exitcode.With(exitcode.Usage, args(c, a)))
	}
	c.RunE = func(c *cobra.Command, a []string) error {
		v.guest = guestOf(c.Context())
		a, err := useBookmarks(c.Flags(), a)
		if err != nil {
			return clientError(err)
		}
		return clientError(run(c, a))
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit(exitcode.Usage, err) })
	c.GroupID = clientGroup
	v.bind(c.Flags())
	return &c
}

// clientGroup is what help shows the verbs of the client together by.
const clientGroup = "client"

// clientError gives an error the code of curl.
func clientError(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*exitError](err); ok {
		return err
	}
	return exit(exitcode.Of(err), advised(err))
}

// wants checks that there are n arguments or more.
func wants(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < n {
			return fmt.Errorf("%s wants %s; see %s --help", c.Name(), what, c.CommandPath())
		}
		return nil
	}
}

func misuse(format string, a ...any) error {
	return exitcode.With(exitcode.Usage, fmt.Errorf(format, a...))
}

func (v *clientFlags) bind(f *pflag.FlagSet) {
	f.SortFlags = false
	f.BoolVarP(&v.active, "active", "A", false, "active mode: the server connects to us")
	f.BoolVarP(&v.passive, "passive", "p", false, "passive mode: we connect to the server (without either: whatever works, passive first)")
	f.StringVar(&v.ftpPort, "ftp-port", "", "active mode, announcing `ADDRESS[:LOW-HIGH]`, with ports out of that range; - is our own address, auto the one that the server sees")
	f.BoolVar(&v.noEPSV, "disable-epsv", false, "leave out EPSV, the newer way to passive mode")
	f.BoolVar(&v.noEPRT, "disable-eprt", false, "leave out EPRT, the newer way to active mode")
	f.BoolVar(&v.skipPasvIP, "ftp-skip-pasv-ip", true, "connect to the server, whatever address its 227 names; =false believes the 227")
	f.StringVar(&v.ftpMethod, "ftp-method", "", "how curl comes to a file, `multicwd|nocwd|singlecwd`: taken, and without effect, since names go whole (nocwd)")
	f.BoolVar(&v.proxyLine, "haproxy-protocol", false, "begin the control connection by a line of the PROXY protocol (v1), for a balancer that wants it")
	f.BoolVar(&v.compressed, "compressed", false, "compress what is transferred, if the server offers it (MODE Z)")
	v.proxyFlags.bind(f)
	f.BoolVarP(&v.ipv4, "ipv4", "4", false, "use IPv4 only")
	f.BoolVarP(&v.ipv6, "ipv6", "6", false, "use IPv6 only")
	f.StringVarP(&v.iface, "interface", "s", "", "connect from this local `ADDRESS`, or from that of an interface")
	f.Uint16VarP(&v.port, "port", v.letter("P"), 0, "`PORT` of URLs that name none (default 21; 990 for ftps)")
	f.BoolVarP(&v.anonymous, "anonymous", "a", false, "log in as anonymous, whatever .netrc says")
	f.StringVar(&v.user, "user", "", "log in as `NAME[:PASSWORD]`; others on this machine may see it")
	f.StringVar(&v.account, "account", "", "`ACCOUNT` for servers that ask for one")
	f.StringVarP(&v.netrc, "netrc-file", "N", "", "take logins from `FILE` (default $NETRC or ~/.netrc)")
	f.BoolVarP(&v.noNetrc, "no-netrc", v.letter("n"), false, "take no logins from any file")
	f.StringVar(&v.tls, "tls", "", "TLS for ftp:// URLs: `off|try|require`, where try goes on in clear text if it is refused")
	f.BoolVar(&v.sslReqd, "ssl-reqd", false, "the same as --tls=require")
	f.BoolVar(&v.sslCCC, "ftp-ssl-ccc", false, "end TLS on the control connection behind the login, for a NAT that must read it: names go in clear text, data does not")
	f.BoolVarP(&v.insecure, "insecure", "k", false, "believe any certificate")
	f.StringVar(&v.caFile, "cacert", "", "believe the authorities in this PEM `FILE` only")
	f.StringVar(&v.pin, "pinnedpubkey", "", "believe only a certificate whose key has this `HASH`, sha256//BASE64; with -k, that alone")
	f.StringVar(&v.cert, "cert", "", "our own certificate, a PEM `FILE`")
	f.StringVar(&v.key, "key", "", "its key, a PEM `FILE` (default that of --cert)")
	f.Var(&v.connectTimeout, "connect-timeout", "give up connecting, or waiting for a reply, after this `TIME` (default 30s)")
	f.VarP(&v.stallTimeout, "stall-timeout", "q", "give up when no byte moves for this `TIME` (default 60s)")
	f.Var(&v.maxTime, "max-time", "give all up after this `TIME`")
	f.IntVar(&v.retry, "retry", 0, "take a cut transfer up again, `N` times in a row without progress")
	f.StringVar(&v.charset, "charset", "", "file names on the server are in the charset `NAME` (default UTF-8)")
	f.BoolVarP(&v.trace, "trace", v.letter("v"), false, "show the dialogue, and what it means, on standard error")
	f.BoolVar(&v.json, "json", false, "write JSON, one object in each line")
	f.BoolVarP(&v.silent, "silent", v.letter("V"), false, "show no progress")
}

// options makes of the flags what all sessions have in common.
func (v *clientFlags) options() (o ftpclient.Options, err error) {
	o.Account = v.account
	o.Timeout, o.StallTimeout = time.Duration(v.connectTimeout), time.Duration(v.stallTimeout)
	o.AllowForeign = !v.skipPasvIP
	o.Deflate, o.ProxyLine = v.compressed, v.proxyLine
	switch v.ftpMethod {
	case "", "multicwd", "nocwd", "singlecwd":
	default:
		return o, misuse("--ftp-method %q: want multicwd, nocwd or singlecwd", v.ftpMethod)
	}
	if v.retry < 0 {
		return o, misuse("--retry %d: want 0 or more", v.retry)
	}
	o.Retries = v.retry
	if o.Mode, err = v.mode(os.Getenv("FTPMODE")); err != nil {
		return o, err
	}
	if v.noEPSV {
		o.Avoid = append(o.Avoid, ftpclient.EPSV)
	}
	if v.noEPRT {
		o.Avoid = append(o.Avoid, ftpclient.EPRT)
	}
	if v.ftpPort != "" {
		address, ports, err := parseFTPPort(v.ftpPort)
		if err != nil {
			return o, err
		}
		o.ActiveAddress, o.ActivePorts = address, ports
		o.LearnAddress = v.ftpPort == "auto" || strings.HasPrefix(v.ftpPort, "auto:")
	}
	if v.iface != "" {
		if o.LocalAddr, err = localAddr(v.iface, v.ipv4, v.ipv6); err != nil {
			return o, err
		}
	}
	switch {
	case v.ipv4 && v.ipv6:
		return o, misuse("-4 and -6 cannot both be meant")
	case v.ipv4:
		o.Dialer, o.LocalAddr = onlyFamily("tcp4", o.LocalAddr), netip.Addr{}
	case v.ipv6:
		o.Dialer, o.LocalAddr = onlyFamily("tcp6", o.LocalAddr), netip.Addr{}
	}
	if v.charset != "" {
		c, err := charset.Lookup(v.charset)
		if err != nil {
			return o, misuse("--charset: %w", err)
		}
		o.Charset = c
	}
	o.TLSConfig, err = v.tlsConfig(os.Getenv("SSLKEYLOGFILE"))
	return o, err
}

// onlyFamily dials addresses of one family, "tcp4" or "tcp6".
func onlyFamily(family string, from netip.Addr) *net.Dialer {
	d := &net.Dialer{ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
		if network != family {
			return fmt.Errorf("%s is not for -%s", address, strings.TrimPrefix(family, "tcp"))
		}
		return nil
	}}
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	return d
}

// mode is what the flags say, or else $FTPMODE.
func (v *clientFlags) mode(env string) (ftpclient.Mode, error) {
	active, passive := v.active || v.ftpPort != "", v.passive
	if active && passive {
		return 0, misuse("-A and -p cannot both be meant; without either, what works is found out")
	}
	if !active && !passive {
		switch env {
		case "", "auto":
		case "active":
			active = true
		case "passive":
			passive = true
		default:
			return 0, misuse("FTPMODE is %q; want auto, active or passive", env)
		}
	}
	switch {
	case active:
		return ftpclient.Active, nil
	case passive:
		return ftpclient.Passive, nil
	}
	return ftpclient.Auto, nil
}

// parseFTPPort reads what curl takes for --ftp-port: "-", an address, or either
// with ":LOW-HIGH" behind it. An IPv6 address with ports is in brackets. With us
// it may be "auto", too.
func parseFTPPort(s string) (a netip.Addr, r ftpclient.PortRange, err error) {
	host, ports := s, ""
	switch i := strings.LastIndexByte(s, ':'); {
	case strings.HasPrefix(s, "["):
		var closed, colon bool
		host, ports, closed = strings.Cut(s[1:], "]")
		ports, colon = strings.CutPrefix(ports, ":")
		if !closed || ports != "" && !colon {
			return a, r, misuse("--ftp-port %q: want [ADDRESS]:LOW-HIGH", s)
		}
	case i >= 0 && strings.Count(s, ":") == 1:
		host, ports = s[:i], s[i+1:]
	}
	if host != "-" && host != "" && host != "auto" {
		if a, err = netip.ParseAddr(host); err != nil {
			return a, r, misuse("--ftp-port %q: want an IP address to announce, - for our own, or auto", s)
		}
	}
	if ports != "" {
		p, err := config.ParsePorts(ports)
		if err != nil {
			return a, r, misuse("--ftp-port %q: %w", s, err)
		}
		r = ftpclient.PortRange{Low: p.Low, High: p.High}
	}
	return a, r, nil
}

// authorities reads the file that a flag names; without one they are those of the
// system.
func authorities(flag, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, misuse("%s: %w", flag, err)
	}
	all := x509.NewCertPool()
	if !all.AppendCertsFromPEM(pem) {
		return nil, misuse("%s %s: no certificate in it; want a PEM file", flag, file)
	}
	return all, nil
}

// tlsConfig is how certificates are looked at.
func (v *clientFlags) tlsConfig(keyLog string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: v.insecure}
	var err error
	if c.RootCAs, err = authorities("--cacert", v.caFile); err != nil {
		return nil, err
	}
	if v.key != "" && v.cert == "" {
		return nil, misuse("--key is set and --cert is not; want both")
	}
	if v.cert != "" {
		key := v.key
		if key == "" {
			key = v.cert
		}
		pair, err := tls.LoadX509KeyPair(v.cert, key)
		if err != nil {
			return nil, misuse("--cert %s: %w", v.cert, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if v.pin != "" {
		want, err := parsePin("--pinnedpubkey", v.pin)
		if err != nil {
			return nil, err
		}
		c.VerifyConnection = func(s tls.ConnectionState) error { return checkPin("--pinnedpubkey", s, want) }
	}
	if keyLog != "" {
		f, err := os.OpenFile(keyLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, misuse("SSLKEYLOGFILE: %w", err)
		}
		c.KeyLogWriter = f // open until the end of the process
	}
	return c, nil
}

// parsePin reads what a flag says: sha256// and the hash of a public key.
func parsePin(flag, s string) (sum [sha256.Size]byte, err error) {
	text, ok := strings.CutPrefix(s, "sha256//")
	b, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(b) != len(sum) {
		return sum, misuse("%s %q: want sha256// and the SHA-256 of the public key in base64", flag, s)
	}
	return [sha256.Size]byte(b), nil
}

func checkPin(flag string, s tls.ConnectionState, want [sha256.Size]byte) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the server showed no certificate")
	}
	got := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
	if got == want {
		return nil
	}
	return exitcode.With(exitcode.Certificate, fmt.Errorf("the server's key is sha256//%s, another than %s says",
		base64.StdEncoding.EncodeToString(got[:]), flag))
}

// seconds is a time as curl takes it, in seconds with or without a fraction, or
// as Go writes it: 90, 1.5, 1m30s.
type seconds time.Duration

func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if n, nerr := strconv.ParseFloat(text, 64); nerr == nil {
		d, err = 0, nil
		if n < math.MaxInt32 { // nor NaN
			d = time.Duration(n * float64(time.Second))
		}
	}
	if err != nil || d <= 0 {
		return fmt.Errorf("%q: want seconds, or a time such as 1m30s, more than 0", text)
	}
	*s = seconds(d)
	return nil
}

func (s *seconds) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

func (s *seconds) Type() string { return "time" }
