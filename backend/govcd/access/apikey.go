package access

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/caiatech/caiatop/config"
)

// KeyPrefix is how every API key begins, for people and for scanners of leaked
// secrets.
const KeyPrefix = "caia_"

const (
	keyRandom = 32 // bytes
	keyDigits = 2 * keyRandom
	sumDigits = 8
	keyLength = len(KeyPrefix) + keyDigits + sumDigits
	// idDigits of the hash name a key in lists and in the audit.
	idDigits = 12
)

// errMistyped: a key that was never made, by its own checksum.
var errMistyped = errors.New("the API key is mistyped or cut off: its checksum does not match")

// newAPIKey makes a key.
func newAPIKey(random io.Reader) (config.Secret, error) {
	var secret [keyRandom]byte
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return config.Secret{}, fmt.Errorf("make a key: %w", err)
	}
	body := KeyPrefix + hex.EncodeToString(secret[:])
	return config.NewSecret(body + checksum(body)), nil
}

func checksum(body string) string {
	return fmt.Sprintf("%0*x", sumDigits, crc32.ChecksumIEEE([]byte(body)))
}

// hashAPIKey checks the form of a key, which tells a mistyped one from an
// unknown one without a look into any list, and returns what it is stored as.
func hashAPIKey(key string) ([sha256.Size]byte, error) {
	if len(key) != keyLength || !strings.HasPrefix(key, KeyPrefix) || !lowerHex(key[len(KeyPrefix):]) {
		return [sha256.Size]byte{}, errMistyped
	}
	body, sum := key[:keyLength-sumDigits], key[keyLength-sumDigits:]
	if checksum(body) != sum {
		return [sha256.Size]byte{}, errMistyped
	}
	return sha256.Sum256([]byte(key)), nil
}

func lowerHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// keyID is the public name of a key.
func keyID(hash [sha256.Size]byte) string { return hex.EncodeToString(hash[:])[:idDigits] }
