package ftp

import "strings"

// The Telnet commands that matter on a control connection (RFC 854). All of
// them are taken out; RFC 1123 4.1.2.12 asks no more.
const (
	telnetSE   = 0xf0 // the least of the commands
	telnetDM   = 0xf2 // the mark of Synch
	telnetIP   = 0xf4
	telnetWILL = 0xfb // WILL, WONT, DO, DONT are followed by an option
	telnetDONT = 0xfe
	telnetIAC  = 0xff
)

// telnet says where in a Telnet command a reader of lines stands.
//
//	plain --IAC--> command --IP--> interrupted --IAC--> halfSynch
//	                  '--WILL, WONT, DO, DONT--> option
//
// All other ways lead back to plain. An IAC is kept with the text until the
// next byte proves that it begins a command: clients that know no Telnet send
// the letter я of CP1251, which is the same byte, undoubled.
//
// A client that aborts sends IAC IP and then Synch, IAC DM with an urgent byte
// in it. The kernel of the receiver takes the urgent byte out of the stream:
// from tnftp and inetutils-ftp that is the IAC, from ncftp the DM. So right
// behind IAC IP a DM is dropped without an IAC, and an IAC without a command.
//
// Subnegotiation is no state of its own, since nobody begins one with a peer
// that has agreed to no option.
type telnet uint8

const (
	plain telnet = iota
	command
	option
	interrupted
	halfSynch
)

// verdict says what becomes of a byte.
type verdict uint8

const (
	dropThis verdict = 1 << iota // c
	dropLast                     // the byte before
	keep     verdict = 0
)

// next returns the state that follows t at the byte c, and what becomes of c
// and of the byte kept last, which is an IAC in the states command and
// halfSynch.
func (t telnet) next(c byte) (telnet, verdict) {
	switch t {
	case option:
		return plain, dropThis
	case interrupted:
		switch c {
		case telnetDM:
			return plain, dropThis
		case telnetIAC:
			return halfSynch, keep
		}
	case command, halfSynch:
		switch {
		case c == telnetIAC: // doubled, so the first one is text
			return plain, dropThis
		case c == telnetIP:
			return interrupted, dropLast | dropThis
		case telnetWILL <= c && c <= telnetDONT:
			return option, dropLast | dropThis
		case c >= telnetSE:
			return plain, dropLast | dropThis
		case t == halfSynch:
			return plain, dropLast
		}
		return plain, keep
	}
	if c == telnetIAC {
		return command, keep
	}
	return plain, keep
}

// appendTelnet appends s with its bytes 0xFF doubled.
func appendTelnet(b []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, telnetIAC)
		if i < 0 {
			return append(b, s...)
		}
		b = append(append(b, s[:i+1]...), telnetIAC)
		s = s[i+1:]
	}
}
