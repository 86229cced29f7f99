package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Live listens on an interface until ctx ends; "any" is all of them. It needs
// CAP_NET_RAW. Packets reach us through memory shared with the kernel
// (TPACKET_V3), without a system call for each.
func Live(ctx context.Context, name string, o LiveOptions) (Source, error) {
	l := &live{ctx: ctx, snap: o.Snap}
	if err := l.open(name, o); err != nil {
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w: it needs CAP_NET_RAW (setcap cap_net_raw+ep, or root)", err)
		}
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", name, err), l.Close())
	}
	return l, nil
}

type live struct {
	ctx    context.Context
	socket *os.File
	ring   []byte
	snap   int
	place  Interface
	cooked bool // each packet gets a header of its own, LinkSLL2

	dropped int64
	packet  Packet
}

const (
	blockSize = 1 << 20
	// room is what the kernel leaves before each packet, for a cooked header.
	room = 32
	// blockTime is how long a packet may wait for others in its block.
	blockTime = 50 // ms
)

func networkOrder(p uint16) uint16 { return p<<8 | p>>8 }

func (l *live) open(name string, o LiveOptions) error {
	index := 0
	l.place = Interface{Name: name, Link: LinkSLL2, SnapLength: o.Snap}
	l.cooked = true
	if name != "any" {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		index = i.Index
		switch kind, err := hardware(name); {
		case err != nil:
			return err
		case kind == unix.ARPHRD_ETHER || kind == unix.ARPHRD_LOOPBACK:
			l.place.Link, l.cooked = LinkEthernet, false
		case kind == unix.ARPHRD_NONE: // tun, wireguard
			l.place.Link, l.cooked = LinkRaw, false
		}
	}
	kind := unix.SOCK_RAW
	if l.cooked {
		kind = unix.SOCK_DGRAM
	}
	// Without a protocol nothing is queued before all is set up.
	fd, err := unix.Socket(unix.AF_PACKET, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	l.socket = os.NewFile(uintptr(fd), "packets of "+name)
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return os.NewSyscallError("setsockopt PACKET_VERSION", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_RESERVE, room); err != nil {
		return os.NewSyscallError("setsockopt PACKET_RESERVE", err)
	}
	size := o.Buffer
	if size <= 0 {
		size = 16 << 20
	}
	blocks := max(2, size/blockSize)
	err = unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
		Block_size: blockSize, Block_nr: uint32(blocks),
		Frame_size: 2048, Frame_nr: uint32(blocks * (blockSize / 2048)),
		Retire_blk_tov: blockTime,
	})
	if err != nil {
		return os.NewSyscallError("setsockopt PACKET_RX_RING", err)
	}
	if l.ring, err = unix.Mmap(fd, 0, blocks*blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return os.NewSyscallError("mmap", err)
	}
	if o.Promiscuous && index != 0 {
		err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC})
		if err != nil {
			return os.NewSyscallError("setsockopt PACKET_ADD_MEMBERSHIP", err)
		}
	}
	return os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index}))
}

// hardware is the ARPHRD_ number of an interface.
func hardware(name string) (uint16, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written
	r, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, r); err != nil {
		return 0, os.NewSyscallError("ioctl SIOCGIFHWADDR", err)
	}
	return r.Uint16(), nil // sa_family of the address that it gives
}

// Packets gives what is seen, until the context ends.
func (l *live) Packets() iter.Seq2[*Packet, error] {
	return func(yield func(*Packet, error) bool) {
		socket := l.socket
		raw, err := socket.SyscallConn()
		if err != nil {
			yield(nil, err)
			return
		}
		// The end of ctx wakes Read below. That may come late, after Close.
		stop := context.AfterFunc(l.ctx, func() { _ = socket.SetReadDeadline(time.Unix(1, 0)) })
		defer stop()
		for at := 0; ; at = (at + blockSize) % len(l.ring) {
			block := l.ring[at : at+blockSize]
			// tpacket_block_desc: version, offset, then block_status.
			status := (*uint32)(unsafe.Pointer(&block[8]))
			for atomic.LoadUint32(status)&unix.TP_STATUS_USER == 0 {
				if err := raw.Read(func(uintptr) bool { return atomic.LoadUint32(status)&unix.TP_STATUS_USER != 0 }); err != nil {
					if l.ctx.Err() == nil {
						yield(nil, fmt.Errorf("listen on %s: %w", l.place.Name, err))
					}
					return
				}
			}
			if !l.block(block, yield) {
				return
			}
			atomic.StoreUint32(status, unix.TP_STATUS_KERNEL)
			if l.ctx.Err() != nil {
				return
			}
		}
	}
}

// block gives the packets of one block.
func (l *live) block(b []byte, yield func(*Packet, error) bool) bool {
	count := binary.NativeEndian.Uint32(b[12:])
	at := binary.NativeEndian.Uint32(b[16:]) // offset_to_first_pkt
	for range count {
		h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&b[at]))
		from := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&b[at+uint32(tpacketAlign(unsafe.Sizeof(*h)))]))
		p := &l.packet
		p.Time, p.Link = instant(int64(h.Sec), int64(h.Nsec)), l.place.Link
		p.Length, p.Data = int(h.Len), b[at+uint32(h.Mac):][:h.Snaplen:h.Snaplen]
		if l.cooked {
			p.Length += 20
			p.Data = b[at+uint32(h.Net)-20:][: h.Snaplen+20 : h.Snaplen+20]
			cook(p.Data, from)
		}
		if l.snap > 0 && len(p.Data) > l.snap {
			p.Data = p.Data[:l.snap]
		}
		at += h.Next_offset
		if from.Hatype == unix.ARPHRD_LOOPBACK && from.Pkttype == unix.PACKET_OUTGOING {
			continue // it comes back at once
		}
		p.Number++
		if !yield(p, nil) {
			return false
		}
	}
	return true
}

func tpacketAlign(n uintptr) uintptr {
	return (n + unix.TPACKET_ALIGNMENT - 1) &^ (unix.TPACKET_ALIGNMENT - 1)
}

// cook writes the header of LinkSLL2 before a packet.
func cook(b []byte, from *unix.RawSockaddrLinklayer) {
	binary.NativeEndian.PutUint16(b, from.Protocol) // is in network order already
	b[2], b[3] = 0, 0
	binary.BigEndian.PutUint32(b[4:], uint32(from.Ifindex))
	binary.BigEndian.PutUint16(b[8:], from.Hatype)
	b[10], b[11] = from.Pkttype, from.Halen
	copy(b[12:20], from.Addr[:])
}

// Interfaces is the one that we listen on.
func (l *live) Interfaces() []Interface { return []Interface{l.place} }

// Notes tells how many packets came too fast.
func (l *live) Notes() []Note {
	if l.socket != nil {
		if raw, err := l.socket.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { // after Close there is nothing to add
				if s, err := unix.GetsockoptTpacketStatsV3(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
					l.dropped += int64(s.Drops) // asking sets them to 0
				}
			})
		}
	}
	if l.dropped == 0 {
		return nil
	}
	return []Note{{ID: NoteDropped, Packet: l.packet.Number, Count: l.dropped, Text: fmt.Sprintf("%s: %d packets were lost because they came too fast", l.place.Name, l.dropped)}}
}

// Close stops listening. It must not be called while packets are ranged over;
// the context ends that.
func (l *live) Close() error {
	var err error
	if l.ring != nil {
		err = unix.Munmap(l.ring)
		l.ring = nil
	}
	if l.socket != nil {
		err = errors.Join(err, l.socket.Close())
		l.socket = nil
	}
	return err
}
