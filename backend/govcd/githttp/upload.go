package githttp

import (
	"fmt"
	"time"
)

// upload is one request being answered.
type upload struct {
	graph
	*request
	*answer
	view     *view
	packing  bool // what comes is a pack, maybe in a side-band
	reported time.Time
}

// run answers.
func (u *upload) run() error {
	if u.command == commandNone {
		return nil // a client may ask nothing, to find out whether it may ask
	}
	var err error
	if u.view, err = look(u.graph.ctx, u.repo); err != nil {
		return err
	}
	if u.command == commandRefs {
		return u.write(u.view.list(nil, u.request))
	}
	return u.fetch()
}

func (u *upload) fetch() error {
	wanted, err := u.resolve(u.view, u.wants.names)
	if err != nil {
		return err
	}
	ends, err := u.cutFor(u.view, u.request, wanted.commits)
	if err != nil {
		return err
	}
	shared, err := u.compare(u.request, wanted.commits)
	if err != nil {
		return err
	}
	var b []byte
	pack := true
	if u.version == 2 {
		if !u.done && u.haves.len() > 0 {
			b, pack = shared.acknowledge2(b)
		}
		if pack && (u.deepens() || u.shallows.len() > 0) {
			b = append(ends.append(appendLine(b, "shallow-info")), delimiterLine...)
		}
		if pack {
			b = appendLine(b, "packfile")
		}
	} else {
		if u.deepens() {
			b = append(ends.append(b), flushLine...)
		}
		if pack = false; !u.silent {
			b, pack = shared.acknowledge0(b, u.request)
		}
	}
	if err := u.write(b); err != nil || !pack {
		return err
	}
	u.packing = true
	u.answer.band = u.request.band
	return u.pack(wanted, shared.haves, ends)
}

// append writes what is new about where history ends.
func (c *cut) append(b []byte) []byte {
	for _, h := range c.shallow {
		b = appendLine(b, "shallow ", h.String())
	}
	for _, h := range c.unshallow {
		b = appendLine(b, "unshallow ", h.String())
	}
	return b
}

// pack sends what a client wants and lacks.
func (u *upload) pack(want wanted, haves []Hash, ends *cut) error {
	w, err := u.missing(append(want.commits, ends.more...), haves, &u.shallows, &ends.ends)
	if err != nil {
		return err
	}
	all := &content{}
	c := &collector{
		graph: &u.graph, content: all, filter: u.filter, beat: func() error { return u.count(all, false) },
		// What a partial clone has of a commit is not known.
		thin: u.thin && u.filter == everything,
	}
	if err := c.commits(w, &ends.ends); err != nil {
		return err
	}
	if err := c.others(want.others); err != nil {
		return err
	}
	if u.tags {
		if err := c.following(u.view); err != nil {
			return err
		}
	}
	if err := u.count(all, true); err != nil {
		return err
	}
	c.trees = recent{}
	p := newPacker(&u.graph, all, u.offsets, u.answer)
	if err := p.write(); err != nil {
		return err
	}
	return u.end(p)
}

// count says how far the search for objects has come.
func (u *upload) count(all *content, done bool) error {
	if u.request.quiet || u.answer.band == 0 {
		return u.alive()
	}
	now := u.now()
	if !done && now.Sub(u.reported) < time.Second {
		return nil
	}
	u.reported = now
	message := fmt.Sprintf("Counting objects: %d\r", all.len())
	if done {
		message = fmt.Sprintf("Counting objects: %d, done.\n", all.len())
	}
	return u.tell(bandProgress, message)
}

// end sends what is left of the pack, and that there is no more.
func (u *upload) end(p *packer) error {
	if err := u.send(); err != nil {
		return err
	}
	if u.answer.band == 0 {
		return nil
	}
	if !u.request.quiet {
		if err := u.tell(bandProgress, fmt.Sprintf("Total %d objects, %d of them deltas, %d bytes\n", p.len(), p.deltas, p.written)); err != nil {
			return err
		}
	}
	return u.write([]byte(flushLine))
}
