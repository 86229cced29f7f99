package firewall

import (
	"encoding/binary"
	"errors"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// exchange sends messages to netfilter in one go, and returns what the kernel
// finds wrong with any of them. It answers before the sending is over, so
// nothing is waited for: with 20 µs for a change, waiting would be most of it.
func exchange(c *netlink.Conn, messages ...netlink.Message) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var request []byte
	for i, m := range messages {
		m.Data = append(m.Data[:len(m.Data):len(m.Data)], make([]byte, -len(m.Data)&3)...)
		m.Header.Length = uint32(unix.SizeofNlMsghdr + len(m.Data))
		m.Header.Sequence = uint32(i + 1)
		b, err := m.MarshalBinary()
		if err != nil {
			return err
		}
		request = append(request, b...)
	}
	var wrong error
	err = raw.Control(func(fd uintptr) {
		if wrong = unix.Sendto(int(fd), request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); wrong != nil {
			return
		}
		answer := make([]byte, 8192) // more than any: requests are quoted
		for {
			n, _, err := unix.Recvfrom(int(fd), answer, unix.MSG_DONTWAIT)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				if wrong == nil && !errors.Is(err, unix.EAGAIN) {
					wrong = err
				}
				return
			}
			if refused := refusal(answer[:n]); wrong == nil {
				wrong = refused
			}
		}
	})
	return errors.Join(err, wrong)
}

// refusal is the error in an answer, if it is one.
func refusal(answer []byte) error {
	const header = unix.SizeofNlMsghdr
	if len(answer) < header+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return nil
	}
	if code := int32(binary.NativeEndian.Uint32(answer[header:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// transaction has nftables do all of the messages, or none.
func transaction(c *netlink.Conn, messages ...netlink.Message) error {
	mark := func(kind netlink.HeaderType) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: kind, Flags: netlink.Request},
			Data:   binary.BigEndian.AppendUint16([]byte{0, unix.NFNETLINK_V0}, unix.NFNL_SUBSYS_NFTABLES),
		}
	}
	all := append([]netlink.Message{mark(unix.NFNL_MSG_BATCH_BEGIN)}, messages...)
	return exchange(c, append(all, mark(unix.NFNL_MSG_BATCH_END))...)
}

// change is a message to nftables about a table of the family inet.
func change(kind netlink.HeaderType, flags netlink.HeaderFlags, attributes func(*netlink.AttributeEncoder)) (netlink.Message, error) {
	e := netlink.NewAttributeEncoder()
	e.ByteOrder = binary.BigEndian
	attributes(e)
	b, err := e.Encode()
	return netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, Flags: netlink.Request | flags},
		Data:   append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, b...),
	}, err
}
