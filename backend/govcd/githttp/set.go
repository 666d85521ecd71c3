package githttp

import (
	"hash/maphash"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// Hash names an object.
type Hash = gitrepo.Hash

// set is the names of objects in the order in which they were added, each once,
// with a number. It takes 20 bytes a name and 4 to 11 for its table, which a
// map would need four times of.
type set struct {
	names []Hash
	table []int32 // number + 1, 0 if free; a power of two
}

// seed is another one in each process: a client may send any names, also such
// as would share a place in the table.
var seed = maphash.MakeSeed()

// slot returns where in the table a name is, or could be put.
func (s *set) slot(h *Hash) int {
	mask := len(s.table) - 1
	at := int(maphash.Bytes(seed, h[:]) & uint64(mask)) //nolint:gosec // below the length
	for {
		at &= mask
		if n := s.table[at]; n == 0 || s.names[n-1] == *h {
			return at
		}
		at++
	}
}

// find returns the number of a name, -1 if it is not there.
func (s *set) find(h Hash) int {
	if len(s.table) == 0 {
		return -1
	}
	return int(s.table[s.slot(&h)]) - 1
}

func (s *set) has(h Hash) bool { return s.find(h) >= 0 }

// add returns the number of a name, and whether it was not there before.
func (s *set) add(h Hash) (number int, fresh bool) {
	if 4*(len(s.names)+1) > 3*len(s.table) {
		s.grow()
	}
	at := s.slot(&h)
	if n := s.table[at]; n > 0 {
		return int(n) - 1, false
	}
	s.names = append(s.names, h)
	s.table[at] = int32(len(s.names)) //nolint:gosec // bounded by maxObjects
	return len(s.names) - 1, true
}

func (s *set) grow() {
	const first = 64
	s.table = make([]int32, max(2*len(s.table), first))
	for i := range s.names {
		s.table[s.slot(&s.names[i])] = int32(i) + 1 //nolint:gosec // bounded by maxObjects
	}
}

func (s *set) len() int { return len(s.names) }
