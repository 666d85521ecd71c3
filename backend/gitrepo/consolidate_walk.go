package gitrepo

import (
	"context"

	"github.com/go-git/go-git/v5/plumbing"
)

// walkDepth bounds how deep folders are followed.
const walkDepth = 512

// commitNode is a commit among the members.
type commitNode struct {
	at, tree, parent int32 // members, or none
	parents          []int32
	children         int // that were not walked yet
}

// walk looks at what each commit changed, the newest first, makes the versions
// of one path deltas, and notes the names of what is new. It returns the
// commits in the order in which they were walked.
func (m *repacker) walk(ctx context.Context) ([]int32, error) {
	nodes, err := m.commits(ctx)
	if err != nil {
		return nil, err
	}
	wanted := m.worthWalking(nodes)
	byMember := make(map[int32]*commitNode, len(nodes))
	for n := range nodes {
		byMember[nodes[n].at] = &nodes[n]
	}
	for _, node := range nodes {
		for _, parent := range node.parents {
			byMember[parent].children++
		}
	}
	var ready []*commitNode
	for n := range nodes {
		if nodes[n].children == 0 {
			ready = append(ready, &nodes[n])
		}
	}
	order := make([]int32, 0, len(nodes))
	for len(ready) > 0 {
		node := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		order = append(order, node.at)
		if wanted[m.members[node.at].pack] {
			old := none
			if parent, ok := byMember[node.parent]; ok {
				old = parent.tree
			}
			if err := m.visit(ctx, node.tree, old, 0); err != nil {
				return nil, err
			}
		}
		for _, parent := range node.parents {
			p := byMember[parent]
			if p.children--; p.children == 0 {
				ready = append(ready, p)
			}
		}
	}
	return order, nil
}

// commits reads the commits among the members.
func (m *repacker) commits(ctx context.Context) ([]commitNode, error) {
	var nodes []commitNode
	for i := range m.members {
		at := int32(i) //nolint:gosec // see scan
		if m.members[i].kind != plumbing.CommitObject {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		data, err := m.content(at)
		if err != nil {
			return nil, err
		}
		node := commitNode{at: at, tree: none, parent: none}
		if c, err := decodeCommit(m.members[i].hash, data); err == nil { // else it is only copied
			node.tree = m.find(c.Tree, plumbing.TreeObject)
			for n, h := range c.Parents {
				parent := m.find(h, plumbing.CommitObject)
				if parent == none {
					continue
				}
				if n == 0 {
					node.parent = parent
				}
				node.parents = append(node.parents, parent)
			}
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// find returns the member of that name and kind, or none.
func (m *repacker) find(h Hash, kind plumbing.ObjectType) int32 {
	if i, ok := m.at[h]; ok && m.members[i].kind == kind {
		return i
	}
	return none
}

// worthWalking picks the packs whose commits may change something that has no
// delta yet: those with new objects, and those that go on where another one of
// the packs ends. What lies within one that is done was compared before.
func (m *repacker) worthWalking(nodes []commitNode) map[*pack]bool {
	wanted := make(map[*pack]bool, len(m.packs))
	for i := range m.members {
		if m.members[i].fresh {
			wanted[m.members[i].pack] = true
		}
	}
	for _, node := range nodes {
		here := m.members[node.at].pack
		for _, parent := range node.parents {
			if m.members[parent].pack != here {
				wanted[here] = true
			}
		}
	}
	return wanted
}

// visit compares a tree that is new with the one before it, and everything
// that is new below it. What is not among the members has nothing below it
// that is.
func (m *repacker) visit(ctx context.Context, newer, old int32, depth int) error {
	if newer == none || newer == old || m.members[newer].seen || depth > walkDepth {
		return nil
	}
	m.members[newer].seen = true
	if err := ctx.Err(); err != nil {
		return err
	}
	rest, err := m.content(newer)
	if err != nil {
		return err
	}
	var before []byte
	if old != none {
		if err := m.link(old, newer); err != nil {
			return err
		}
		if before, err = m.content(old); err != nil {
			return err
		}
	}
	for len(rest) > 0 {
		var it, was item
		if it, rest, err = nextItem(rest); err != nil {
			return nil //nolint:nilerr // a tree that cannot be read is only copied
		}
		if was, before, err = skipTo(before, it); err != nil {
			return nil //nolint:nilerr // the same
		}
		if was.hash == it.hash {
			continue
		}
		if err := m.changed(ctx, it, was.hash, depth); err != nil {
			return err
		}
	}
	return nil
}

// skipTo returns the entry of a tree that has the name and kind of it, if it
// has one, and what comes after.
func skipTo(tree []byte, it item) (was item, rest []byte, err error) {
	for len(tree) > 0 {
		was, rest, err := nextItem(tree)
		if err != nil {
			return item{}, nil, err
		}
		switch c := compareItems(was, it); {
		case c == 0 && was.mode.isTree() == it.mode.isTree():
			return was, rest, nil
		case c >= 0:
			return item{}, tree, nil
		}
		tree = rest
	}
	return item{}, nil, nil
}

// changed follows an entry that a commit changed.
func (m *repacker) changed(ctx context.Context, it item, was Hash, depth int) error {
	if it.mode.isTree() {
		return m.visit(ctx, m.find(it.hash, plumbing.TreeObject), m.find(was, plumbing.TreeObject), depth+1)
	}
	newer := m.find(it.hash, plumbing.BlobObject)
	if newer == none {
		return nil
	}
	if !m.members[newer].seen {
		m.members[newer].seen = true
		if m.members[newer].fresh {
			m.named(newer, string(it.name))
		}
	}
	if old := m.find(was, plumbing.BlobObject); old != none {
		return m.link(old, newer)
	}
	return nil
}
