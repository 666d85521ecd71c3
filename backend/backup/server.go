package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// Times and sizes of a conversation with a server.
const (
	// connectTime bounds a connection with its handshakes, lookTime what a
	// server takes to name its branches.
	connectTime = 15 * time.Second
	lookTime    = time.Minute
	// pushTime bounds one part, and as much more as leastRate needs for it.
	pushTime  = 2 * time.Minute
	leastRate = 64 << 10 // bytes a second
	// fetchTime bounds a fetch as a whole.
	fetchTime = 6 * time.Hour
	// maxSaid bounds what is kept of a server's own words, in bytes.
	maxSaid = 1 << 10
	// maxRefs bounds the list of branches of a server, in bytes.
	maxRefs = 32 << 20
)

const (
	receivePack = "git-receive-pack"
	uploadPack  = "git-upload-pack"
	mainRef     = plumbing.ReferenceName("refs/heads/" + gitrepo.Main)
)

// dialer begins a conversation with one service of a server.
type dialer interface {
	dial(ctx context.Context, service string) (conversation, error)
}

// conversation is one question and its answer. It ends when the context of
// dial does, and is to be closed in any case.
type conversation interface {
	// refs is what the server says first.
	refs() io.Reader
	// exchange sends a request of size bytes and returns the answer.
	exchange(ctx context.Context, size int64, request io.Reader) (io.Reader, error)
	// said is what a server adds for people, "" if nothing.
	said() string
	close() error
}

// server is a target that speaks the git protocol.
type server struct {
	dialer dialer
	redact redactor
	part   int64 // bytes of a part; 0 is partBytes, tests take less
}

// look is an open conversation and what the server has.
type look struct {
	conversation
	adv    *packp.AdvRefs
	tip    gitrepo.Hash
	cancel context.CancelFunc
}

func (l *look) close() error {
	err := l.conversation.close()
	l.cancel()
	return err
}

// begin dials and reads what the server has, within time.
func (s *server) begin(ctx context.Context, service string) (*look, error) {
	ctx, cancel := context.WithCancel(ctx)
	limit := time.AfterFunc(connectTime+lookTime, cancel)
	c, err := s.dialer.dial(ctx, service)
	if err != nil {
		late := !limit.Stop()
		cancel()
		return nil, lateness(late, err)
	}
	l := &look{conversation: c, adv: packp.NewAdvRefs(), cancel: cancel}
	err = l.adv.Decode(io.LimitReader(c.refs(), maxRefs))
	late := !limit.Stop()
	if errors.Is(err, packp.ErrEmptyAdvRefs) {
		err = nil
	}
	if err != nil {
		err = spoken(err, c)
		return nil, lateness(late, errors.Join(err, l.close()))
	}
	if h, ok := l.adv.References[string(mainRef)]; ok {
		l.tip = h
	}
	return l, nil
}

// lateness says that a limit of ours ended something, rather than the caller.
func lateness(late bool, err error) error {
	if late {
		return fmt.Errorf("%w within %s", ErrUnavailable, connectTime+lookTime)
	}
	return unavailable(err)
}

// spoken adds the words of a server to an error.
func spoken(err error, c conversation) error {
	var what string
	if errors.Is(err, packp.ErrEmptyInput) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = ErrUnavailable
	}
	if what = c.said(); what == "" {
		return err
	}
	if missing(what) {
		err = ErrMissing
	}
	return fmt.Errorf("%w: it says %q", err, what)
}

// other names a branch of a server that has no main.
func (l *look) other() string {
	for name := range l.adv.References {
		if plumbing.ReferenceName(name).IsBranch() {
			return name
		}
	}
	return ""
}

func (s *server) push(ctx context.Context, repo *gitrepo.Repo, tip, known gitrepo.Hash, progress func(gitrepo.Copied)) (gitrepo.Copied, error) {
	l, err := s.begin(ctx, receivePack)
	if err != nil {
		return gitrepo.Copied{}, err
	}
	p := &pusher{server: s, at: l, part: cmp.Or(s.part, partBytes), progress: progress, done: gitrepo.Copied{Tip: l.tip}}
	p.pack.limit = 2 * p.part
	defer p.end()
	if l.tip.IsZero() {
		if other := l.other(); other != "" {
			return p.done, fmt.Errorf("%w: there is no branch %s, but %s", gitrepo.ErrForeign, gitrepo.Main, other)
		}
		if !known.IsZero() {
			return p.done, fmt.Errorf("%w: it was at %.12s, and the repository is empty", ErrEmptied, known)
		}
	}
	err = repo.Send(ctx, l.tip, tip, p)
	if errors.Is(err, gitrepo.ErrNotFound) && !l.tip.IsZero() {
		if _, absent := repo.ReadCommit(ctx, l.tip); errors.Is(absent, gitrepo.ErrNotFound) {
			err = fmt.Errorf("%w: its %s is at %s, which is not here: it is newer, has commits of others, or is of another store", gitrepo.ErrNotForward, gitrepo.Main, l.tip)
		}
	}
	if err == nil || errors.Is(err, gitrepo.ErrCorrupt) {
		err = errors.Join(err, p.flush(ctx)) // what came before damage is whole
	}
	return p.done, err
}

// pusher is the sink that makes packs of a history and pushes them.
type pusher struct {
	server   *server
	at       *look // nil while there is no conversation
	part     int64
	pack     spool
	from     gitrepo.Hash // of the pack
	reached  gitrepo.Hash // to which it leads
	commits  int
	objects  int
	bytes    int64
	progress func(gitrepo.Copied)
	done     gitrepo.Copied
}

// What one part of a push may hold before it is sent.
const (
	partBytes   = 8 << 20 // compressed
	partObjects = 20_000
	partCommits = 1000
)

// Object implements gitrepo.Sink.
func (p *pusher) Object(_ context.Context, _ gitrepo.Hash, kind plumbing.ObjectType, data []byte) error {
	p.objects++
	p.bytes += int64(len(data))
	return p.pack.add(kind, data)
}

// Reached implements gitrepo.Sink.
func (p *pusher) Reached(ctx context.Context, from, commit gitrepo.Hash) (bool, error) {
	if p.commits == 0 {
		p.from = from
	}
	p.reached = commit
	p.commits++
	if p.pack.size() < p.part && p.objects < partObjects && p.commits < partCommits {
		return false, nil
	}
	return true, p.flush(ctx)
}

// flush pushes what was given up to the commit that was reached.
func (p *pusher) flush(ctx context.Context) error {
	if p.commits == 0 {
		return nil
	}
	if p.at == nil {
		l, err := p.server.begin(ctx, receivePack)
		if err != nil {
			return err
		}
		p.at = l
	}
	if p.at.tip != p.from {
		return fmt.Errorf("%w: its %s moved to %s meanwhile", gitrepo.ErrNotForward, gitrepo.Main, p.at.tip)
	}
	if err := p.send(ctx); err != nil {
		return err
	}
	p.done.Tip = p.reached
	p.done.Commits += p.commits
	p.done.Objects += p.objects
	p.done.Bytes += p.bytes
	p.commits, p.objects, p.bytes = 0, 0, 0
	p.end()
	if p.progress != nil {
		p.progress(p.done)
	}
	return nil
}

// end closes the conversation and lets go of the pack. That a server which
// answered did not say goodbye is of no interest.
func (p *pusher) end() {
	p.pack.reset()
	if p.at != nil {
		_ = p.at.close()
		p.at = nil
	}
}

func (p *pusher) send(ctx context.Context) error {
	req := packp.NewReferenceUpdateRequestFromCapabilities(p.at.adv.Capabilities)
	if !req.Capabilities.Supports(capability.ReportStatus) {
		return fmt.Errorf("%w: it does not report what it did (capability report-status)", ErrRejected)
	}
	if p.at.adv.Capabilities.Supports(capability.Sideband64k) {
		if err := req.Capabilities.Set(capability.Sideband64k); err != nil {
			return err
		}
	}
	req.Commands = []*packp.Command{{Name: mainRef, Old: p.from, New: p.reached}}
	size, body, err := p.pack.request(req)
	if err != nil {
		return err
	}
	limit := pushTime + time.Duration(size/leastRate)*time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := p.at.exchange(ctx, size, body)
	if err == nil {
		err = report(answer, req, p.server.redact)
	}
	if err != nil && ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: %d bytes were not taken within %s: %w", ErrUnavailable, size, limit, err)
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !errors.Is(err, ErrRejected) {
		err = spoken(err, p.at)
	}
	return unavailable(err)
}

// report reads what a server did.
func report(answer io.Reader, req *packp.ReferenceUpdateRequest, hide redactor) error {
	words := &bounded{hide: hide}
	if req.Capabilities.Supports(capability.Sideband64k) {
		d := sideband.NewDemuxer(sideband.Sideband64k, answer)
		d.Progress = words
		answer = d
	}
	status := packp.NewReportStatus()
	if err := status.Decode(answer); err != nil {
		if words.String() != "" {
			err = fmt.Errorf("%w: it says %q", err, words.String())
		}
		return err
	}
	if err := status.Error(); err != nil {
		if words.String() != "" {
			return fmt.Errorf("%w: %w: it says %q", ErrRejected, err, words.String())
		}
		return fmt.Errorf("%w: %w", ErrRejected, err)
	}
	return nil
}
