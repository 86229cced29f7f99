package listing

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// brief shows an entry as the tables below write it.
func brief(e Entry) string {
	b := fmt.Sprintf("%v %q %d", e.Type, e.Name, e.Size)
	switch e.Precision {
	case 0:
	case day:
		b += e.Time.Format(" 2006-01-02")
	case minute:
		b += e.Time.Format(" 2006-01-02T15:04")
	default:
		b += e.Time.Format(" 2006-01-02T15:04:05.999")
	}
	if e.Stated&FactMode != 0 {
		b += " " + string(appendMode(nil, &e))
	}
	for _, s := range []string{e.Owner, e.Group, e.Target} {
		if s != "" {
			b += " " + s
		}
	}
	return b
}

func TestParse(t *testing.T) {
	tests := []struct{ raw, want string }{
		// Unix: missing and odd columns.
		{"-rw-r--r-- ada crew 4 Jan  2  2006 sea", `file "sea" 4 2006-01-02 -rw-r--r-- ada crew`},
		{"drwxr-xr-x 2 4096 Jan  2  2006 sea", `dir "sea" 4096 2006-01-02 drwxr-xr-x`},
		{"-rw-r--r--. 1 ada crew 4 Jan  2  2006 sea", `file "sea" 4 2006-01-02 -rw-r--r-- ada crew`},
		{"-rw-r-lr-T@ 1 ada crew 4 Jan  2  2006 sea", `file "sea" 4 2006-01-02 -rw-r-Sr-T ada crew`},
		{"prw-r--r-- 1 ada crew 0 Jan  2  2006 pipe", `file "pipe" 0 2006-01-02 prw-r--r-- ada crew`},
		{"brw-rw---- 1 root disk 8,   1 Jan  2  2006 sda1", `file "sda1" -1 2006-01-02 brw-rw---- root disk`},
		{"brw-rw---- 1 root disk 8,1 Jan  2  2006 sda1", `file "sda1" -1 2006-01-02 brw-rw---- root disk`},
		{"Drw-r--r-- 1 ada crew 0 Jan  2  2006 door", `file "door" 0 2006-01-02 -rw-r--r-- ada crew`},
		{"?--------- 1 ada crew 0 Jan  2  2006 x", `other "x" 0 2006-01-02 ?--------- ada crew`},
		{"drwxr-xr-x 2 ada crew 4096 Jan  2  2006 ..", `dir ".." 4096 2006-01-02 drwxr-xr-x ada crew`},
		// Unix: a name keeps its blanks and may look like a date.
		{"-rw-r--r-- 1 a b 4 Jan  2  2006  5 Jan  3  2007 x ", `file " 5 Jan  3  2007 x " 4 2006-01-02 -rw-r--r-- a b`},
		// Unix: links.
		{"lrwxrwxrwx 1 a b 1 Jan  2  2006 x -> y", `link "x" 1 2006-01-02 lrwxrwxrwx a b y`},
		{"lrwxrwxrwx 1 a b 6 Jan  2  2006 x -> y -> z", `link "x" 6 2006-01-02 lrwxrwxrwx a b y -> z`},
		{"lrwxrwxrwx 1 a b 1 Jan  2  2006 x -> y -> z", `link "x -> y" 1 2006-01-02 lrwxrwxrwx a b z`},
		{"lrwxrwxrwx 1 a b 9 Jan  2  2006 x", `link "x" 9 2006-01-02 lrwxrwxrwx a b`},
		// Unix: dates.
		{"-rw-r--r-- 1 a b 4 Mar 11 22:59 sea", `file "sea" 4 2017-03-11T22:59 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 Mar 11 23:01 sea", `file "sea" 4 2016-03-11T23:01 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 Feb 29 12:00 sea", `file "sea" 4 2016-02-29T12:00 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 2 Jan 2006 sea", `file "sea" 4 2006-01-02 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 2. Mär 03:04 sea", `file "sea" 4 2017-03-02T03:04 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 déc.  2  2006 sea", `file "sea" 4 2006-12-02 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 f\xe9v  2  2006 sea", `file "sea" 4 2006-02-02 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 6\x8c\x8e 3\x93\xfa 2003\x94\x4e sea", `file "sea" 4 2003-06-03 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 6월 3일 03:04 sea", `file "sea" 4 2016-06-03T03:04 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 Jan  2 03:04:05 2006 sea", `file "sea" 4 2006-01-02T03:04:05 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 Jan  2 03:04:05 sea 1", `file "sea 1" 4 2017-01-02T03:04:05 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 01-02 2006 sea", `file "sea" 4 2006-01-02 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 01-02 03:04 sea", `file "sea" 4 2017-01-02T03:04 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 2006-01-02 03:04:05.678000000 +0000 sea", `file "sea" 4 2006-01-02T03:04:05.678 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 2006-01-02 03:04:05 +2400 sea", `file "+2400 sea" 4 2006-01-02T03:04:05 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 2006-01-02 03:04 +0100 sea", `file "+0100 sea" 4 2006-01-02T03:04 -rw-r--r-- a b`},
		{"-rw-r--r-- 1 a b 4 Feb 30  2006 sea", "refused"},
		{"-rw-r--r-- 1 a b 4 Jan  2 24:00 sea", "refused"},
		{"-rw-r--r-- 1 a b 9999999999999999999 Jan  2  2006 sea", "refused"},
		{"-rw-r--r-- 1 a b 4 Jan  2  2006 ", "refused"},
		{"-rw-r--r-- 1 a b 4 Jan  2  2006", "refused"},
		// Mac: the sum tells forks from links and owner.
		{"-rw-r--r--  3  4  7 Jan  2  2006 sea", `file "sea" 7 2006-01-02 -rw-r--r--`},
		{"-rw-r--r--  3  4  8 Jan  2  2006 sea", `file "sea" 8 2006-01-02 -rw-r--r-- 4`},
		// DOS
		{"01-02-06  12:04AM  4 sea", `file "sea" 4 2006-01-02T00:04`},
		{"01-02-06  12:04PM  9,730 sea", `file "sea" 9730 2006-01-02T12:04`},
		{"01/02/2006  03:04 PM  4  sea", `file " sea" 4 2006-01-02T15:04`},
		{"2006-01-02  15:04  4 sea", `file "sea" 4 2006-01-02T15:04`},
		{"02.01.2006  15:04:05  4 sea", `file "sea" 4 2006-01-02T15:04:05`},
		{"01-02-69  03:04PM  4 sea", `file "sea" 4 2069-01-02T15:04`},
		{"01-02-70  03:04PM  <DIR> sea", `dir "sea" 0 1970-01-02T15:04`},
		{"01-02-06  03:04PM       <DIR>            sea", `dir "  sea" 0 2006-01-02T15:04`},
		{"01-02-06  03:04PM  <JUNCTION>     sea [C:\\deep]", `link "sea" -1 2006-01-02T15:04 C:\deep`},
		{"01-02-06  13:04PM  4 sea", "refused"},
		{"01-02-06  03:04PM  9,73 sea", "refused"},
		{"01-02-06  03:04PM  <DIR>", "refused"},
		// EPLF
		{"+i8388621.48594,m825718503,r,s280,up644,\tdjb.html", `file "djb.html" 280 1996-03-01T22:15:03 -rw-r--r--`},
		{"+i8388621.50690,m824255907,/,\t514", `dir "514" -1 1996-02-13T23:58:27`},
		{"+\tsea", `other "sea" -1`},
		{"+r,sx,\tsea", "refused"},
		{"+r,m-1,\tsea", "refused"},
		{"+r,\t", "refused"},
		// NetWare
		{"d [R----F--] supervisor            512       Jan 16 18:53    login", `dir "login" 512 2017-01-16T18:53 supervisor`},
		{"- [R----F--] ada crew 4 Jan  2  2006 sea chart", `file "sea chart" 4 2006-01-02 ada crew`},
		{"d [R-x--F--] ada 4 Jan  2  2006 sea", "refused"},
		// VMS
		{"CORE.DIR;1          1  8-SEP-1996 16:09 [SYSTEM] (RWE,RWE,RE,RE)", `dir "CORE.DIR" 512 1996-09-08T16:09 drwxr-xr-x SYSTEM`},
		{"LOGIN.COM;4  %RMS-E-PRV, insufficient privilege or file protection violation", `file "LOGIN.COM" -1`},
		{"SEA^ CHART.TXT;2  2/3  2-JAN-2006 03:04:05.67", `file "SEA^ CHART.TXT" 1024 2006-01-02T03:04:05.67`},
		{"SEA.TXT;1  2/3  2-JAN-2006 03:04:05  [1,4]  (RWED)", "refused"},
		{"SEA.TXT;1\r\n   2/3  2-JAN-2006 03:04:05  [1,4]  (RWED,RWED,RE,)", `file "SEA.TXT" 1024 2006-01-02T03:04:05 -rwxr-x--- 4 1`},
		{"SEA.TXT;1\r\nSKY.TXT;1", "refused"},
		// MVS
		{"WYOSPT 3420   2003/05/21  1  200  FB      80  8053  PS  SEA.CHART", `file "SEA.CHART" -1 2003-05-21`},
		{"NRP004 3390   **NONE**    1   15  NONE     0     0  PO  SEA.CHART", `dir "SEA.CHART" -1`},
		{"TSO005 3390   2005/06/06 213000 U 0 27998 PO-E SEA.CHART", `dir "SEA.CHART" -1 2005-06-06`},
		{"TSO004 3390   VSAM SEA.CHART", `file "SEA.CHART" -1`},
		{"Pseudo Directory                                          SEA", `dir "SEA" -1`},
		{"TSO004 3390   2005/06/31  1    1  FB     128  6144  PS    SEA", "refused"},
		{"USER1A   J0000123 USER1    HELD   A", `file "J0000123" -1 USER1`},
		// OS/400
		{"QSYS            77824 02/23/00 15:09:55 *DIR SEA/", `dir "SEA" 77824 2000-02-23T15:09:55 QSYS`},
		{"QSYS            77824 23/02/99 15:09:55 *STMF SEA", `file "SEA" 77824 1999-02-23T15:09:55 QSYS`},
		{"QSYS            77824 06-01-02 15:09:55 *SYMLNK SEA", `link "SEA" 77824 2006-01-02T15:09:55 QSYS`},
		// OS/2
		{"  4      RHSA  DIR   01-02-06   03:04   sea", `dir " sea" 4 2006-01-02T03:04`},
		// MLSx
		{"Type=file;Size=4;Perms=rw; sea", `file "sea" 4`},
		{"type=OS.unix=chr-8/1; x", `file "x" -1 c---------`},
		{"type=file;UNIX.owner=Domain Users; sea", `file "sea" -1 Domain Users`},
		{"type=file;UNIX.uid=7;UNIX.ownername=ada;UNIX.gid=8; sea", `file "sea" -1 ada 8`},
		{"modify=20060102150405.678;create=20060102150405; x", `other "x" -1 2006-01-02T15:04:05.678`},
		{"modify=20060230000000; x", "refused"},
		{"size=-1; x", "refused"},
		{"unix.mode=0888; x", "refused"},
		{"colour=blue; x", "refused"},
		// Connect:Enterprise
		{"-CR-------FTP A ADA CREW 4 Jan  2  2006 SEA", `file "SEA" 4 2006-01-02 ADA CREW`},
		{"-cr-------FTP A ADA CREW 4 Jan  2  2006 SEA", "refused"},
		{"-CR-------FTP ADA CREW 4 Jan  2  2006 SEA", "refused"},
		{"-CR-------FTP A ADA CREW 4 SEA", "refused"},
		// No dialect.
		{"ls: sea: No such file or directory", "refused"},
		{"./harbour:", "refused"},
		{"sea.txt", "refused"},
		{"<html>", "refused"},
		{"total 12", "refused"},
	}
	for _, tt := range tests {
		t.Run(tt.raw, func(t *testing.T) {
			t.Parallel()
			e, err := Parse(tt.raw+"\r\n", Options{Now: testNow})
			got := brief(e)
			if err != nil {
				got = "refused"
			}
			if got != tt.want {
				t.Errorf("got  %s (%v)\nwant %s", got, err, tt.want)
			}
		})
	}
}

func TestParseMLST(t *testing.T) {
	for raw, want := range map[string]string{
		" type=file;size=4; sea": `file "sea" 4`,
		"type=file;size=4; sea":  `file "sea" 4`,
		"  /no/facts":            `other "/no/facts" -1`,
	} {
		e, err := ParseMLST(raw)
		if got := brief(e); err != nil || got != want {
			t.Errorf("%q: got %s, %v; want %s", raw, got, err, want)
		}
	}
	_, err := ParseMLST(" type=file")
	if le, ok := errors.AsType[*LineError](err); !ok || !strings.Contains(le.Error(), `"type=file": want`) {
		t.Errorf("got %v, want a LineError that shows the line and what was wanted", err)
	}
}

func TestLocation(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 2*3600)
	for raw, want := range map[string]string{
		"-rw-r--r-- 1 a b 4 Jan  2  2006 x":                                     "2006-01-02T00:00:00+02:00",
		"-rw-r--r-- 1 a b 4 Mar 12 00:59 x":                                     "2017-03-12T00:59:00+02:00", // a day ahead there, not here
		"-rw-r--r-- 1 a b 4 2006-01-02 03:04:05.000 -0700 x":                    "2006-01-02T03:04:05-07:00",
		"01-02-06  03:04AM  4 x":                                                "2006-01-02T03:04:00+02:00",
		"type=file;modify=20060102030405; x":                                    "2006-01-02T03:04:05Z",
		"+m825718503,\tx":                                                       "1996-03-01T22:15:03Z",
		"X.TXT;1  2/3  2-JAN-2006 03:04:05":                                     "2006-01-02T03:04:05+02:00",
		"SAVE00 3390   2004/06/23  1    1  FB     128  6144  PS    SEA.CHART":   "2004-06-23T00:00:00+02:00",
		"PEP              4019 04/03/18 18:58:16 *STMF      einladung.zip":      "2004-03-18T18:58:16+02:00",
		"     0           DIR   12-30-97   12:32  x":                            "1997-12-30T12:32:00+02:00",
		"d [RWCEAFMS] rwinston                          512 Nov 24  2005 Light": "2005-11-24T00:00:00+02:00",
	} {
		e, err := Parse(raw, Options{Now: testNow, Location: zone})
		if got := e.Time.Format(time.RFC3339); err != nil || got != want {
			t.Errorf("%q: got %s, %v; want %s", raw, got, err, want)
		}
	}
}

// A refusal says what was given and what would be right: of the dialect that
// was asked for, else of the lines before.
func TestLineError(t *testing.T) {
	t.Parallel()
	for d := Detect; int(d) <= len(dialects); d++ {
		_, err := Parse("tide\x1b", Options{Dialect: d})
		le, ok := errors.AsType[*LineError](err)
		if !ok || le.Text != "tide\x1b" || le.Want == "" || strings.Contains(le.Error(), "\x1b") {
			t.Errorf("%v: got %#v", d, err)
		}
		if d != Detect && int(d) < len(dialects) && le.Want != dialects[d].want {
			t.Errorf("%v: wants %q", d, le.Want)
		}
	}
	var last string
	for _, err := range Read(strings.NewReader("01-02-06  03:04AM  4 sea\ntide\n"), Options{}) {
		last = fmt.Sprint(err)
	}
	if want := `listing line 2: "tide": want date, time`; !strings.HasPrefix(last, want) {
		t.Errorf("got %q, want %q", last, want)
	}
}

// read shows a listing as one line for each entry and each refusal.
func read(in string, o Options) string {
	o.Now = testNow
	var b strings.Builder
	for e, err := range Read(strings.NewReader(in), o) {
		if le, ok := errors.AsType[*LineError](err); ok {
			fmt.Fprintf(&b, "line %d: %q\n", le.Line, le.Text)
		} else if err != nil {
			fmt.Fprintln(&b, err)
		} else {
			fmt.Fprintln(&b, brief(e))
		}
	}
	return b.String()
}

func TestRead(t *testing.T) {
	tests := []struct {
		name, in string
		o        Options
		want     string
	}{
		{name: "empty"},
		{
			name: "ls -la", in: `total 12
drwxr-xr-x   2 a        b            4096 Jan  2  2006 .
-rw-r--r--   1 a        b               4 Jan  2  2006 sea

ls: sky: Permission denied
-rw-r--r--   1 a        b               5 Jan  2  2006 sun`,
			want: `dir "." 4096 2006-01-02 drwxr-xr-x a b
file "sea" 4 2006-01-02 -rw-r--r-- a b
line 5: "ls: sky: Permission denied"
file "sun" 5 2006-01-02 -rw-r--r-- a b
`,
		},
		{
			name: "CR CR LF, from an ASCII conversion done twice",
			in:   "type=file; sea\r\r\ntype=dir; sky\r\r\n",
			want: "file \"sea\" -1\ndir \"sky\" -1\n",
		},
		{
			name: "MLSx without facts, once it is known",
			in:   " sea\r\ntype=file; sky\r\n sun\r\n  \r\n",
			want: "line 1: \" sea\"\nfile \"sky\" -1\nother \"sun\" -1\nother \" \" -1\n",
		},
		{
			name: "MLSx without facts, held", o: Options{Dialect: MLSx},
			in:   " sea\r\ntotal 12\r\n",
			want: "other \"sea\" -1\nline 2: \"total 12\"\n",
		},
		{
			name: "VMS with headings and broken lines", in: `
Directory USER1:[TEMP]

1-JUN.LIS;1              9/9           2-JUN-1998 07:32:04  [GROUP,OWNER]    (RWED,RWED,RWED,RE)
UCX$REXECD_STARTUP.LOG;1098
                         4/15         24-FEB-2003 13:17:24  [POSTWARE,LP]    (RWED,RWED,RE,)
LOST.TXT;1
SEA.TXT;1
2/3  2-JAN-2006 03:04:05  [POSTWARE,LP]    (RWED,RWED,RE,)
LAST.TXT;1

Total of 5 files, 17/30 blocks.
Grand total of 1 directory, 5 files, 17/30 blocks.
`,
			want: `file "1-JUN.LIS" 4608 1998-06-02T07:32:04 -rwxrwxr-x OWNER GROUP
file "UCX$REXECD_STARTUP.LOG" 2048 2003-02-24T13:17:24 -rwxr-x--- LP POSTWARE
line 7: "LOST.TXT;1"
file "SEA.TXT" 1024 2006-01-02T03:04:05 -rwxr-x--- LP POSTWARE
line 10: "LAST.TXT;1"
`,
		},
		{
			name: "VMS, cut in an entry",
			in:   "SEA.TXT;1\r\n",
			want: "line 1: \"SEA.TXT;1\"\n",
		},
		{
			name: "MVS members", in: ` Name     VV.MM   Created       Changed      Size  Init   Mod   Id
SAVE03    01.03 2002/09/12 2002/10/11 09:37    11    11     0 KIL001
SAVE04
save.five
`,
			want: `file "SAVE03" -1 2002-10-11T09:37 KIL001
file "SAVE04" -1
line 4: "save.five"
`,
		},
		{
			name: "MVS load library", in: ` Name      Size     TTR   Alias-of AC --------- Attributes --------- Amode Rmode
SEA      000008   000806          00 FO                   RN RU      31    ANY
SKY is not a module
`,
			want: "file \"SEA\" -1\nline 3: \"SKY is not a module\"\n",
		},
		{
			name: "MVS data sets have no bare names", o: Options{Dialect: MVS}, in: `Volume Unit    Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname
SAVE00 3390   2004/06/23  1    1  FB     128  6144  PS    SEA.CHART
SEA
`,
			want: "file \"SEA.CHART\" -1 2004-06-23\nline 3: \"SEA\"\n",
		},
		{
			name: "MVS data sets that are on no disk", in: `Volume Unit    Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname
V43525 Tape                                             SEA.TAPE
GDG                                                     SEA.LOG
SAVE00 3390   2004/06/23  1    1  FB     128  6144  PS  SEA.CHART
GDG on no volume
`,
			want: "other \"SEA.TAPE\" -1\nother \"SEA.LOG\" -1\nfile \"SEA.CHART\" -1 2004-06-23\nline 5: \"GDG on no volume\"\n",
		},
		{
			name: "years as C counts them", in: `     0           DIR   12-30-99   12:32  sea
 33280      A          02-09-103   13:49  sky
01-02-126  03:04AM                    4 sun
01-02-099  03:04AM                    4 moon
`,
			want: `dir "sea" 0 1999-12-30T12:32
file "sky" 33280 2003-02-09T13:49
file "sun" 4 2026-01-02T03:04
line 4: "01-02-099  03:04AM                    4 moon"
`,
		},
		{
			name: "JES", in: `JOBNAME  JOBID    OWNER    STATUS CLASS
IBMUSER2 JOB01906 IBMUSER  OUTPUT A        RC=0000 3 spool files
`,
			want: "file \"JOB01906\" -1 IBMUSER\n",
		},
		{
			name: "OS/400 keeps the order of dates that one of them proved", in: `PEP 1 02/03/04 18:58:16 *STMF a
PEP 1 02/23/04 18:58:16 *STMF b
PEP 1 02/03/04 18:58:16 *STMF c
`,
			want: `file "a" 1 2002-03-04T18:58:16 PEP
file "b" 1 2004-02-23T18:58:16 PEP
file "c" 1 2004-02-03T18:58:16 PEP
`,
		},
		{
			name: "a line that is too long is refused, the next is read", o: Options{MaxLine: 20},
			in:   "type=file; " + strings.Repeat("x", 50) + "\r\ntype=file; sea\r\n",
			want: "line 1: \"type=file; xxxxxxxxxxx\"\nfile \"sea\" -1\n",
		},
		{
			name: "a line that just fits", o: Options{MaxLine: 20},
			in:   "type=file; 901234567\r\n" + "type=file; 901234567\n",
			want: "file \"901234567\" -1\nfile \"901234567\" -1\n",
		},
		{
			name: "facts that were cut",
			in:   "type=file; sea.txt\r\n" + "type=file; harbo",
			want: "file \"sea.txt\" -1\nline 2: \"type=file; harbo\"\n",
		},
		{
			name: "a long line without end", o: Options{MaxLine: 20},
			in:   strings.Repeat("x", 100),
			want: "line 1: \"" + strings.Repeat("x", 22) + "\"\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, read(tt.in, tt.o)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A connection that breaks in a line must not make a file out of half a name.
func TestReadBroken(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	in := io.MultiReader(strings.NewReader("type=file; sea\r\nSEA.TXT;1\r\ntype=file; sk"), iotest.ErrReader(broken))
	var got []string
	for e, err := range Read(in, Options{}) {
		switch {
		case errors.Is(err, broken):
			got = append(got, "broken")
		case err != nil:
			got = append(got, "line")
		default:
			got = append(got, e.Name)
		}
	}
	if diff := cmp.Diff([]string{"sea", "line", "broken"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestReadStops(t *testing.T) {
	t.Parallel()
	in := "bad\r\nSEA.TXT;1\r\ntype=file; sea\r\nSKY.TXT;1\r\n 2/3  2-JAN-2006 03:04:05\r\n" + strings.Repeat("x", 200) + "\r\n"
	total := 0
	for range Read(strings.NewReader(in), Options{MaxLine: 100}) {
		total++
	}
	if total != 5 {
		t.Fatalf("%d steps, want 5", total)
	}
	for stop := 1; stop <= total; stop++ {
		n := 0
		for range Read(strings.NewReader(in), Options{MaxLine: 100}) {
			if n++; n == stop {
				break
			}
		}
	}
}

// Bytes that come one at a time are the same listing.
func TestReadOneByte(t *testing.T) {
	t.Parallel()
	n := 0
	for e, err := range Read(iotest.OneByteReader(strings.NewReader("type=file; sea\r\ntype=file; sea\r\n")), Options{}) {
		if err != nil || e.Name != "sea" {
			t.Errorf("got %q, %v", e.Name, err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
}

// repeated is a listing of n times one line.
type repeated struct {
	line []byte
	n    int
	at   int // in line
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.line[r.at:])
	if r.at += n; r.at == len(r.line) {
		r.at = 0
		r.n--
	}
	return n, nil
}

// A million entries cost the text of each line, which dies with its entry, and
// nothing that grows.
func TestReadMillion(t *testing.T) {
	const million = 1_000_000
	src := &repeated{line: AppendMLSx(nil, &sea, AllFacts), n: million}
	var before, after, held runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for e, err := range Read(src, Options{}) {
		if err != nil || e.Name != sea.Name {
			t.Fatalf("%q, %v", e.Name, err)
		}
		if n++; n == million {
			runtime.ReadMemStats(&after)
			runtime.GC()
			runtime.ReadMemStats(&held)
		}
	}
	if n != million {
		t.Fatalf("%d entries", n)
	}
	if got := float64(after.Mallocs-before.Mallocs) / million; got > 1.1 {
		t.Errorf("%.2f allocations for a line, want 1", got)
	}
	if grown := int64(held.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("%d bytes held after a million entries", grown)
	}
}

func TestReadAllocations(t *testing.T) {
	for d, line := range map[Dialect]string{
		Unix:    "-rw-r--r--    1 ada      crew             4096 Jan  2 15:04 sea.txt\r\n",
		DOS:     "01-02-26  03:04AM                    4 sea.txt\r\n",
		Mac:     "-rw-r--r--    54149       27826    81975 Jul 22  2010 09.jpg\r\n",
		NetWare: "d [RWCEAFMS] rwinston                          512 Nov 24  2005 Favorites\r\n",
		OS2:     "     0           DIR   12-30-97   12:32  jbrekke\r\n",
	} {
		const lines = 1000
		in := strings.Repeat(line, lines)
		got := testing.AllocsPerRun(5, func() {
			for _, err := range Read(strings.NewReader(in), Options{Now: testNow}) {
				if err != nil {
					t.Fatal(err)
				}
			}
		})
		if got > 1.1*lines {
			t.Errorf("%v: %v allocations for %d lines, want one each", d, got, lines)
		}
	}
}

func FuzzRead(f *testing.F) {
	for d := Detect; int(d) < len(dialects); d++ {
		f.Add("total 1\r\n-rw-r--r-- 1 a b 4 Jan  2 03:04 x -> y\r\n", uint8(d), int64(0))
		f.Add("type=file;modify=20060102150405.6; x\r\n \r\n", uint8(d), int64(math.MaxInt32))
		f.Add("A.;1\r\n 1/1 2-JAN-2006 03:04 [A,B (,,,)\r\n+s1,\tx\n", uint8(d), int64(-1))
		f.Add(" Name VV.MM x\r\nA\r\nP 1 1/2/03 1:02:03 *DIR x/\r\n1 DIR 1-2-03 4:05  x", uint8(d), int64(1))
		f.Add("d [-] a 1 6月 3日 2003年  x\r\nVOL 3390 2004/06/23 1 1 FB 1 1 PO X\r\n01-02-06  03:04PM  <DIR> x", uint8(d), int64(1))
		f.Add("-C--E-----FTP B Q 1 4 Aug 12 13:56 X\r\n-rw-r--r--  3  4  7 Jan  2  2006 sea\r\nJ JOB00001 HELD", uint8(d), int64(1))
	}
	f.Fuzz(func(t *testing.T, in string, dialect uint8, now int64) {
		o := Options{Now: time.Unix(now%(1<<38), 0), Dialect: Dialect(dialect), MaxLine: 256}
		if e, err := Parse(in, o); err == nil && e.Name == "" {
			t.Errorf("%q gives an entry without name", in)
		}
		last := 0
		for e, err := range Read(strings.NewReader(in), o) {
			if err == nil {
				_, ahead := e.Time.Zone() // a day ends JSON
				if e.Name == "" || strings.Contains(e.Name, "\n") || e.Size < -1 || ahead <= -24*60*60 || ahead >= 24*60*60 {
					t.Errorf("%q gives %+v", in, e)
				}
				continue
			}
			le, ok := errors.AsType[*LineError](err)
			if !ok || le.Line <= last || le.Want == "" || le.Text == "" {
				t.Errorf("%q gives %#v after line %d", in, err, last)
				continue
			}
			last = le.Line
		}
	})
}

// fuzzEntry makes an entry that a server might write.
func fuzzEntry(name, target string, kind uint8, size, seconds int64, mode uint32) Entry {
	e := Entry{
		Name: name, Target: target, Type: File + Type(kind%3), Size: size,
		Time: time.Unix(seconds, 0).UTC(), Mode: fileMode(mode & 0o7777),
		Owner: "ada", Group: "crew", Links: int(mode%1000) + 1,
	}
	if e.Type != Link {
		e.Target = ""
	}
	if kind&8 != 0 && e.Type == File {
		e.Mode |= specials[kind>>4&3].mode
	}
	return e
}

// addEntries seeds a fuzz target that takes fuzzEntry's arguments.
func addEntries(f *testing.F) {
	f.Add("sea.txt", "", uint8(0), int64(4), int64(1136214245), uint32(0o644))
	f.Add(" a -> b ", "c -> d", uint8(2), int64(6), int64(0), uint32(0o7777))
	f.Add("a\r\nb\x00\t;", "\x1b[", uint8(8), int64(math.MaxInt64), int64(253402300799), uint32(0o5000))
	f.Add("試験 12 Jan  2  2006 x", "", uint8(1), int64(-1), int64(-62135596801), uint32(0))
	f.Add(" ", "", uint8(1), int64(0), int64(1136214245), uint32(0))
	f.Add("[x]", "", uint8(1), int64(0), int64(951782400), uint32(0o755)) // 29 February
}

// one reads back exactly one entry out of what was appended.
func one(t *testing.T, line []byte, o Options) Entry {
	t.Helper()
	var got []Entry
	for e, err := range Read(strings.NewReader(string(line)), o) {
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got = append(got, e)
	}
	if len(got) != 1 {
		t.Fatalf("%q gives %d entries", line, len(got))
	}
	return got[0]
}

// A name comes back with its control bytes as \xNN.
func escaped(s string) string { return string(appendName(nil, s)) }

// tooLong keeps fuzzed names within the length of a line.
func tooLong(names ...string) bool { return len(strings.Join(names, "")) > DefaultMaxLine/8 }

func FuzzMLSxRoundTrip(f *testing.F) {
	addEntries(f)
	f.Fuzz(func(t *testing.T, name, target string, kind uint8, size, seconds int64, mode uint32) {
		if name == "" || tooLong(name, target) {
			t.Skip("no name that a server has")
		}
		want := fuzzEntry(name, target, kind, size, seconds, mode)
		got := one(t, AppendMLSx(nil, &want, AllFacts), Options{})
		if got.Name != escaped(name) || got.Type != want.Type || got.Mode != want.Mode || got.Owner != want.Owner || got.Group != want.Group {
			t.Errorf("%+v\ncomes back as %+v", want, got)
		}
		if size := max(-1, want.Size); want.Type != Dir && got.Size != size {
			t.Errorf("size %d comes back as %d", want.Size, got.Size)
		}
		if y := want.Time.Year(); y >= 0 && y <= 9999 && !want.Time.IsZero() && !got.Time.Equal(want.Time) {
			t.Errorf("%v comes back as %v", want.Time, got.Time)
		}
		if got.Target != "" && got.Target != escaped(target) {
			t.Errorf("target %q comes back as %q", target, got.Target)
		}
	})
}

func FuzzUnixRoundTrip(f *testing.F) {
	addEntries(f)
	f.Fuzz(func(t *testing.T, name, target string, kind uint8, size, seconds int64, mode uint32) {
		want := fuzzEntry(name, target, kind, size, seconds, mode)
		if y := want.Time.Year(); name == "" || tooLong(name, target) || y < 0 || y > 9999 || want.Time.IsZero() {
			t.Skip("no name or time that a server has")
		}
		if want.Type == Link {
			if want.Target == "" {
				t.Skip("a link leads somewhere")
			}
			want.Size = int64(len(escaped(target)))
		}
		now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
		if mode&0x1000 != 0 { // a time of day is shown
			now = want.Time.Add(time.Duration(mode>>16) * time.Minute)
		}
		got := one(t, AppendUnix(nil, &want, now), Options{Now: now})
		if got.Name != escaped(name) || got.Target != escaped(want.Target) || got.Type != want.Type || got.Mode != want.Mode ||
			got.Owner != want.Owner || got.Group != want.Group || got.Links != want.Links || got.Size != max(0, want.Size) {
			t.Errorf("%+v\ncomes back as %+v", want, got)
		}
		y, m, d := want.Time.Date()
		wantTime := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
		if got.Precision == minute {
			wantTime = want.Time.Truncate(minute)
		}
		if !got.Time.Equal(wantTime) {
			t.Errorf("%v at %v comes back as %v", want.Time, now, got.Time)
		}
	})
}

func FuzzDOSRoundTrip(f *testing.F) {
	addEntries(f)
	f.Fuzz(func(t *testing.T, name, target string, kind uint8, size, seconds int64, mode uint32) {
		want := fuzzEntry(name, target, kind&1, size, seconds, mode)
		if y := want.Time.Year(); name == "" || tooLong(name) || y < 0 || y > 9999 || want.Time.IsZero() {
			t.Skip("no name or time that a server has")
		}
		got := one(t, AppendDOS(nil, &want), Options{Dialect: DOS})
		if got.Name != escaped(name) || got.Type != want.Type || want.Type == File && got.Size != max(0, want.Size) {
			t.Errorf("%+v\ncomes back as %+v", want, got)
		}
		if !got.Time.Equal(want.Time.Truncate(minute)) {
			t.Errorf("%v comes back as %v", want.Time, got.Time)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	for name, in := range map[string]string{
		"MLSx": string(AppendMLSx(nil, &sea, DefaultFacts)),
		"Unix": string(AppendUnix(nil, &sea, sea.Time)),
		"DOS":  string(AppendDOS(nil, &sea)),
	} {
		in = strings.Repeat(in, 10_000)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range Read(strings.NewReader(in), Options{}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// TestReadIdle: what brings nothing has an end, and what brings something has
// none.
func TestReadIdle(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"x", "\r\n", "total 0\r\n"} {
		endless := strings.NewReader(strings.Repeat(text, 2<<20))
		var last error
		for e, err := range Read(endless, Options{}) {
			if last = err; err == nil {
				t.Fatalf("%q gives %+v", text, e)
			}
		}
		if !errors.Is(last, errIdle) || endless.Len() == 0 {
			t.Errorf("%q ends with %v, and %d bytes are unread", text, last, endless.Len())
		}
	}
	n := 0
	for _, err := range Read(strings.NewReader(strings.Repeat("\r\n\r\n-rw-r--r-- 1 u g 1 Jan 1 2020 f\r\n", 50_000)), Options{}) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != 50_000 {
		t.Errorf("%d entries", n)
	}
}
