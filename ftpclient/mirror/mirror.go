// Package mirror makes one directory like another across FTP: a local one like
// one of a server (Down), or the other way round (Up).
//
// Its one idea is that each directory is listed on both sides, the two lists
// are compared name by name, and what comes of it are steps: to make, fetch,
// send, delete. A dry run is the same without doing them. What is in memory is
// the directories at work and not the tree.
//
// What the server says is not believed: a name is one element of a path or it
// is refused, and all that is written here goes through an [os.Root], so that
// no link leads out of the target, also none made by the same run. And nothing
// is deleted on the strength of what could not be read: where a listing fails,
// the other side stays as it is.
//
// It reads no URLs and shows no progress; it tells of both.
package mirror

import (
	"context"
	"fmt"
	"time"

	"towpath/ftpclient"
	"towpath/internal/sole"
)

// ErrBusy: somebody else, here or in another process, fetches the same file into
// the same place. The others go on.
var ErrBusy = sole.ErrBusy

// Options say what is taken and how it is compared. The zero value takes all
// files that are missing or differ in size or time, and deletes nothing.
type Options struct {
	// Parallel is how many files move at the same time. Default 1. The pool
	// must allow as many sessions.
	Parallel int
	// DryRun only tells of the steps.
	DryRun bool

	// Compare says when two files are the same. Default [SizeAndTime].
	Compare Comparison
	// OnlyMissing leaves alone what is there, whatever it is like.
	OnlyMissing bool
	// Continue goes on with files that an earlier run has left half done, if
	// they have not changed since.
	Continue bool
	// Verify compares digests behind each transfer.
	Verify bool
	// NoTimes leaves files the time at which they came. Then, as with servers
	// that cannot be told a time, a copy of the same size that is not older is
	// the same.
	NoTimes bool
	// NoPerms leaves permissions to the umask, or to the server. Set-id bits
	// are never taken over.
	NoPerms bool
	// Partial makes uploads come under NAME.part and renames them when they
	// are whole, which costs two commands a file. Downloads always do. It is
	// for servers that show a file before it is whole.
	Partial bool

	// Delete removes what the source has not, behind all else. Where a listing
	// of the source has failed nothing is removed, and what Rules exclude stays.
	Delete bool
	// DeleteFirst removes it before anything moves, for which all is listed
	// twice. It implies Delete.
	DeleteFirst bool
	// MaxDelete, if not 0, is how much may be deleted; if it would be more,
	// nothing is.
	MaxDelete int

	// Rules take and leave by name.
	Rules []Rule
	// MinSize and MaxSize (if not 0) bound the size of files, NewerThan and
	// OlderThan (if not zero) their time. What they leave out is not deleted.
	MinSize, MaxSize     int64
	NewerThan, OlderThan time.Time
	// NoRecursion stays in the directory itself.
	NoRecursion bool

	// Links says what becomes of symbolic links. Default [SkipLinks].
	Links Links
	// AllowDeviceNames takes names that are devices on Windows, such as aux.c.
	// On Windows itself they are always refused.
	AllowDeviceNames bool
	// MaxDepth bounds how deep it goes, against directories that contain
	// themselves. Default 100.
	MaxDepth int
	// MaxEntries bounds the entries of one directory, which are all in memory.
	// Default 1,048,576. A directory with more is left alone.
	MaxEntries int

	// Planned is told each step when it is found out, Begin when it begins.
	// What Begin returns is told how many bytes have moved, and the end; it may
	// be nil. Failed is told each failure, Skipped what was left out and why.
	// All may be called from several goroutines at the same time.
	Planned func(Step)
	Begin   func(Step) Watcher
	Failed  func(path string, err error)
	Skipped func(path, why string)

	// Limiter, if set, is what bytes of all transfers together wait for.
	Limiter ftpclient.Limiter
}

// Watcher follows one step.
type Watcher interface {
	// Here is told how many bytes an earlier run has brought.
	Here(n int64)
	// Moved is told how many bytes have moved in all by this one.
	Moved(n int64)
	// Done is told the end.
	Done(err error)
}

// Comparison says when two files are the same.
type Comparison int

const (
	// SizeAndTime: same size and same time, as exactly as the server tells it.
	SizeAndTime Comparison = iota
	// Newer: the copy is not older, whatever its size.
	Newer
	// Size: the same size.
	Size
	// Hash: the same size and digest, which the server must be able to tell.
	// Both sides read all files for it.
	Hash
)

// Links says what becomes of symbolic links.
type Links int

const (
	// SkipLinks leaves them out and tells so.
	SkipLinks Links = iota
	// KeepLinks makes them anew as links, where they lead to a place within
	// the target. FTP has no command for it, so only downloads do.
	KeepLinks
	// FollowLinks takes what they lead to.
	FollowLinks
)

// Result counts what was done; in a dry run, what would be.
type Result struct {
	Moved   int   // files fetched or sent
	Bytes   int64 // of them, as far as they moved
	Made    int   // directories and links made
	Deleted int   // files, links and directories
	Retimed int   // files that differed in nothing but time
	Same    int   // files that were left as they are
	Skipped int   // what was left out, excluded names aside
	Failed  int
}

// Error is returned when something has failed. The rest was done, unless Stopped
// tells why not.
type Error struct {
	Count int
	// First is the first failure.
	First error
	// Stopped is set if the run could not go on: the server is gone, a disk is
	// full.
	Stopped error
}

// Error counts.
func (e *Error) Error() string {
	switch {
	case e.Stopped != nil:
		return fmt.Sprintf("the mirror is not complete: %v", e.Stopped)
	case e.Count == 1:
		return e.First.Error()
	}
	return fmt.Sprintf("%d failures, first: %v", e.Count, e.First)
}

// Unwrap returns what has failed.
func (e *Error) Unwrap() []error {
	if e.Stopped != nil && e.First != nil {
		return []error{e.First, e.Stopped}
	}
	if e.Stopped != nil {
		return []error{e.Stopped}
	}
	return []error{e.First}
}

// Down makes the directory local like the directory remote of the server. What
// is in remote goes into local, which is made if it is missing.
//
// A file costs two commands where the server has MLSD. It comes as NAME.part and
// is renamed when it is whole; one that another run is fetching fails with
// [ErrBusy]. When ctx ends, what came stays for a run with
// Continue.
func Down(ctx context.Context, pool *ftpclient.Pool, remote, local string, o Options) (Result, error) {
	r := newRun(ctx, o, false)
	server := newServer(r, pool, remote)
	target, err := openTarget(r, local)
	if err != nil {
		return Result{}, err
	}
	defer target.close()
	r.from, r.to, r.local, r.server = server, target, target, server
	r.move = func(ctx context.Context, t *task, w Watcher) (int64, error) { return fetch(ctx, server, target, t, w) }
	return r.mirror(ctx)
}

// Up makes the directory remote of the server like the directory local. What is
// in local goes into remote, which is made if it is missing.
//
// A file costs three commands: its announcement, STOR, and MFMT for its time;
// one more if its permissions are not those that servers give by themselves
// (0644, and 0755 for directories).
func Up(ctx context.Context, pool *ftpclient.Pool, local, remote string, o Options) (Result, error) {
	r := newRun(ctx, o, true)
	server := newServer(r, pool, remote)
	source, err := openSource(r, local)
	if err != nil {
		return Result{}, err
	}
	defer source.close()
	r.from, r.to, r.local, r.server = source, server, source, server
	r.move = func(ctx context.Context, t *task, w Watcher) (int64, error) { return send(ctx, server, source, t, w) }
	return r.mirror(ctx)
}
