package githttp

import (
	"encoding/hex"
	"io"
	"strconv"
	"strings"
	"time"
)

// Limits on one request.
const (
	// MaxBody bounds the body of a request, as sent and unpacked, in bytes (32 MiB).
	MaxBody = 32 << 20
	// MaxNamed bounds the objects that a request wants, those that it has, and
	// those where its history ends, each.
	MaxNamed = 1 << 18
	// MaxPrefixes is up to how many prefixes a listing of references is narrowed
	// by; with more of them it has all, as git's own.
	MaxPrefixes = 4096
	// maxExcluded bounds the references whose history is not wanted.
	maxExcluded = 256
)

// The commands of version 2; version 0 has only the fetch.
const (
	commandNone  = "" // nothing was asked
	commandRefs  = "ls-refs"
	commandFetch = "fetch"
)

// infinite is the depth by which git asks for all that is missing.
const infinite = 1<<31 - 1

// filter is what a partial clone leaves out.
type filter uint8

const (
	everything filter = iota
	noBlobs
	noTrees // nor blobs
)

// request is what a client asks.
type request struct {
	version int // 0 or 2
	command string

	// ls-refs
	peel, symrefs, unborn bool
	prefixes              []string

	// fetch
	wants, haves, shallows set
	done                   bool
	depth                  int // in commits from a want, 0 for all
	relative               bool
	since                  time.Time
	excluded               []string
	filter                 filter
	thin, offsets, quiet   bool
	tags                   bool // with what they stand for
	band                   int  // most bytes of a packet of the side-band, 0 without one

	// Of version 0.
	ack    ackMode
	noDone bool
	silent bool // nothing but where history ends is asked yet
}

func (r *request) deepens() bool { return r.depth > 0 || !r.since.IsZero() || len(r.excluded) > 0 }

// parseRequest reads a request of a version, which names up to that many objects
// of one sort. The error is a *Refusal, or that of the reader.
func parseRequest(body io.Reader, version, named int) (*request, error) {
	p := &parser{lines: lineReader{from: body}, named: named, request: &request{version: version}}
	if version == 2 {
		p.band = maxBand
		return p.request, p.second()
	}
	return p.request, p.first()
}

type parser struct {
	lines lineReader
	named int
	*request
}

// second reads a request of version 2: a command, what the client can, and
// after a delimiter the arguments.
func (p *parser) second() error {
	arguments := false
	for count := 0; ; count++ {
		sort, line, err := p.lines.next()
		if err != nil {
			return err
		}
		switch {
		case sort == flush || sort == end && count == 0:
			return p.complete()
		case sort == end:
			return malformed("it ends before its flush packet")
		case sort == delimiter && arguments:
			return malformed("it has two delimiters")
		case sort == delimiter:
			arguments = true
		case !arguments:
			err = p.capability(line)
		case p.command == commandRefs:
			err = p.refsArgument(line)
		case p.command == commandFetch:
			err = p.fetchArgument(line)
		default:
			err = malformed("it has arguments and no command")
		}
		if err != nil {
			return err
		}
	}
}

func (p *parser) complete() error {
	if p.command == commandFetch && p.wants.len() == 0 {
		return malformed("it wants nothing")
	}
	return nil
}

// capability reads a line before the arguments.
func (p *parser) capability(line string) error {
	key, value, _ := strings.Cut(line, "=")
	switch key {
	case "command":
		if p.command != commandNone {
			return malformed("it has two commands")
		}
		if value != commandRefs && value != commandFetch {
			return unsupported("there is no command %s here", shown(value))
		}
		p.command = value
	case "object-format":
		return checkFormat(value)
	case "agent", "session-id", "server-option":
	default:
		return malformed("%s was not announced", shown(line))
	}
	return nil
}

func checkFormat(name string) error {
	if name != "sha1" {
		return unsupported("the repository has sha1 names, not %s", shown(name))
	}
	return nil
}

func (p *parser) refsArgument(line string) error {
	prefix, ok := strings.CutPrefix(line, "ref-prefix ")
	switch {
	case ok:
		if len(p.prefixes) <= MaxPrefixes {
			p.prefixes = append(p.prefixes, prefix)
		}
	case line == "peel":
		p.peel = true
	case line == "symrefs":
		p.symrefs = true
	case line == "unborn":
		p.unborn = true
	default:
		return malformed("ls-refs has no argument %s", shown(line))
	}
	return nil
}

func (p *parser) fetchArgument(line string) error {
	if line == "done" {
		p.done = true
		return nil
	}
	if p.wish(line) {
		return nil
	}
	if hash, ok := strings.CutPrefix(line, "want "); ok {
		return p.addName(&p.wants, hash)
	}
	if hash, ok := strings.CutPrefix(line, "have "); ok {
		return p.addName(&p.haves, hash)
	}
	if known, err := p.narrow(line); known {
		return err
	}
	return malformed("fetch has no argument %s", shown(line))
}

// wish reads a word that says how the pack may be. Both versions have them: as
// an argument, and as something that the client can.
func (p *parser) wish(word string) (known bool) {
	switch word {
	case "thin-pack":
		p.thin = true
	case "ofs-delta":
		p.offsets = true
	case "no-progress":
		p.quiet = true
	case "include-tag":
		p.tags = true
	case "deepen-relative":
		p.relative = true
	default:
		return false
	}
	return true
}

// narrow reads a line that says how much of the history, and of the objects, is
// wanted. Both versions have them.
func (p *parser) narrow(line string) (known bool, err error) {
	key, value, _ := strings.Cut(line, " ")
	switch key {
	case "shallow":
		err = p.addName(&p.shallows, value)
	case "deepen":
		depth, failed := strconv.Atoi(value)
		if failed != nil || depth < 1 || depth > infinite {
			err = malformed("deepen %s", shown(value))
		}
		p.depth = depth
	case "deepen-since":
		seconds, failed := strconv.ParseInt(value, 10, 64)
		if failed != nil || seconds < 1 {
			err = malformed("deepen-since %s", shown(value))
		}
		p.since = time.Unix(seconds, 0)
	case "deepen-not":
		if len(p.excluded) == maxExcluded {
			return true, tooLarge("more than %d histories are to be left out", maxExcluded)
		}
		p.excluded = append(p.excluded, value)
	case "filter":
		p.filter, err = parseFilter(value)
	default:
		return false, nil
	}
	if err == nil && p.depth > 0 && (len(p.excluded) > 0 || !p.since.IsZero()) {
		err = malformed("it wants a depth, and an end elsewhere")
	}
	return true, err
}

func parseFilter(spec string) (filter, error) {
	switch spec {
	case "blob:none", "blob:limit=0":
		return noBlobs, nil
	case "tree:0":
		return noTrees, nil
	}
	return everything, unsupported("the filter %s is not offered: use blob:none or tree:0", shown(spec))
}

// addName reads the name of an object into a set.
func (p *parser) addName(into *set, name string) error {
	var h Hash
	if len(name) != 2*len(h) {
		return malformed("%s is no name of an object", shown(name))
	}
	if _, err := hex.Decode(h[:], []byte(name)); err != nil || h.IsZero() {
		return malformed("%s is no name of an object", shown(name))
	}
	if into.len() == p.named && !into.has(h) {
		return tooLarge("more than %d objects of one sort are named", p.named)
	}
	into.add(h)
	return nil
}

// shown makes what a client sent fit for a message to it.
func shown(s string) string {
	const most = 60
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.QuoteToASCII(s)
}
