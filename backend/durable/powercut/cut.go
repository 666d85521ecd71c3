package powercut

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// Cut returns the disk as it may be found after a power cut at this moment:
// what was synced, and any part of the rest. The disk itself goes on as if
// nothing had been. The same random numbers give the same cut.
func (d *Disk) Cut(random *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &cut{random: random, mood: random.IntN(4), nodes: make(map[*node]*node), moves: make(map[*move]bool)}
	return &Disk{root: c.node(d.root), next: d.next}
}

// cut is one power cut.
type cut struct {
	random *rand.Rand
	mood   int // 0 loses all names that may be lost, 1 keeps all
	nodes  map[*node]*node
	moves  map[*move]bool // whether it happened
}

// node returns what is left of a file or a folder. A file with two names is
// one file; a folder has one name only.
func (c *cut) node(n *node) *node {
	if left, ok := c.nodes[n]; ok {
		if left.folder {
			return nil
		}
		return left
	}
	left := &node{folder: n.folder, perm: n.perm, changed: n.changed}
	c.nodes[n] = left
	if !n.folder {
		left.file = n.file.cut(c.random)
		return left
	}
	left.names = make(map[string]*slot)
	// In the order in which they were made: names may be random.
	names := make([]string, 0, len(n.names))
	for name := range n.names {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(n.names[a].number, n.names[b].number) })
	for _, name := range names {
		s := n.names[name]
		found := c.pick(s.states)
		if found == nil {
			continue
		}
		if child := c.node(found); child != nil {
			left.names[name] = &slot{number: s.number, states: []state{{node: child}}}
		}
	}
	return left
}

// pick chooses what a name stands for: any of its states since the last sync.
func (c *cut) pick(states []state) *node {
	low, high := 0, len(states)-1
	for i, s := range states {
		if s.move == nil {
			continue
		}
		if c.happened(s.move) {
			low = max(low, i)
		} else {
			high = min(high, i-1)
		}
	}
	if low >= high {
		return states[max(high, 0)].node
	}
	switch c.mood {
	case 0:
		return states[low].node
	case 1:
		return states[high].node
	}
	return states[low+c.random.IntN(high-low+1)].node
}

func (c *cut) happened(m *move) bool {
	if m.done {
		return true
	}
	did, known := c.moves[m]
	if !known {
		did = c.mood == 1 || (c.mood != 0 && c.random.IntN(2) == 0)
		c.moves[m] = did
	}
	return did
}

// Export writes what programs see below a folder of the disk into a folder of
// the machine, which it makes, for other programs to judge. Nothing is synced.
func (d *Disk) Export(folder, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.exists(folder)
	if err != nil {
		return failed("export", folder, err)
	}
	return at.node.export(to)
}

func (n *node) export(to string) error {
	if !n.folder {
		return os.WriteFile(to, n.file.data, n.perm)
	}
	if err := os.Mkdir(to, n.perm|0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	for _, name := range n.sorted() {
		if err := n.child(name).export(filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}
