package proxy

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
)

// HTTP reaches hosts through the CONNECT of an HTTP proxy. Names are left to
// the proxy. It cannot take connections for us.
type HTTP struct {
	// Addr is the proxy's, "host:port".
	Addr string
	// Secure speaks TLS with the proxy, as https:// proxies want it, by
	// TLSConfig or its default. ServerName is set to the host of Addr if it
	// is empty.
	Secure    bool
	TLSConfig *tls.Config
	// User and Password are sent at once (Basic, RFC 7617), and may be read
	// on the way unless the proxy is Secure.
	User, Password string
	// Forward reaches the proxy. Default: a net.Dialer.
	Forward ContextDialer
}

// maxHeader bounds what a proxy says before the far end speaks.
const maxHeader = 16 << 10

// DialContext opens a TCP connection to address through the proxy.
func (p *HTTP) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || strings.ContainsAny(host+port, " \t\r\n\x00/") || host == "" {
		return nil, fmt.Errorf("proxy %s, asked for %q: want host:port", p.Addr, address)
	}
	if !strings.HasPrefix(network, "tcp") {
		return nil, fmt.Errorf("proxy %s: %s is not carried; want tcp", p.Addr, network)
	}
	ip, _ := netip.ParseAddr(host) // not valid if it is a name
	return reach(ctx, p.Forward, p.Addr, address, func(c net.Conn) (net.Conn, error) {
		if p.Secure {
			if c, err = p.protect(ctx, c); err != nil {
				return nil, err
			}
		}
		if _, err := io.WriteString(c, p.request(address)); err != nil {
			return nil, err
		}
		if err := readAnswer(c); err != nil {
			return nil, err
		}
		return &Conn{c, ip.Unmap()}, nil
	})
}

func (p *HTTP) protect(ctx context.Context, c net.Conn) (net.Conn, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.TLSConfig != nil {
		config = p.TLSConfig.Clone()
	}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(p.Addr) // it was dialled
	}
	t := tls.Client(c, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS with the proxy: %w", err)
	}
	return t, nil
}

func (p *HTTP) request(address string) string {
	login := ""
	if p.User != "" || p.Password != "" {
		login = "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(p.User+":"+p.Password)) + "\r\n"
	}
	return "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n" + login + "\r\n"
}

// readAnswer reads the header behind CONNECT, and not one byte more: what
// follows a 2xx belongs to the far end (RFC 9110 9.3.6), whose greeting may be
// there already.
func readAnswer(r io.Reader) error {
	left := maxHeader
	for {
		line, err := readLine(r, &left)
		if err != nil {
			return err
		}
		code, err := parseStatus(line)
		if err != nil {
			return err
		}
		for line != "" {
			if line, err = readLine(r, &left); err != nil {
				return err
			}
		}
		switch {
		case code/100 == 1: // RFC 9110 15.2: any number of them may come before
		case code/100 == 2:
			return nil
		case code == 407:
			return fmt.Errorf("%w: %d", ErrLogin, code)
		default:
			return statusError(code)
		}
	}
}

// statusError is the status by which an HTTP proxy says no.
type statusError int

func (e statusError) Error() string {
	switch e {
	case 400, 405, 501:
		return fmt.Sprintf("HTTP status %d: it does not know CONNECT", int(e))
	case 403:
		return "HTTP status 403: its rules do not allow it; many proxies let CONNECT pass to port 443 alone"
	case 502, 503, 504:
		return fmt.Sprintf("HTTP status %d: it cannot reach the host", int(e))
	}
	return fmt.Sprintf("HTTP status %d", int(e))
}

// readLine reads a line byte by byte, without its end.
func readLine(r io.Reader, left *int) (string, error) {
	var b [1]byte
	var line []byte
	for {
		if *left == 0 {
			return "", fmt.Errorf("%w: a header of more than %d bytes", ErrProtocol, maxHeader)
		}
		*left--
		if err := readFull(r, b[:]); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		line = append(line, b[0])
	}
}

// parseStatus reads "HTTP/1.1 200 Connection established". Of the text behind
// the number nothing is believed.
func parseStatus(line string) (int, error) {
	rest, ok := strings.CutPrefix(line, "HTTP/1.")
	if ok && len(rest) >= 5 && isDigit(rest[0]) && rest[1] == ' ' && (len(rest) == 5 || rest[5] == ' ') &&
		'1' <= rest[2] && rest[2] <= '5' && isDigit(rest[3]) && isDigit(rest[4]) {
		return int(rest[2]-'0')*100 + int(rest[3]-'0')*10 + int(rest[4]-'0'), nil
	}
	return 0, fmt.Errorf("%w: it begins %q; want HTTP/1.1 and a status", ErrProtocol, line[:min(len(line), 40)])
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
