package explain

import "fmt"

// resumption says whether the TLS of a connection goes on with an earlier
// session, out of how each side begins: many servers want the data connection to
// resume the session of the control connection, to know that it is the same
// client (vsftpd, ProFTPD, FileZilla Server). It is not known if too little of
// the handshake is there.
func resumption(client, server []byte) (resumed, known bool) {
	mine, _, ok := hello(client, 1)
	if !ok {
		return false, false
	}
	theirs, rest, ok := hello(server, 2)
	if !ok || len(rest) < 3 {
		return false, false
	}
	rest = rest[3:] // cipher suite and compression
	var extensions []byte
	if len(rest) >= 2 {
		n := int(rest[0])<<8 | int(rest[1])
		if extensions = rest[2:]; len(extensions) < n {
			return false, false
		}
		extensions = extensions[:n]
	}
	newest, shared := false, false
	for len(extensions) >= 4 {
		n := int(extensions[2])<<8 | int(extensions[3])
		if len(extensions) < 4+n {
			break
		}
		switch int(extensions[0])<<8 | int(extensions[1]) {
		case 41: // pre_shared_key (RFC 8446 4.2.11)
			shared = true
		case 43: // supported_versions: TLS 1.3
			newest = true
		}
		extensions = extensions[4+n:]
	}
	if newest {
		return shared, true
	}
	// Up to TLS 1.2 the server repeats the ID that the client has offered (RFC
	// 5246 7.4.1.3); with a ticket too (RFC 5077 3.4).
	return len(mine) > 0 && string(mine) == string(theirs), true
}

// resumption is that of the data connection, whoever of its ends is the client
// of TLS: that is the client of the session, in active mode too.
func (d *deal) resumption() (resumed, known bool) {
	l := d.best()
	if resumed, known = resumption(l.head[0], l.head[1]); !known {
		resumed, known = resumption(l.head[1], l.head[0])
	}
	return resumed, known
}

// hello finds the session ID in a hello message, 1 of a client or 2 of a server,
// and what is behind it.
func hello(b []byte, kind byte) (id, rest []byte, ok bool) {
	const before = 5 + 4 + 2 + 32 // record, message, version, random
	if len(b) <= before || b[0] != 22 || b[1] != 3 || b[5] != kind {
		return nil, nil, false
	}
	n := int(b[before])
	if b = b[before+1:]; len(b) < n {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// Kinds of records that tell something though they cannot be read (RFC 8446 5.1).
const (
	tlsAlert = 21
	tlsData  = 23
)

// refusal says why a handshake was broken off, if that has just been said in
// clear text: an alert that is encrypted is longer, or looks like data.
func (r *records) refusal() (why string, fatal bool) {
	const fatally = 2
	if len(r.alert) < 2 {
		return "", false
	}
	level, what := r.alert[0], r.alert[1]
	r.alert = nil
	if level != fatally || r.agreed {
		return "", false
	}
	if name, known := alerts[what]; known {
		return name, true
	}
	return fmt.Sprintf("alert %d", what), true
}

// alerts are the names of those that end handshakes (RFC 8446 6.2).
var alerts = map[byte]string{
	10: "unexpected_message", 40: "handshake_failure", 42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked",
	45: "certificate_expired", 46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied",
	50: "decode_error", 51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
	86: "inappropriate_fallback", 109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name",
	116: "certificate_required", 120: "no_application_protocol",
}
