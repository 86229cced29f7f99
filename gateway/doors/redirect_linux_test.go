package doors

import "testing"

// Who was not redirected has no other destination than ours.
func TestRedirectedStraight(t *testing.T) {
	t.Parallel()
	l := Redirected(listen(t), nil)
	dial(t, l)
	got, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if o := got.(*Conn).Original(); o.IsValid() {
		t.Errorf("the original destination is %v", o)
	}
}
