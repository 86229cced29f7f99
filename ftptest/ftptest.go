// Package ftptest gives tests an FTP server, as net/http/httptest gives them
// one for HTTP, and a way to write dialogues as they read in the RFCs.
//
// It is for tests only: the server listens on loopback, keeps its files in
// memory and lets one user do everything.
package ftptest

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"towpath/ftpserver"
	"towpath/storage"
	"towpath/storage/mem"
)

// Files are the files of a server by name. "a/b.txt" makes the directory a as
// well; a name that ends in "/" is an empty directory.
type Files map[string]string

// The one user that may log in, with every right.
const (
	User     = "test"
	Password = "secret"
)

// Server is an FTP server on a free port of 127.0.0.1.
type Server struct {
	*ftpserver.Server
	// Addr is host:port of the control connection, Implicit that of the one
	// with implicit TLS ("" without [TLS]).
	Addr, Implicit string
	// Root is the tree that is served.
	Root storage.FS

	t testing.TB
}

// Option changes what the server does.
type Option func(*ftpserver.Options)

// TLS makes the server speak TLS, with the certificate of [Certificate].
func TLS(o *ftpserver.Options) {
	o.TLS = &tls.Config{Certificates: []tls.Certificate{Certificate()}, MinVersion: tls.VersionTLS12}
}

// Root makes the server serve this tree instead of files in memory.
func Root(fsys storage.FS) Option {
	return func(o *ftpserver.Options) { o.Login = Login(fsys) }
}

// Login lets [User] into fsys with all rights, and nobody else.
func Login(fsys storage.FS) func(context.Context, ftpserver.Login) (*ftpserver.User, error) {
	return func(_ context.Context, l ftpserver.Login) (*ftpserver.User, error) {
		if l.Name != User || l.Password != Password {
			return nil, ftpserver.ErrRefused
		}
		return &ftpserver.User{
			Name: l.Name, Root: fsys,
			Rights: func(string) ftpserver.Rights { return ftpserver.All | ftpserver.Admin },
		}, nil
	}
}

// Serve starts a server that ends with the test.
func Serve(t testing.TB, files Files, options ...Option) *Server {
	t.Helper()
	root := storage.FS(mem.New(files))
	o := ftpserver.Options{Login: Login(root), FailureDelay: -1}
	for _, f := range options {
		f(&o)
	}
	s := &Server{t: t, Root: root}
	var err error
	if s.Server, err = ftpserver.New(o); err != nil {
		t.Fatalf("ftptest: %v", err)
	}
	s.Addr = s.listen(s.Serve)
	if o.TLS != nil {
		s.Implicit = s.listen(s.ServeTLS)
	}
	t.Cleanup(func() { _ = s.Close() }) // cutting sessions off is no failure of the test
	return s
}

func (s *Server) listen(serve func(net.Listener) error) string {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatalf("ftptest: %v", err)
	}
	go func() { _ = serve(l) }() // ends with the server
	return l.Addr().String()
}

// URL is the address of a file as clients take it, with user and password.
func (s *Server) URL(name string) string {
	return "ftp://" + User + ":" + Password + "@" + s.Addr + "/" + strings.TrimPrefix(name, "/")
}

// File returns what is stored under name; the test fails if nothing is.
func (s *Server) File(name string) string {
	s.t.Helper()
	if !strings.HasPrefix(name, "/") {
		name = "/" + name
	}
	r, err := s.Root.Open(context.Background(), name, 0)
	if err != nil {
		s.t.Fatalf("ftptest: %v", err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		s.t.Fatalf("ftptest: %v", err)
	}
	return string(b)
}
