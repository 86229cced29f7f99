// Package ftp holds the vocabulary of the File Transfer Protocol: commands,
// replies, the addresses they announce, and the forms of text and records on
// a data connection (RFC 959, 1123, 1639, 2389, 2428, 3659).
//
// It speaks no network. Sockets belong to ftpserver and ftpclient; following
// a dialogue belongs to ftp/dialogue, and listings to ftp/listing. Bytes stay
// as they came: the charset of a name is for the caller to know.
//
// What is made here is strict. What is read from a peer is as lenient as the
// programs in use demand, and each leniency names the program.
package ftp
