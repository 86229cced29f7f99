package records

import "net"

// OneByOne hands TLS at most the rest of one record at a time, so that
// crypto/tls never takes clear text that follows a close_notify (CCC).
func OneByOne(c net.Conn) net.Conn { return &reader{Conn: c} }

type reader struct {
	net.Conn
	head [5]byte
	have int // bytes of head read
	left int // bytes of the record still to come, head included
}

func (r *reader) Read(p []byte) (int, error) {
	if r.left == 0 {
		r.have = 0
		r.left = len(r.head)
	}
	n, err := r.Conn.Read(p[:min(len(p), r.left)])
	if r.have < len(r.head) {
		r.have += copy(r.head[r.have:], p[:n])
		r.left -= n
		if r.have == len(r.head) {
			r.left = int(r.head[3])<<8 | int(r.head[4])
		}
		return n, err
	}
	r.left -= n
	return n, err
}
