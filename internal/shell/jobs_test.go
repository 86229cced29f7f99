package shell

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
)

func numbers(l *Jobs) []int {
	var n []int
	for _, j := range l.List() {
		n = append(n, j.Number)
	}
	return n
}

// Who is killed before its turn lets nobody through.
func TestKilledInTheQueue(t *testing.T) {
	t.Parallel()
	var l Jobs
	end, begun := make(chan struct{}), make(chan string, 3)
	job := func(name string) func(context.Context, *Job) error {
		return func(context.Context, *Job) error {
			begun <- name
			<-end
			return nil
		}
	}
	first := l.Queue(t.Context(), "first", job("first"))
	second := l.Queue(t.Context(), "second", job("second"))
	if got := <-begun; got != "first" {
		t.Fatalf("%s began", got)
	}
	l.Kill(second)
	<-second.Done()
	third := l.Queue(t.Context(), "third", func(context.Context, *Job) error {
		select {
		case <-first.Done():
		default:
			t.Error("the third began beside the first")
		}
		return nil
	})
	close(end)
	<-first.Done()
	<-third.Done()
}

func TestJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended []string
		l := &Jobs{Ended: func(j *Job) { ended = append(ended, j.Line) }}
		ctx := t.Context()
		until := func(c chan error) func(context.Context, *Job) error {
			return func(ctx context.Context, _ *Job) error {
				select {
				case err := <-c:
					return err
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		a, b, c := make(chan error), make(chan error), make(chan error)
		front := l.Start(ctx, "a", false, until(a))
		l.Start(ctx, "b", true, until(b))
		if got := numbers(l); !reflect.DeepEqual(got, []int{2}) {
			t.Fatalf("in the background: %v, want 2", got)
		}
		if _, err := l.Find(1); err == nil {
			t.Error("a job in the foreground was found behind it")
		}

		// To the background, and back.
		left := make(chan bool)
		go func() { left <- l.Wait(ctx, front) }()
		synctest.Wait()
		l.Background(front)
		if <-left {
			t.Error("Wait says that a job has ended that was sent to the background")
		}
		if got := numbers(l); !reflect.DeepEqual(got, []int{1, 2}) {
			t.Errorf("in the background: %v, want 1 and 2", got)
		}
		go func() { left <- l.Wait(ctx, front) }()
		synctest.Wait()
		fault := errors.New("fault")
		a <- fault
		if !<-left || !errors.Is(front.Err(), fault) {
			t.Errorf("front has ended by %v", front.Err())
		}

		// A number is used again; the end of a wait ends the job.
		third := l.Start(ctx, "c", false, until(c))
		if third.Number != 1 {
			t.Errorf("number %d, want 1 again", third.Number)
		}
		cut, cancel := context.WithCancel(ctx)
		cancel()
		if !l.Wait(cut, third) || !errors.Is(third.Err(), context.Canceled) {
			t.Errorf("third has ended by %v", third.Err())
		}

		second, err := l.Find(2)
		if err != nil {
			t.Fatal(err)
		}
		l.Kill(second)
		<-second.Done()
		if !reflect.DeepEqual(ended, []string{"b"}) {
			t.Errorf("told of %q, want b alone, which was in the background", ended)
		}
	})
}

// What is queued runs one after the other.
func TestQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l Jobs
		began := make(chan string, 3)
		go1 := make(chan struct{})
		run := func(ctx context.Context, j *Job) error {
			began <- j.Line
			select {
			case <-go1:
			case <-ctx.Done():
			}
			return ctx.Err()
		}
		a := l.Queue(t.Context(), "a", run)
		b := l.Queue(t.Context(), "b", run)
		c := l.Queue(t.Context(), "c", run)
		synctest.Wait()
		if len(began) != 1 {
			t.Fatalf("%d have begun, want 1", len(began))
		}
		l.Kill(b) // it never begins
		<-b.Done()
		go1 <- struct{}{}
		<-a.Done()
		synctest.Wait()
		go1 <- struct{}{}
		<-c.Done()
		if first, second := <-began, <-began; first != "a" || second != "c" || c.Err() != nil {
			t.Errorf("%s and %s ran, %v", first, second, c.Err())
		}
	})
}
