package accounts_test

import (
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"towpath/accounts"
)

func TestMeter(t *testing.T) {
	t.Parallel()
	m := accounts.NewMeter(accounts.Quota{Bytes: 100, Files: 2}, 40, 1)
	for _, step := range []struct {
		bytes, files int64
		unit         string // of the error
		usedB, usedF int64
	}{
		{60, 1, "", 100, 2},
		{1, 0, "bytes", 100, 2},
		{0, 1, "files", 100, 2},
		{-30, 1, "files", 100, 2}, // nothing is taken of what is refused
		{-30, 0, "", 70, 2},
		{31, -1, "bytes", 70, 2},
		{30, -1, "", 100, 1},
		{-1000, -1000, "", 0, 0},
		{math.MaxInt64, 0, "bytes", 0, 0},
		{0, 0, "", 0, 0},
		{math.MinInt64, math.MinInt64, "", 0, 0},
	} {
		err := m.Take(step.bytes, step.files)
		q, _ := errors.AsType[*accounts.QuotaError](err)
		if step.unit == "" && err != nil || step.unit != "" && (q == nil || q.Unit != step.unit || !errors.Is(err, accounts.ErrQuota)) {
			t.Errorf("Take(%d, %d): %v: want an error for %q", step.bytes, step.files, err, step.unit)
		}
		if b, maxB, f, maxF := m.Usage(); b != step.usedB || f != step.usedF || maxB != 100 || maxF != 2 {
			t.Errorf("after Take(%d, %d): %d of %d bytes, %d of %d files: want %d and %d", step.bytes, step.files, b, maxB, f, maxF, step.usedB, step.usedF)
		}
	}
	free := accounts.NewMeter(accounts.Quota{}, math.MaxInt64-1, 0)
	if err := free.Take(5, 0); !errors.Is(err, accounts.ErrQuota) {
		t.Errorf("more than can be counted: %v: want ErrQuota", err)
	}
}

// Whatever is asked for, what is used stays within the quota and is the sum of
// what was granted.
func TestMeterProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		quota := accounts.Quota{Bytes: rapid.Int64Range(0, 1000).Draw(t, "bytes"), Files: rapid.Int64Range(0, 10).Draw(t, "files")}
		m := accounts.NewMeter(quota, 0, 0)
		var bytes, files int64
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			b, f := rapid.Int64Range(-500, 500).Draw(t, "b"), rapid.Int64Range(-5, 5).Draw(t, "f")
			if m.Take(b, f) == nil {
				bytes, files = max(bytes+b, 0), max(files+f, 0)
			}
			gotB, _, gotF, _ := m.Usage()
			if gotB != bytes || gotF != files {
				t.Fatalf("%d bytes, %d files: want %d and %d", gotB, gotF, bytes, files)
			}
			if quota.Bytes > 0 && gotB > quota.Bytes || quota.Files > 0 && gotF > quota.Files {
				t.Fatalf("%d bytes, %d files are more than %+v", gotB, gotF, quota)
			}
		}
	})
}

// Sessions of an account share a meter, which is measured once and forgotten
// with the last of them.
func TestMeters(t *testing.T) {
	t.Parallel()
	var ms accounts.Meters
	measured := 0
	measure := func() (int64, int64, error) { measured++; return 10, 1, nil }
	one, close1, err1 := ms.Open("alice", accounts.Quota{Bytes: 20}, measure)
	two, close2, err2 := ms.Open("alice", accounts.Quota{Bytes: 30}, measure)
	other, close3, err3 := ms.Open("bob", accounts.Quota{}, measure)
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	defer close3()
	if one != two || one == other || measured != 2 {
		t.Errorf("meters %p %p %p, measured %d times: want two meters, measured once each", one, two, other, measured)
	}
	if _, limit, _, _ := one.Usage(); limit != 30 {
		t.Errorf("limit %d: want the newest, 30", limit)
	}
	close1()
	close1()
	if three, close4, _ := ms.Open("alice", accounts.Quota{}, measure); three != one {
		t.Error("the meter was forgotten while somebody used it")
	} else {
		close4()
	}
	close2()
	if four, close5, _ := ms.Open("alice", accounts.Quota{}, measure); four == one || measured != 3 {
		t.Error("the meter was kept when nobody used it")
	} else {
		close5()
	}
}

func TestMetersFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ms accounts.Meters
		lost := errors.New("disk gone")
		begin := make(chan struct{})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, _, err := ms.Open("alice", accounts.Quota{}, func() (int64, int64, error) { <-begin; return 0, 0, lost })
				if !errors.Is(err, lost) {
					t.Errorf("%v: want the error of measuring", err)
				}
			})
		}
		synctest.Wait() // all wait for the one who measures
		close(begin)
		wg.Wait()
		m, done, err := ms.Open("alice", accounts.Quota{}, func() (int64, int64, error) { return 7, 1, nil })
		if err != nil {
			t.Fatalf("after a failure: %v", err)
		}
		defer done()
		if b, _, _, _ := m.Usage(); b != 7 {
			t.Errorf("%d bytes are used, want 7", b)
		}
	})
}

func TestMeterAtOnce(t *testing.T) {
	t.Parallel()
	m := accounts.NewMeter(accounts.Quota{Bytes: 500}, 0, 0)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 100 {
				_ = m.Take(1, 0) // half of them find no room
			}
		})
	}
	wg.Wait()
	if b, _, _, _ := m.Usage(); b != 500 {
		t.Errorf("%d bytes are used, want 500", b)
	}
}
