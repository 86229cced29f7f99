package shell

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Job is a command that runs.
//
//	          Start                      the command ends
//	        ---------> foreground  --------------------------> ended
//	                    |  ^  Background, Foreground             ^
//	                    v  |                                     |
//	Start, Queue ----> background  ------------------------------
type Job struct {
	Number int
	Line   string

	cancel context.CancelFunc
	done   chan struct{}
	leave  chan struct{} // closed by Background
	turn   chan struct{} // of one that was queued: closed when the next may begin
	err    error
	behind bool // in the background
}

// Done is closed when the job has ended.
func (j *Job) Done() <-chan struct{} { return j.done }

// Err is how the job has ended. It counts when Done is closed.
func (j *Job) Err() error { return j.err }

// Jobs are the commands that run. The zero value has none.
type Jobs struct {
	// Ended is told of each job that has ended in the background.
	Ended func(*Job)

	mu     sync.Mutex
	live   map[int]*Job
	queued *Job // the last one of the queue
}

// Start begins a job.
func (l *Jobs) Start(ctx context.Context, line string, background bool, run func(context.Context, *Job) error) *Job {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.start(ctx, line, background, run)
}

func (l *Jobs) start(ctx context.Context, line string, background bool, run func(context.Context, *Job) error) *Job {
	if l.live == nil {
		l.live = map[int]*Job{}
	}
	j := &Job{Number: 1, Line: line, behind: background, done: make(chan struct{}), leave: make(chan struct{})}
	for l.live[j.Number] != nil {
		j.Number++
	}
	l.live[j.Number] = j
	ctx, j.cancel = context.WithCancel(ctx)
	go func() {
		err := run(ctx, j)
		j.cancel()
		l.mu.Lock()
		j.err = err
		behind := j.behind
		delete(l.live, j.Number)
		l.mu.Unlock()
		if behind && l.Ended != nil {
			l.Ended(j)
		}
		close(j.done)
	}()
	return j
}

// Queue begins a job in the background when those queued before it have ended. One
// that is killed before its turn lets nobody through.
func (l *Jobs) Queue(ctx context.Context, line string, run func(context.Context, *Job) error) *Job {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := make(chan struct{}) // nobody is before it
	close(first)
	before := first
	if l.queued != nil {
		before = l.queued.turn
	}
	j := l.start(ctx, line, true, func(ctx context.Context, j *Job) error {
		select {
		case <-before:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		return run(ctx, j)
	})
	j.turn = make(chan struct{})
	go func() {
		<-j.done
		<-before
		l.mu.Lock()
		if l.queued == j {
			l.queued = nil
		}
		l.mu.Unlock()
		close(j.turn)
	}()
	l.queued = j
	return j
}

// Wait waits in the foreground until the job has ended, or was sent to the
// background. The end of ctx kills the job.
func (l *Jobs) Wait(ctx context.Context, j *Job) (ended bool) {
	l.mu.Lock()
	if j.behind {
		j.behind, j.leave = false, make(chan struct{})
	}
	leave := j.leave
	l.mu.Unlock()
	select {
	case <-j.done:
		return true
	case <-leave:
		return false
	case <-ctx.Done():
		j.cancel()
		<-j.done
		return true
	}
}

// Background sends a job to the background: Wait returns.
func (l *Jobs) Background(j *Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !j.behind {
		j.behind = true
		close(j.leave)
	}
}

// Kill ends a job.
func (l *Jobs) Kill(j *Job) { j.cancel() }

// List returns the jobs that run in the background, by their numbers.
func (l *Jobs) List() []*Job {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.SortedFunc(maps.Values(l.live), func(a, b *Job) int { return cmp.Compare(a.Number, b.Number) })
	return slices.DeleteFunc(all, func(j *Job) bool { return !j.behind })
}

// Find returns the job in the background that has a number.
func (l *Jobs) Find(number int) (*Job, error) {
	for _, j := range l.List() {
		if j.Number == number {
			return j, nil
		}
	}
	return nil, fmt.Errorf("there is no job %d; jobs shows those that there are", number)
}
