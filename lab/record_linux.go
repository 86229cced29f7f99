package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
	"unsafe"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/sys/unix"
)

// recorder writes what passes the interfaces of one host into a pcapng file.
type recorder struct {
	sockets []*os.File
	readers sync.WaitGroup
	file    *os.File
	buf     *bufio.Writer

	mu   sync.Mutex
	out  *pcapgo.NgWriter
	lost int // packets that found no room while we were busy
	err  error
}

// snapLength is how much of each packet is kept. With segmentation left to the
// card, as on a virtual one, a packet is larger than the cable would take.
const snapLength = 65536 + 64

// record begins to record. The packets of before are not in the file, those of
// afterwards all are.
func (h *host) record(file string, interfaces ...string) (r *recorder, err error) {
	r = &recorder{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("record on %s: %w", h.name, err), r.stop())
		}
	}()
	if r.file, err = os.Create(file); err != nil {
		return r, err
	}
	r.buf = bufio.NewWriterSize(r.file, 1<<16)
	for i, name := range interfaces {
		of := pcapgo.NgInterface{Name: name, Description: h.name + " " + name, LinkType: layers.LinkTypeEthernet, SnapLength: snapLength, TimestampResolution: 9}
		if i == 0 {
			r.out, err = pcapgo.NewNgWriterInterface(r.buf, of, pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "towpath lab"}})
		} else {
			_, err = r.out.AddInterface(of)
		}
		if err != nil {
			return r, err
		}
		if err = h.do(func() error { return r.open(name) }); err != nil {
			return r, err
		}
	}
	for i, s := range r.sockets { // from here on the file belongs to write
		r.readers.Go(func() { r.read(i, s) })
	}
	return r, nil
}

// open opens the socket for one interface of the host that it is called on.
func (r *recorder) open(name string) error {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(networkOrder(unix.ETH_P_ALL)))
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20)      // as far as net.core.rmem_max goes
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20) // not without privileges outside
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)     // else the time is ours
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: link.Index}); err != nil {
		return errors.Join(os.NewSyscallError("bind", err), unix.Close(fd))
	}
	r.sockets = append(r.sockets, os.NewFile(uintptr(fd), name))
	return nil
}

func networkOrder(p uint16) uint16 { return p<<8 | p>>8 }

// read copies packets until the deadline that stop sets, and then those that
// wait in the socket. Their times are the kernel's, so that what was seen first
// has the earlier time, on whichever host.
func (r *recorder) read(i int, s *os.File) {
	raw, err := s.SyscallConn()
	if err != nil {
		r.fail(err)
		return
	}
	buf, about := make([]byte, snapLength), make([]byte, 128)
	next := func(fd uintptr) bool {
		n, oob, _, _, err := unix.Recvmsg(int(fd), buf, about, unix.MSG_DONTWAIT)
		if err != nil {
			return false
		}
		r.write(i, arrival(about[:oob]), buf[:n])
		return true
	}
	for raw.Read(next) == nil {
	}
	if err := raw.Control(func(fd uintptr) {
		for next(fd) {
		}
		if s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.lost += int(s.Drops)
		}
	}); err != nil {
		r.fail(err)
	}
}

// arrival is when the kernel saw a packet.
func arrival(about []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(about)
	if err != nil {
		return time.Now()
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			at := (*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
			return time.Unix(at.Unix())
		}
	}
	return time.Now()
}

func (r *recorder) write(i int, at time.Time, packet []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.out.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(packet), Length: len(packet), InterfaceIndex: i}, packet)
	if err != nil && r.err == nil {
		r.err = err
	}
}

func (r *recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.Join(r.err, err)
}

// stop ends the recording; the file is whole then.
func (r *recorder) stop() error {
	for _, s := range r.sockets {
		_ = s.SetReadDeadline(time.Unix(1, 0)) // a packet socket can be polled
	}
	r.readers.Wait()
	closers := make([]io.Closer, 0, len(r.sockets)+1)
	for _, s := range r.sockets {
		closers = append(closers, s)
	}
	err := r.err
	if r.out != nil {
		err = errors.Join(err, r.out.Flush(), r.buf.Flush())
	}
	if r.file != nil {
		closers = append(closers, r.file)
	}
	for _, c := range closers {
		err = errors.Join(err, c.Close())
	}
	return err
}
