package githttp

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

// Defaults of Options.
const (
	// DefaultTransfers is how many transfers run at once.
	DefaultTransfers = 16
	// DefaultOfOne is how many of those one client may have.
	DefaultOfOne = 4
	// DefaultWait is how long a transfer waits for its turn.
	DefaultWait = 10 * time.Second
	// DefaultStall is how long a client may take for 64 KiB.
	DefaultStall = time.Minute
	// retryAfter is what a client is told that waited in vain, in seconds.
	retryAfter = 10
)

// Options configure a Server. The zero value has the defaults.
type Options struct {
	Agent     string // what clients are told that they talk to; "" is "caiatop"
	Transfers int    // at once; 0 is DefaultTransfers
	// Client tells whom a request is counted for beside all others, false for
	// nobody; nil counts for nobody.
	Client func(*http.Request) (client netip.Addr, counted bool)
	OfOne  int           // of one client at once; 0 is DefaultOfOne
	Wait   time.Duration // for a place among them; 0 is DefaultWait
	Stall  time.Duration // 0 is DefaultStall
	Now    func() time.Time
	Logger *slog.Logger // nil discards
}

// Server answers git. Its methods are safe for concurrent use.
type Server struct {
	agent  string
	places chan struct{}
	own    shares
	wait   time.Duration
	stall  time.Duration
	now    func() time.Time
	log    *slog.Logger
	body   int // MaxBody, but in tests
	named  int // MaxNamed, too
}

// New returns a server.
func New(o Options) *Server {
	s := &Server{agent: o.Agent, wait: o.Wait, stall: o.Stall, now: o.Now, log: o.Logger, body: MaxBody, named: MaxNamed}
	if s.agent == "" {
		s.agent = "caiatop"
	}
	if o.Transfers <= 0 {
		o.Transfers = DefaultTransfers
	}
	if o.OfOne <= 0 {
		o.OfOne = DefaultOfOne
	}
	s.places = make(chan struct{}, o.Transfers)
	s.own = shares{client: o.Client, each: o.OfOne, of: map[netip.Addr]*share{}}
	if s.wait <= 0 {
		s.wait = DefaultWait
	}
	if s.stall <= 0 {
		s.stall = DefaultStall
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// The content types of git.
const (
	requestType = "application/x-git-upload-pack-request"
	resultType  = "application/x-git-upload-pack-result"
)

// protocol is the newest version that a client speaks, of those known here.
func protocol(r *http.Request) int {
	version := 0
	for word := range strings.SplitSeq(r.Header.Get("Git-Protocol"), ":") {
		switch word {
		case "version=1":
			version = max(version, 1)
		case "version=2":
			version = 2
		}
	}
	return version
}

// Push is the refusal of everything that would change a repository.
var Push = &Refusal{
	Status: http.StatusForbidden, Code: "PUSH_NOT_OFFERED",
	Text: "push is not offered here: write documents by the API, or import a repository with caiatop",
}

// Advertise answers GET info/refs. The error is a *Refusal, or that of the
// repository; nothing was answered then.
func (s *Server) Advertise(w http.ResponseWriter, r *http.Request, repo Repo) error {
	switch service := r.URL.Query().Get("service"); service {
	case "git-upload-pack":
	case "git-receive-pack":
		return Push
	case "":
		return unsupported("this service speaks the smart protocol only: use git 1.6.6 or newer")
	default:
		return unsupported("there is no service %s here", shown(service))
	}
	var b []byte
	if version := protocol(r); version == 2 {
		b = advertise2(b, s.agent)
	} else {
		v, err := look(r.Context(), repo)
		if err != nil {
			return err
		}
		b = v.advertise0(b, version, s.agent)
	}
	begin(w, "application/x-git-upload-pack-advertisement")
	_, _ = w.Write(b) // the only reader is gone if this fails
	return nil
}

func begin(w http.ResponseWriter, kind string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	h.Set("Expires", "Fri, 01 Jan 1980 00:00:00 GMT")
	h.Set("Pragma", "no-cache")
	w.WriteHeader(http.StatusOK)
}

// UploadPack answers POST git-upload-pack. may is asked while a transfer runs
// whether it may go on. The error is a *Refusal or that of reading the request,
// and nothing was answered; or it wraps ErrCut. What goes wrong once the answer
// has begun is told to the client in it, and logged.
func (s *Server) UploadPack(w http.ResponseWriter, r *http.Request, repo Repo, may func() bool) error {
	leave, err := s.enter(r)
	if err != nil {
		return err
	}
	defer leave()
	control := http.NewResponseController(w)
	asked, err := s.read(w, r, control)
	if refused, ok := asRefusal(err); ok && refused.Code == unsupportedCode {
		// Git shows its user the text of a packet, but none that comes with a 400.
		begin(w, resultType)
		_, _ = w.Write(appendLine(nil, "ERR ", refused.Text)) // the only reader is gone if this fails
		return nil
	}
	if err != nil {
		return err
	}
	begin(w, resultType)
	a := &answer{
		ctx: r.Context(), w: w, control: control, stall: s.stall, may: may, now: s.now, asked: s.now(), sent: s.now(),
	}
	u := &upload{graph: graph{ctx: r.Context(), repo: repo}, request: asked, answer: a}
	err = a.within(0)
	// What the server holds yet is written once this returns.
	defer func() { _ = a.within(s.stall) }() // a connection that is gone needs no bound
	if err == nil {
		err = u.run()
	}
	if err != nil {
		return s.explain(u, err)
	}
	return nil
}

// read reads a request. It may take as long as one packet for each 64 KiB, too.
func (s *Server) read(w http.ResponseWriter, r *http.Request, control *http.ResponseController) (*request, error) {
	if kind := r.Header.Get("Content-Type"); kind != requestType {
		return nil, &Refusal{
			Status: http.StatusUnsupportedMediaType, Code: "UNSUPPORTED_CONTENT_TYPE",
			Text: "a request of git has the content type " + requestType + ", not " + shown(kind),
		}
	}
	var body io.Reader = &moving{from: http.MaxBytesReader(w, r.Body, int64(s.body)), control: control, stall: s.stall, now: s.now}
	switch coding := r.Header.Get("Content-Encoding"); coding {
	case "", "identity":
	case "gzip", "x-gzip":
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return nil, s.bodyError(err)
		}
		body = &bounded{from: unpacked, left: s.body}
	default:
		return nil, unsupported("the encoding %s is not offered", shown(coding))
	}
	asked, err := parseRequest(body, protocol(r)&2, s.named)
	if err != nil {
		return nil, s.bodyError(err)
	}
	// Only after its end is it looked whether the client is there yet.
	if _, err := io.Copy(io.Discard, body); err != nil {
		return nil, s.bodyError(err)
	}
	// What follows waits for no more input, and is not to be cut off by its end.
	return asked, unlessUnsupported(control.SetReadDeadline(time.Time{}))
}

// bodyError makes a refusal of what a reader met.
func (s *Server) bodyError(err error) error {
	var refused *Refusal
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &refused):
		return err
	case errors.As(err, &large), errors.Is(err, errBounded):
		return tooLarge("the request has more than %d bytes", s.body)
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return malformed("its body cannot be unpacked")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Refusal{Status: http.StatusRequestTimeout, Code: "REQUEST_TIMEOUT", Text: "the request came too slowly"}
	}
	return malformed("its body cannot be read")
}

// movingStep is how much of a body has to come in the time of a stall. Less
// would let whoever sends byte by byte keep a place for days.
const movingStep = 64 << 10

// moving lets a body take its time as long as it moves.
type moving struct {
	from    io.Reader
	control *http.ResponseController
	stall   time.Duration
	now     func() time.Time
	left    int // of the step under way
}

// Read implements io.Reader.
func (m *moving) Read(b []byte) (int, error) {
	if m.left == 0 {
		if err := unlessUnsupported(m.control.SetReadDeadline(m.now().Add(m.stall))); err != nil {
			return 0, err
		}
		m.left = movingStep
	}
	n, err := m.from.Read(b[:min(len(b), m.left)])
	m.left -= n
	return n, err
}

var errBounded = errors.New("too long")

// bounded is an error, not an end, where its bound is passed.
type bounded struct {
	from io.Reader
	left int
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errBounded
	}
	return n, err
}

// explain tells a client why its answer ends.
func (s *Server) explain(u *upload, err error) error {
	if u.gone || u.answer.ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrCut, err)
	}
	refused, known := asRefusal(err)
	message := "the repository could not be read; the log of the service says why"
	if known {
		message = refused.Text
	} else {
		s.log.Error("git transfer failed", "error", err)
	}
	a := u.answer
	a.may = func() bool { return true }
	switch {
	case !u.packing:
		err = a.write(appendLine(nil, "ERR ", message))
	case a.band > 0:
		err = a.tell(bandError, message+"\n")
	default:
		return fmt.Errorf("%w: %w", ErrCut, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCut, err)
	}
	return nil
}
