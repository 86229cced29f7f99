package accounts

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/go-crypt/x/crypt"
	"github.com/go-crypt/x/yescrypt"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// What [Hash] asks of argon2id (RFC 9106): 19 MiB and two passes on one thread,
// the smallest that OWASP recommends, since a server pays it for strangers.
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32
)

// What a hash may ask of this machine; a slip of the keyboard must not take
// all its memory.
const (
	maxMemory     = 256 << 10 // KiB
	maxTime       = 64
	maxThreads    = 64
	maxBcryptCost = 16
	minSHARounds  = 1000
	maxSHARounds  = 5_000_000
)

// maxPassword is the longest password, in bytes. It fits in one command line.
const maxPassword = 1024

// Hash returns the argon2id hash of a password in the PHC string format,
// "$argon2id$v=19$m=19456,t=2,p=1$salt$key". It refuses passwords that
// [CheckPassword] refuses.
func Hash(password string) (string, error) {
	if err := CheckPassword(password); err != nil {
		return "", err
	}
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // crypto/rand.Read never fails
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key)), nil
}

// CheckPassword tells why a password cannot be used: it is empty, longer than
// 1,024 bytes, or has a byte that cannot be sent in a command line.
func CheckPassword(password string) error {
	switch {
	case password == "":
		return errors.New("the password is empty")
	case len(password) > maxPassword:
		return fmt.Errorf("the password has %d bytes: want at most %d", len(password), maxPassword)
	case strings.ContainsAny(password, "\r\n\x00"):
		return errors.New("the password has a line end or a NUL in it, which no FTP client can send")
	}
	return nil
}

// Check tells whether password is the one that hash was made of. Besides
// argon2id it reads bcrypt ($2a$, $2b$, $2y$), yescrypt ($y$), SHA-crypt ($5$,
// $6$) and MD5-crypt ($1$), as they stand in /etc/shadow, in htpasswd files and
// in those of other servers. The error is that of [CheckHash].
func Check(hash, password string) (bool, error) {
	match, err := readHash(hash)
	if err != nil || len(password) > maxPassword {
		return false, err
	}
	return match([]byte(password)), nil
}

// CheckHash tells what is wrong with a hash. It never shows the hash, which
// may be a password that somebody put in its place.
func CheckHash(hash string) error {
	_, err := readHash(hash)
	return err
}

// Scheme names the kind of a hash, such as "argon2id", or "" if it is none.
func Scheme(hash string) string {
	for _, s := range schemes {
		if strings.HasPrefix(hash, s.prefix) {
			return s.name
		}
	}
	return ""
}

// matcher tells whether a password is the right one.
type matcher func(password []byte) bool

var schemes = []struct {
	prefix, name string
	read         func(fields []string) (matcher, error)
}{
	{"$argon2id$", "argon2id", readArgon2id},
	{"$2a$", "bcrypt", readBcrypt},
	{"$2b$", "bcrypt", readBcrypt},
	{"$2y$", "bcrypt", readBcrypt},
	{"$y$", "yescrypt", readYescrypt},
	{"$6$", "sha512-crypt", readSHACrypt(sha512.New, 86)},
	{"$5$", "sha256-crypt", readSHACrypt(sha256.New, 43)},
	{"$1$", "md5-crypt", readMD5Crypt},
}

// readHash gives the fields of a hash, "$scheme$a$b" as {"scheme", "a", "b"},
// to the scheme that it names.
func readHash(hash string) (matcher, error) {
	for _, s := range schemes {
		if !strings.HasPrefix(hash, s.prefix) {
			continue
		}
		m, err := s.read(strings.Split(hash[1:], "$"))
		if err != nil {
			return nil, fmt.Errorf("%s hash: %w", s.name, err)
		}
		return m, nil
	}
	if hash == "" {
		return nil, errors.New("there is no password hash")
	}
	return nil, errors.New("this is no password hash: want argon2id, bcrypt, yescrypt or crypt as $5$, $6$ or $1$; towpath account passwd makes one")
}

func readArgon2id(f []string) (matcher, error) {
	if len(f) != 5 || f[1] != "v=19" {
		return nil, errors.New("want $argon2id$v=19$m=…,t=…,p=…$salt$key")
	}
	var memory, time, threads uint32
	for i, p := range []struct {
		prefix string
		to     *uint32
		max    uint64
	}{{"m=", &memory, maxMemory}, {"t=", &time, maxTime}, {"p=", &threads, maxThreads}} {
		params := strings.Split(f[2], ",")
		if len(params) != 3 {
			return nil, fmt.Errorf("parameters %q: want m=…,t=…,p=…", f[2])
		}
		digits, ok := strings.CutPrefix(params[i], p.prefix)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || n < 1 || n > p.max {
			return nil, fmt.Errorf("parameter %q: want %s1 to %s%d", params[i], p.prefix, p.prefix, p.max)
		}
		*p.to = uint32(n)
	}
	salt, err := base64.RawStdEncoding.DecodeString(f[3])
	if err != nil || len(salt) < 8 || len(salt) > 64 {
		return nil, errors.New("the salt is not 8 to 64 bytes in base64")
	}
	key, err := base64.RawStdEncoding.DecodeString(f[4])
	if err != nil || len(key) < 16 || len(key) > 64 {
		return nil, errors.New("the key is not 16 to 64 bytes in base64")
	}
	return func(password []byte) bool {
		return equal(key, argon2.IDKey(password, salt, time, memory, uint8(threads), uint32(len(key))))
	}, nil
}

func readBcrypt(f []string) (matcher, error) {
	hash := []byte("$" + strings.Join(f, "$"))
	cost, err := bcrypt.Cost(hash)
	if err != nil || len(f) != 3 || len(hash) != 60 || !isCrypt64(f[2]) {
		return nil, errors.New("want $2b$cost$ and 53 letters")
	}
	if cost > maxBcryptCost {
		return nil, fmt.Errorf("cost %d: want at most %d", cost, maxBcryptCost)
	}
	return func(password []byte) bool {
		// bcrypt knows 72 bytes and no more, whoever made the hash.
		return bcrypt.CompareHashAndPassword(hash, password[:min(len(password), 72)]) == nil
	}, nil
}

func readYescrypt(f []string) (matcher, error) {
	if len(f) != 4 || len(f[1]) != 3 || len(f[3]) != 43 || !isCrypt64(f[2]+f[3]) {
		return nil, errors.New("want $y$ and three letters of parameters, salt and key")
	}
	_, log, r, err := yescrypt.DecodeSetting([]byte(f[1]))
	if err != nil || log < 10 || log > 18 || r < 1 || r > 32 || r<<log > maxMemory*8 { // 128 bytes each
		return nil, fmt.Errorf("parameters %q: want those that libxcrypt makes, up to %d MiB", f[1], maxMemory>>10)
	}
	hash := []byte("$" + strings.Join(f, "$"))
	if yescrypt.Decode64([]byte(f[2])) == nil {
		return nil, errors.New("the salt cannot be read")
	}
	return func(password []byte) bool {
		got, err := yescrypt.Hash(password, hash)
		return err == nil && equal(got, hash)
	}, nil
}

func readSHACrypt(sum func() hash.Hash, keyLen int) func([]string) (matcher, error) {
	return func(f []string) (matcher, error) {
		rounds := 5000 // when the hash does not say
		if len(f) == 4 {
			digits, ok := strings.CutPrefix(f[1], "rounds=")
			n, err := strconv.Atoi(digits)
			if !ok || err != nil || n < minSHARounds || n > maxSHARounds {
				return nil, fmt.Errorf("parameter %q: want rounds=%d to rounds=%d", f[1], minSHARounds, maxSHARounds)
			}
			rounds = n
			f = f[1:]
		}
		if len(f) != 3 || len(f[1]) > 16 || len(f[2]) != keyLen || !isCrypt64(f[2]) {
			return nil, fmt.Errorf("want a salt of up to 16 letters and a key of %d", keyLen)
		}
		salt, key := []byte(f[1]), []byte(f[2])
		return func(password []byte) bool {
			return equal(key, crypt.KeySHACrypt(sum, password, salt, rounds))
		}, nil
	}
}

func readMD5Crypt(f []string) (matcher, error) {
	if len(f) != 3 || len(f[1]) > 8 || len(f[2]) != 22 || !isCrypt64(f[2]) {
		return nil, errors.New("want a salt of up to 8 letters and a key of 22")
	}
	salt, key := []byte(f[1]), []byte(f[2])
	return func(password []byte) bool {
		return equal(key, crypt.KeyMD5Crypt(password, salt))
	}, nil
}

// isCrypt64 tells whether s is made of the 64 letters that crypt(3) uses.
func isCrypt64(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '.' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

func equal(a, b []byte) bool {
	return subtle.ConstantTimeCompare(a, b) == 1
}
