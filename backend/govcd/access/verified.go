package access

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxVerified bounds the tokens that are remembered; then all are forgotten.
const maxVerified = 4096

// verified remembers whom tokens stand for, so that the signature of one that is
// sent with every request is computed once. Nothing is remembered that could
// change: the secrets are those of the start, rights are not part of it, and the
// end of a token is looked at each time. The zero value is empty.
type verified struct {
	mu    sync.RWMutex
	known map[[sha256.Size]byte]once
}

// once is a token that was valid at a moment.
type once struct {
	who Identity
	at  time.Time
}

// find returns whom a token stands for that was verified before. One that was
// verified later than now is verified again: the clock was set back, and it may
// not be valid yet.
func (v *verified) find(token string, now time.Time) (Identity, bool) {
	sum := sha256.Sum256([]byte(token))
	v.mu.RLock()
	seen, ok := v.known[sum]
	v.mu.RUnlock()
	if !ok || now.Before(seen.at) || !now.Before(seen.who.Expires.Add(Leeway)) {
		return Identity{}, false
	}
	return seen.who, true
}

func (v *verified) add(token string, who Identity, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil || len(v.known) >= maxVerified {
		v.known = make(map[[sha256.Size]byte]once)
	}
	v.known[sha256.Sum256([]byte(token))] = once{who, now}
}
