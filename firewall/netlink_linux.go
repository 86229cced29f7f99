package firewall

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// request is what netfilter is told at once: messages, one behind the other.
// Writing one is part of each transfer through a gateway, so its pieces go
// straight into their place.
type request struct {
	b  []byte
	at []int // where the messages begin
}

func newRequest() *request { return &request{b: make([]byte, 0, 1024), at: make([]int, 0, 6)} }

// message begins the next one, of a subsystem of netfilter, about a family of
// addresses.
func (r *request) message(kind uint16, flags netlink.HeaderFlags, family byte) {
	r.begin(kind, flags, family, 0)
}

func (r *request) begin(kind uint16, flags netlink.HeaderFlags, family byte, resource uint16) {
	r.at = append(r.at, len(r.b))
	r.b = append(r.b, 0, 0, 0, 0) // the length; see end
	r.b = binary.NativeEndian.AppendUint16(r.b, kind)
	r.b = binary.NativeEndian.AppendUint16(r.b, uint16(flags|netlink.Request))
	r.b = binary.NativeEndian.AppendUint32(r.b, uint32(len(r.at))) // the number that answers to it bear
	r.b = append(r.b, 0, 0, 0, 0, family, unix.NFNETLINK_V0)
	r.b = binary.BigEndian.AppendUint16(r.b, resource)
}

// end writes how long each message is.
func (r *request) end() []byte {
	end := len(r.b)
	for i := len(r.at) - 1; i >= 0; i-- {
		binary.NativeEndian.PutUint32(r.b[r.at[i]:], uint32(end-r.at[i]))
		end = r.at[i]
	}
	return r.b
}

// nest writes an attribute that consists of those which inside writes.
func (r *request) nest(kind uint16, inside func()) {
	at := len(r.b)
	r.b = append(r.b, 0, 0, 0, 0)
	inside()
	binary.NativeEndian.PutUint16(r.b[at:], uint16(len(r.b)-at))
	binary.NativeEndian.PutUint16(r.b[at+2:], kind|unix.NLA_F_NESTED)
}

func (r *request) bytes(kind uint16, value []byte) {
	r.b = binary.NativeEndian.AppendUint16(r.b, uint16(unix.SizeofNlAttr+len(value)))
	r.b = binary.NativeEndian.AppendUint16(r.b, kind)
	r.b = append(r.b, value...)
	for len(r.b)%unix.NLA_ALIGNTO != 0 {
		r.b = append(r.b, 0)
	}
}

// Numbers of netfilter are in the byte order of the network.
func (r *request) uint8(kind uint16, n byte)    { r.bytes(kind, []byte{n}) }
func (r *request) uint16(kind, n uint16)        { r.bytes(kind, []byte{byte(n >> 8), byte(n)}) }
func (r *request) string(kind uint16, s string) { r.bytes(kind, append([]byte(s), 0)) }
func (r *request) uint32(kind uint16, n uint32) {
	r.bytes(kind, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func (r *request) uint64(kind uint16, n uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	r.bytes(kind, b[:])
}

func (r *request) address(kind uint16, a netip.Addr) {
	if b := a.As16(); a.Is4() {
		r.bytes(kind, b[12:])
	} else {
		r.bytes(kind, b[:])
	}
}

// exchange sends a request, and returns what the kernel finds wrong with each of
// its messages, and the first of that. It answers before the sending is over, so
// nothing is waited for: with 20 µs for a change, waiting would be most of it.
func exchange(c *netlink.Conn, r *request) (wrong []error, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	cerr := raw.Control(func(fd uintptr) {
		if _, err = unix.Write(int(fd), r.end()); err != nil {
			return
		}
		answer := make([]byte, 64) // what follows the error is the request, which we know
		for {
			n, rerr := unix.Read(int(fd), answer) // which does not block, as all sockets of netlink.Conn
			switch {
			case rerr == unix.EINTR:
				continue
			case rerr == unix.EAGAIN:
				return
			case rerr != nil:
				err = rerr
				return
			}
			number, refused := refusal(answer[:n])
			if refused == nil || number < 1 || number > len(r.at) {
				continue
			}
			if wrong == nil {
				wrong = make([]error, len(r.at))
			}
			wrong[number-1] = refused
		}
	})
	for _, w := range wrong {
		if err == nil {
			err = w
		}
	}
	return wrong, errors.Join(cerr, err)
}

// refusal is the error in an answer, if it is one, and the number of the message
// that it answers to.
func refusal(answer []byte) (number int, err error) {
	const header = unix.SizeofNlMsghdr
	if len(answer) < header+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return 0, nil
	}
	if code := int32(binary.NativeEndian.Uint32(answer[header:])); code != 0 {
		return int(binary.NativeEndian.Uint32(answer[8:])), unix.Errno(-code)
	}
	return 0, nil
}

// transaction has nftables do all of the messages that write adds, or none.
func transaction(c *netlink.Conn, write func(*request)) error {
	r := newRequest()
	r.begin(unix.NFNL_MSG_BATCH_BEGIN, 0, 0, unix.NFNL_SUBSYS_NFTABLES)
	write(r)
	r.begin(unix.NFNL_MSG_BATCH_END, 0, 0, unix.NFNL_SUBSYS_NFTABLES)
	_, err := exchange(c, r)
	return err
}

// change begins a message to nftables about a table of the family inet.
func (r *request) change(kind uint16, flags netlink.HeaderFlags) {
	r.message(unix.NFNL_SUBSYS_NFTABLES<<8|kind, flags, unix.NFPROTO_INET)
}
