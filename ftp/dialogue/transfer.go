package dialogue

// Transfer is one movement of bytes that the client asked for. The zero
// Transfer is none.
type Transfer struct {
	// Number is that of its command: see [Exchange.Number].
	Number int
	// Verb is RETR, STOR, STOU, APPE, LIST, NLST or MLSD.
	Verb string
	// Path is the argument, as raw as it came. For STOU it becomes the name
	// that the server chose, if it tells one.
	Path string
	// Offset is where in the file it starts, as REST said.
	Offset int64
	// Type is the TYPE that holds for it: see [State.Type].
	Type string
	// Protected is true if PROT P holds for it: its data goes under TLS.
	Protected bool
	// Expectation is the data connection it uses. It is zero if none was
	// announced, and after a refusal, by which the transfer used none.
	Expectation Expectation
	// Phase says how far it has come.
	Phase Phase
	// Code is that of the last reply to it, 0 while there is none or if the
	// last one never came.
	Code int
}

// Phase says how far a transfer has come.
type Phase uint8

// The phases of a transfer.
const (
	Asked Phase = iota + 1 // all before it is answered, it is not
	Begun                  // 150 or 125 has come
	Ended                  // its last reply has come, or will not come
)

// String returns "asked", "begun" or "ended".
func (p Phase) String() string {
	switch p {
	case Asked:
		return "asked"
	case Begun:
		return "begun"
	case Ended:
		return "ended"
	}
	return "none"
}

// transfers holds the verbs that move data.
var transfers = map[string]bool{
	"RETR": true, "STOR": true, "STOU": true, "APPE": true,
	"LIST": true, "NLST": true, "MLSD": true,
}

// ends reports whether code can be the last reply to a transfer. After 1xx it
// is too late to complain of syntax, sequence or login.
func ends(code int, begun bool) bool {
	switch code {
	case 226, 250:
		return true
	case 500, 501, 502, 503, 504, 530:
		return !begun
	}
	return code >= 400
}

// refused reports whether code, as the only reply to a transfer, means that no
// data connection was tried. 425 and 426 speak of one that failed, 521 and 522
// of one that is not protected as it must be (RFC 4217; vsftpd).
func refused(code int) bool {
	switch code {
	case 425, 426, 521, 522:
		return false
	}
	return code >= 400
}
