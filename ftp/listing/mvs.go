package listing

import "strings"

// mvs reads z/OS: data sets, members of a partitioned data set, and jobs.
func (l *reading) mvs(s string) (Entry, bool) {
	var columns [16]string
	n := 0
	for rest := s; n < len(columns); n++ {
		if columns[n], rest = word(rest); columns[n] == "" {
			break
		}
	}
	w := columns[:n]
	if len(w) == 0 || n == len(columns) {
		return Entry{}, false
	}
	for _, read := range [...]func(*reading, []string) (Entry, bool){
		(*reading).mvsJob, (*reading).mvsMember, (*reading).mvsDataset,
	} {
		if e, ok := read(l, w); ok {
			return e, true
		}
	}
	return Entry{}, false
}

// mvsHeading reports whether s is the heading of a kind of listing, and
// remembers which. It goes by more than one column, for a data set may be
// called NAME.
func (l *reading) mvsHeading(s string) bool {
	first, rest := word(s)
	second, rest := word(rest)
	third, _ := word(rest)
	switch {
	case third == "":
		return false
	case first == "Volume" && second == "Unit":
		l.datasets, l.members = true, false
	case first == "Name" && (second == "VV.MM" || second == "Size" && third == "TTR"):
		l.datasets, l.members = false, true
	case first == "JOBNAME" && second == "JOBID":
		l.datasets, l.members = false, false
	default:
		return false
	}
	return true
}

// mvsDataset reads
//
//	Volume Unit    Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname
//	SAVE00 3390   2004/06/23  1    1  FB     128  6144  PS    INCOMING.D061704
//	TSO005 3390   2005/06/06 213000 U      0 27998  PO-E  SOURCE.COBOL
//	TSO004 3390                                     VSAM  CATALOG
//	Migrated                                              OLD.STUFF
//	ARCIVE Not Direct Access Device                       OLDER.STUFF
//	V43525 Tape                                           OLDEST.STUFF
//	GDG                                                   MANY.STUFF
//
// A partitioned data set (PO, PO-E) is a directory; one that is on no disk is
// of a type that nobody can tell, and so is the base of a generation data group,
// which is none itself.
func (l *reading) mvsDataset(w []string) (Entry, bool) {
	last := len(w) - 1
	e := Entry{Name: w[last], Type: File, Size: -1}
	if last < 1 {
		return Entry{}, false
	}
	switch front := strings.ToLower(strings.Join(w[:last], " ")); {
	case front == "migrated", w[0] == "GDG" && last == 1:
		e.Type = Other
		return e, true
	case front == "pseudo directory":
		e.Type = Dir
		return e, true
	case isVolume(w[0]) && (last == 2 && strings.HasSuffix(front, " tape") || strings.HasSuffix(front, " not direct access device") ||
		strings.HasSuffix(front, " not mounted") || strings.HasSuffix(front, " error determining attributes")):
		e.Type = Other
		return e, true
	}
	if last < 3 || !isVolume(w[0]) || !isUnit(w[1]) {
		return Entry{}, false
	}
	switch dsorg := w[last-1]; dsorg {
	case "PO", "PO-E", "POU":
		e.Type = Dir
	case "VSAM":
		if last == 3 {
			return e, true
		}
	case "PS", "PS-E", "PS-L", "PSU", "DA", "DAU", "IS", "ISU", "GDG", "**NONE**":
	default:
		return Entry{}, false
	}
	if w[2] != "**NONE**" {
		d, ok := numericDate(w[2], "/", yearMonthDay, midnight, l.location)
		if !ok {
			return Entry{}, false
		}
		e.Time, e.Precision = d.Time, d.precision
	}
	// Ext and Used grow together when they are large, so four or five columns
	// stand between date and organisation.
	if n := last - 1 - 3; n != 4 && n != 5 {
		return Entry{}, false
	}
	if !isDigits(w[3]) || !isDigits(w[last-2]) || !isDigits(w[last-3]) {
		return Entry{}, false
	}
	return e, true
}

// mvsMember reads the members of a partitioned data set. They may have no
// statistics; a load library prints sizes and addresses in hexadecimal.
//
//	Name      VV.MM   Created       Changed      Size  Init   Mod   Id
//	SAVE03    01.03 2002/09/12 2002/10/11 09:37    11    11     0 KIL001
//	SAVE04
func (l *reading) mvsMember(w []string) (Entry, bool) {
	e := Entry{Name: w[0], Type: File, Size: -1}
	if !isMember(w[0]) {
		return Entry{}, false
	}
	if len(w) >= 5 && isVersion(w[1]) {
		c, okClock := readClock(w[4])
		created, okCreated := numericDate(w[2], "/", yearMonthDay, midnight, l.location)
		changed, okChanged := numericDate(w[3], "/", yearMonthDay, c, l.location)
		if !okClock || !okCreated || !okChanged {
			return Entry{}, false
		}
		e.Created, e.Time, e.Precision = created.Time, changed.Time, changed.precision
		if len(w) == 9 {
			e.Owner = w[8]
		}
		l.members = true
		return e, true
	}
	if !l.members && (l.only != MVS || l.datasets) {
		return Entry{}, false
	}
	return e, len(w) == 1 || len(w[1]) == 6 && isHex(w[1])
}

// mvsJob reads the jobs of JES, whose output is fetched by the job's number:
//
//	JOBNAME  JOBID    OWNER    STATUS CLASS
//	IBMUSER2 JOB01906 IBMUSER  OUTPUT A        RC=0000 3 spool files
//	IBMUSER1  JOB01906  OUTPUT    3 Spool Files
func (l *reading) mvsJob(w []string) (Entry, bool) {
	if len(w) < 3 || !isMember(w[0]) || !isJob(w[1]) {
		return Entry{}, false
	}
	e := Entry{Name: w[1], Type: File, Size: -1}
	if isJobStatus(w[2]) {
		return e, true
	}
	if len(w) < 4 || !isJobStatus(w[3]) {
		return Entry{}, false
	}
	e.Owner = w[2]
	return e, true
}

func isJobStatus(s string) bool {
	return s == "INPUT" || s == "HELD" || s == "ACTIVE" || s == "OUTPUT"
}

// isJob reports whether s is the number of a job, "JOB01906" or "J0001906".
func isJob(s string) bool {
	for _, kind := range [...]string{"JOB", "TSU", "STC", "J", "T", "S"} {
		if digits, ok := strings.CutPrefix(s, kind); ok && len(s) == 8 && isDigits(digits) {
			return true
		}
	}
	return false
}

// isVolume reports whether s is a volume serial, one to six of A-Z, 0-9 and
// national letters.
func isVolume(s string) bool { return len(s) <= 6 && national(s) }

// isUnit reports whether s names a kind of device, "3390" or "TAPE".
func isUnit(s string) bool { return len(s) <= 8 && national(s) }

// isMember reports whether s is the name of a member or job: one to eight
// letters, digits and national letters, the first no digit.
func isMember(s string) bool {
	return len(s) <= 8 && national(s) && (s[0] < '0' || s[0] > '9')
}

func national(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '@' || c == '#' || c == '$':
		default:
			return false
		}
	}
	return s != ""
}

// isVersion reports whether s is "VV.MM".
func isVersion(s string) bool {
	return len(s) == 5 && s[2] == '.' && isDigits(s[:2]) && isDigits(s[3:])
}

func isHex(s string) bool { return strings.Trim(s, "0123456789ABCDEF") == "" }
