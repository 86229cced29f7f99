//go:build unix

package strangers

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// A port that is kept is the server's: no other server is given it, nor is
// whoever asks the kernel for any.
func TestReserve(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets a server listen on a port that is kept")
	}
	ip := netip.MustParseAddr("127.0.0.1")
	port := reserve(t, ip)
	if fd, err := claim(ip, port); !errors.Is(err, syscall.EADDRINUSE) {
		_ = syscall.Close(fd)
		t.Errorf("port %d was kept twice: %v", port, err)
	}
	l, err := net.Listen("tcp", fmt.Sprintf("%v:%d", ip, port)) // Go says SO_REUSEADDR
	if err != nil {
		t.Fatalf("the server does not get its port: %v", err)
	}
	_ = l.Close()
}

// take binds the port of a server so that it is in the way of everybody.
func take(t testing.TB, s *Server) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.CloseOnExec(fd)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	err = errors.Join(
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
		syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: s.Port}),
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 0),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// A server whose port somebody else has says so, each in its own way, and is
// given another one.
func TestPortLost(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere a port is not taken so that a server alone minds")
	}
	for _, peer := range Peers {
		t.Run(peer.Name, func(t *testing.T) {
			t.Parallel()
			var lost []int
			s := Host(t, peer.Program, peer.AsRoot, func(t testing.TB, s *Server) []string {
				if len(lost) == 0 {
					take(t, s)
				}
				lost = append(lost, s.Port)
				return peer.Command(t, s)
			})
			if len(lost) != 2 || s.Port != lost[1] {
				t.Errorf("it listens on %d, having tried %v", s.Port, lost)
			}
		})
	}
}

// One that does not start says why.
func TestSaid(t *testing.T) {
	t.Parallel()
	s := prepare(t, "127.0.0.1", "sh")
	err := s.run(t, false, []string{s.Binary, "-c", "echo no room >&2; exit 3"})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v", err)
	}
}

// What somebody else does on the same port of another address is nothing to a
// server. ProFTPD took its port on all of them once.
func TestPortElsewhere(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere loopback has no second address")
	}
	for _, peer := range Peers {
		t.Run(peer.Name, func(t *testing.T) {
			t.Parallel()
			tries := 0
			Host(t, peer.Program, peer.AsRoot, func(t testing.TB, s *Server) []string {
				tries++
				l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.2:%d", s.Port))
				if err != nil {
					t.Skip(err)
				}
				t.Cleanup(func() { _ = l.Close() })
				return peer.Command(t, s)
			})
			if tries != 1 {
				t.Errorf("it started at the attempt number %d", tries)
			}
		})
	}
}
