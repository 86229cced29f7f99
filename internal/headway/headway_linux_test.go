package headway_test

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"towpath/internal/headway"
)

// What one end sends the other has, though nobody has read it.
func TestHeadway(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	over := tls.Client(near, nil) // it says nothing; what lies under it counts
	sent, come := headway.Sent(near), headway.Come(far)
	if _, err := io.WriteString(near, "hello"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); headway.Sent(over) != sent+5 || headway.Come(far) != come+5; {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes acknowledged, and %d have come; want 5", headway.Sent(near)-sent, headway.Come(far)-come)
		}
		time.Sleep(time.Millisecond)
	}
	if n := headway.Come(near); n != 0 {
		t.Errorf("%d bytes came back", n)
	}
	pipe, _ := net.Pipe()
	if headway.Sent(pipe) != 0 || headway.Come(pipe) != 0 {
		t.Error("something moves on what is no socket")
	}
	_ = near.Close()
	if headway.Sent(near) != 0 {
		t.Error("something moves on what is closed")
	}
}
