package githttp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// lines makes a request of packet lines; "0000" and "0001" are what they are.
func lines(all ...string) string {
	var b []byte
	for _, line := range all {
		if line == flushLine || line == delimiterLine {
			b = append(b, line...)
		} else {
			b = appendLine(b, line)
		}
	}
	return string(b)
}

// post sends a request of a version to a server.
func post(t testing.TB, s *Server, repo Repo, version int, body string, header ...string) (*httptest.ResponseRecorder, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/r.git/git-upload-pack", strings.NewReader(body))
	r.Header.Set("Content-Type", requestType)
	r.Header.Set("Git-Protocol", fmt.Sprintf("version=%d", version))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	return w, s.UploadPack(w, r, repo, always)
}

func zipped(t testing.TB, data []byte) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestRequestsThatNoGitSends are refused with a code, and before an answer.
func TestRequestsThatNoGitSends(t *testing.T) {
	repo := gitrepo.NewMemory(gitrepo.Options{})
	tip := filled(t, repo, 1, 2)
	want := "want " + tip.String()
	var many []string
	const named, body = 3000, 1 << 18
	for i := range named + 1 {
		many = append(many, fmt.Sprintf("want %040x", i+1))
	}
	fetch := func(arguments ...string) string {
		return lines(append(append([]string{"command=fetch", delimiterLine}, arguments...), flushLine)...)
	}
	s := New(Options{})
	s.named, s.body = named, body
	for _, c := range []struct {
		name    string
		version int
		body    string
		header  []string
		status  int
	}{
		{"no packet", 2, "zzzz", nil, 400},
		{"half a packet", 2, "0032want", nil, 400},
		{"half a length", 2, "00", nil, 400},
		{"a packet of its own header", 2, "0002", nil, 400},
		{"a packet that is too long", 2, "ffff" + strings.Repeat("a", 65531), nil, 400},
		{"no flush", 2, lines("command=fetch"), nil, 400},
		{"two delimiters", 2, lines("command=fetch", delimiterLine, want, delimiterLine, flushLine), nil, 400},
		{"two commands", 2, lines("command=fetch", "command=ls-refs", flushLine), nil, 400},
		{"no command", 2, lines("agent=x", delimiterLine, want, flushLine), nil, 400},
		{"what was not announced", 2, lines("command=fetch", "sideband-all", flushLine), nil, 400},
		{"an unknown argument", 2, fetch(want, "packfile-uris https"), nil, 400},
		{"an unknown argument of ls-refs", 2, lines("command=ls-refs", delimiterLine, "all", flushLine), nil, 400},
		{"nothing wanted", 2, fetch("done"), nil, 400},
		{"a short name", 2, fetch("want 1234"), nil, 400},
		{"no name", 2, fetch("want " + strings.Repeat("x", 40)), nil, 400},
		{"the name of nothing", 2, fetch("want " + noObject), nil, 400},
		{"no depth", 2, fetch(want, "deepen 0"), nil, 400},
		{"a depth below zero", 2, fetch(want, "deepen -1"), nil, 400},
		{"a depth beyond all", 2, fetch(want, "deepen 99999999999"), nil, 400},
		{"no time", 2, fetch(want, "deepen-since then"), nil, 400},
		{"two ends of history", 2, fetch(want, "deepen 1", "deepen-since 5"), nil, 400},
		{"too many wants", 2, fetch(many...), nil, 413},
		{"too many references", 2, fetch(slicesOf("deepen-not x", maxExcluded+1)...), nil, 413},
		{"no want", 0, lines("have "+tip.String(), flushLine), nil, 400},
		{"no have", 0, lines(want, flushLine, "keep", "done"), nil, 400},
		{"wants without an end", 0, lines(want), nil, 400},
		{"a delimiter", 0, lines(want, flushLine, delimiterLine), nil, 400},
		{"only an end of history", 0, lines("shallow "+tip.String(), flushLine), nil, 400},
		{"another content type", 2, fetch(want), []string{"Content-Type", "text/plain"}, 415},
		{"no gzip", 2, fetch(want), []string{"Content-Encoding", "gzip"}, 400},
		{"half of a gzip", 2, zipped(t, []byte(fetch(want, "done")))[:40], []string{"Content-Encoding", "gzip"}, 400},
		{"a bomb", 2, zipped(t, bytes.Repeat([]byte("0009done\n"), body/9+1)), []string{"Content-Encoding", "gzip"}, 400},
		{"a bomb of what is passed over", 2, zipped(t, bytes.Repeat([]byte("000aagent="), body/10+1)), []string{"Content-Encoding", "gzip"}, 413},
		{"much that is passed over", 2, strings.Repeat("000aagent=", body/10+1), nil, 413},
		{"another encoding", 2, fetch(want), []string{"Content-Encoding", "br"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := post(t, s, repo, c.version, c.body, c.header...)
			refused, ok := asRefusal(err)
			if c.status == 0 {
				if err != nil || !strings.Contains(w.Body.String(), "ERR ") {
					t.Errorf("%v, %q", err, w.Body)
				}
				return
			}
			if !ok || refused.Status != c.status || w.Body.Len() > 0 {
				t.Errorf("%v, want %d; answered %q", err, c.status, w.Body)
			}
		})
	}
}

func slicesOf(line string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = line
	}
	return out
}

// TestNamesThatAreAlike take no longer than others: a client may send any.
func TestNamesThatAreAlike(t *testing.T) {
	var s set
	for i := range 1 << 17 { // with one place for all it would take minutes
		if number, fresh := s.add(vastName(1, i)); number != i || !fresh {
			t.Fatal(i, number, fresh)
		}
	}
	wants := []string{"command=fetch", delimiterLine}
	for i := range 10 {
		wants = append(wants, "want "+vastName(1, i+1).String())
	}
	body := lines(append(wants, flushLine)...)
	if r, err := parseRequest(strings.NewReader(body), 2, 10); err != nil || r.wants.len() != 10 {
		t.Errorf("as many as may be: %v", err)
	}
	if _, err := parseRequest(strings.NewReader(body), 2, 9); err == nil {
		t.Error("one too many is taken")
	}
}

// TestOnlyWhatTheReferencesLeadTo is given away.
func TestOnlyWhatTheReferencesLeadTo(t *testing.T) {
	ctx := context.Background()
	repo := gitrepo.NewMemory(gitrepo.Options{})
	first := filled(t, repo, 1, 2)
	tip := commitOn(t, repo, "", when.Add(time.Hour), put(t, "open", "open"))
	if err := repo.CreateBranch("secret", tip); err != nil {
		t.Fatal(err)
	}
	hidden := commitOn(t, repo, "secret", when.Add(2*time.Hour), put(t, "hidden", "hidden"))
	if err := repo.CreateTag(ctx, gitrepo.TagInput{Name: "gone", Commit: hidden, Message: "m", Tagger: ann, At: when}); err != nil {
		t.Fatal(err)
	}
	tag, err := repo.Ref("refs/tags/gone")
	if err == nil {
		err = errors.Join(repo.DeleteTag(ctx, "gone"), repo.DeleteBranch("secret"), repo.SetRef(ctx, "refs/caiatop/last", hidden))
	}
	if err != nil {
		t.Fatal(err)
	}
	of := func(at Hash, name string) Hash {
		e, err := repo.Find(ctx, at, put(t, name, "").Path)
		if err != nil {
			t.Fatal(err)
		}
		return e.Hash
	}
	tree := func(at Hash) Hash {
		c, err := repo.ReadCommit(ctx, at)
		if err != nil {
			t.Fatal(err)
		}
		return c.Tree
	}
	s := New(Options{})
	for _, c := range []struct {
		name  string
		want  Hash
		given bool
	}{
		{"a tip", tip, true},
		{"an earlier commit", first, true},
		{"a tree", tree(first), true},
		{"a folder", of(tip, "docs"), true},
		{"a file", of(tip, "open"), true},
		{"a commit that lost its branch", hidden, false},
		{"its tree", tree(hidden), false},
		{"its file", of(hidden, "hidden"), false},
		{"a tag that was deleted", tag, false},
		{"nothing", Hash{1}, false},
	} {
		for version, body := range map[int]string{
			0: lines("want "+c.want.String()+" side-band-64k", flushLine, "done"),
			2: lines("command=fetch", delimiterLine, "want "+c.want.String(), "done", flushLine),
		} {
			w, err := post(t, s, repo, version, body)
			if err != nil {
				t.Errorf("%s, version %d: %v", c.name, version, err)
			}
			refused := strings.Contains(w.Body.String(), "ERR upload-pack: not our ref "+c.want.String())
			if refused == c.given || strings.Contains(w.Body.String(), "PACK") != c.given {
				t.Errorf("%s, version %d: %.200q", c.name, version, w.Body)
			}
		}
	}
	// What is shallow at a client does not open a way behind the references.
	w, err := post(t, s, repo, 2, lines("command=fetch", delimiterLine, "want "+first.String(), "shallow "+hidden.String(),
		"deepen 5", "deepen-relative", "done", flushLine))
	if err != nil || strings.Contains(w.Body.String(), "unshallow") {
		t.Errorf("a foreign end of history: %v %.200q", err, w.Body)
	}
}

// TestAcknowledgements are those of git, in each of its ways.
func TestAcknowledgements(t *testing.T) {
	repo := gitrepo.NewMemory(gitrepo.Options{})
	base := filled(t, repo, 1, 2).String()
	tip := commitOn(t, repo, "", when.Add(time.Hour), put(t, "a", "a")).String()
	unknown := strings.Repeat("1", 40)
	none := lines("NAK")
	for _, c := range []struct {
		name, caps string
		after      []string
		want       string
		pack       bool
	}{
		{"nothing in common", "", []string{"have " + unknown, "done"}, none, true},
		{"another round", "", []string{"have " + unknown, flushLine}, none, false},
		{"one", "", []string{"have " + base, "have " + unknown, flushLine}, lines("ACK " + base), false},
		{"one and done", "", []string{"have " + base, "done"}, lines("ACK " + base), true},
		{"several", "multi_ack", []string{"have " + base, flushLine}, lines("ACK "+base+" continue", "NAK"), false},
		{"several and done", "multi_ack", []string{"have " + base, "done"}, lines("ACK "+base+" continue", "ACK "+base), true},
		{"detailed", "multi_ack_detailed", []string{"have " + base, flushLine}, lines("ACK "+base+" common", "ACK "+base+" ready", "NAK"), false},
		{
			"detailed, no done", "multi_ack_detailed no-done",
			[]string{"have " + base, flushLine},
			lines("ACK "+base+" common", "ACK "+base+" ready", "NAK", "ACK "+base), true,
		},
		{
			"detailed, beyond", "multi_ack_detailed",
			[]string{"have " + base, "have " + unknown, flushLine},
			lines("ACK "+base+" common", "ACK "+unknown+" ready", "NAK"), false,
		},
	} {
		body := lines(append([]string{"want " + tip + " " + c.caps, flushLine}, c.after...)...)
		w, err := post(t, New(Options{}), repo, 0, body)
		got, pack, found := strings.Cut(w.Body.String(), "PACK")
		if err != nil || got != c.want || found != c.pack {
			t.Errorf("%s: %v, %q and %d bytes of pack, want %q, %v", c.name, err, got, len(pack), c.want, c.pack)
		}
	}
	// Much that is unknown hides what comes after it, and no more.
	for many, want := range map[int]string{maxUnknown - 1: "ACK " + base, maxUnknown: "NAK"} {
		request := []string{"command=fetch", delimiterLine, "want " + tip}
		for i := range many {
			request = append(request, "have "+vastName(1, i).String())
		}
		w, err := post(t, New(Options{}), repo, 2, lines(append(request, "have "+base, flushLine)...))
		if err != nil || !strings.Contains(w.Body.String(), want) {
			t.Errorf("after %d unknown: %v %.200q, want %q", many, err, w.Body, want)
		}
	}
	for _, c := range []struct{ have, want string }{
		{unknown, lines("acknowledgments", "NAK", flushLine)},
		{base, lines("acknowledgments", "ACK "+base, "ready", delimiterLine, "packfile")},
	} {
		w, err := post(t, New(Options{}), repo, 2, lines("command=fetch", delimiterLine, "want "+tip, "have "+c.have, flushLine))
		if err != nil || !strings.HasPrefix(w.Body.String(), c.want) {
			t.Errorf("version 2: %v %.200q, want %q", err, w.Body, c.want)
		}
	}
}

// TestAdvertisements announce nothing that is not served.
func TestAdvertisements(t *testing.T) {
	repo := gitrepo.NewMemory(gitrepo.Options{})
	for _, c := range []struct {
		query, protocol string
		status          int
		want            string
	}{
		{"service=git-upload-pack", "", 200, lines("# service=git-upload-pack", flushLine, noObject+" capabilities^{}\x00"+features0+" agent=caiatop", flushLine)},
		{"service=git-upload-pack", "version=1", 200, lines("# service=git-upload-pack", flushLine, "version 1")},
		{"service=git-upload-pack", "version=7:version=2", 200, lines("version 2", "agent=caiatop", "ls-refs=unborn", "fetch=shallow filter", "object-format=sha1", flushLine)},
		{"service=git-receive-pack", "", 403, "push is not offered"},
		{"", "", 400, "smart protocol"},
		{"service=other", "", 400, "no service"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/r.git/info/refs?"+c.query, nil)
		r.Header.Set("Git-Protocol", c.protocol)
		w := httptest.NewRecorder()
		err := New(Options{}).Advertise(w, r, repo)
		text, status := w.Body.String(), w.Code
		if refused, ok := asRefusal(err); ok {
			text, status = refused.Text, refused.Status
		}
		if status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s %s: %d %q, want %d %q", c.query, c.protocol, status, text, c.status, c.want)
		}
	}
}

// FuzzRequest: whatever comes is a request within the limits, or a refusal.
func FuzzRequest(f *testing.F) {
	name := strings.Repeat("0123456789", 4)
	f.Add(0, lines("want "+name+" multi_ack_detailed no-done side-band-64k thin-pack ofs-delta", "want "+name, "deepen 3", flushLine, "have "+name, "done"))
	f.Add(2, lines("command=fetch", "agent=x", "object-format=sha1", delimiterLine, "want "+name, "shallow "+name, "deepen-since 5", "filter blob:none", "done", flushLine))
	f.Add(2, lines("command=ls-refs", delimiterLine, "peel", "symrefs", "unborn", "ref-prefix refs/heads/", flushLine))
	f.Add(2, flushLine)
	f.Add(0, "")
	f.Fuzz(func(t *testing.T, version int, body string) {
		version &= 2
		r, err := parseRequest(strings.NewReader(body), version, MaxNamed)
		if refused, ok := asRefusal(err); err != nil && (!ok || refused.Status < 400 || refused.Status > 499) {
			t.Fatalf("not typed: %v", err)
		}
		if err != nil {
			return
		}
		if (r.command == commandFetch) != (r.wants.len() > 0) || r.depth < 0 || r.depth > infinite || r.depth > 0 && len(r.excluded) > 0 {
			t.Fatalf("%q was read as %+v", body, r)
		}
		w, err := post(t, New(Options{}), gitrepo.NewMemory(gitrepo.Options{}), version, body)
		if _, ok := asRefusal(err); err != nil && !ok {
			t.Fatal(err)
		}
		lines := lineReader{from: w.Body}
		for {
			if sort, _, err := lines.next(); err != nil || sort == end {
				if err != nil && !errors.Is(err, io.EOF) {
					t.Fatalf("the answer is none: %v", err)
				}
				break
			}
		}
	})
}

// TestManyTagsAreComparedAtOnce: a fetch of as many tags as commits walks the
// history once, and not once for each.
func TestManyTagsAreComparedAtOnce(t *testing.T) {
	repo := &counting{Repo: gitrepo.NewMemory(gitrepo.Options{})}
	var hashes []Hash
	for i := range 200 {
		hashes = append(hashes, commitOn(t, repo.Repo, "", when.Add(time.Duration(i)*time.Second), put(t, "a", fmt.Sprint(i))))
		if err := repo.CreateTag(context.Background(), gitrepo.TagInput{Name: fmt.Sprint("t", i), Commit: hashes[i]}); err != nil {
			t.Fatal(err)
		}
	}
	request := []string{"command=fetch", delimiterLine}
	for _, h := range hashes[1:] {
		request = append(request, "want "+h.String())
	}
	w, err := post(t, New(Options{}), repo, 2, lines(append(request, "have "+hashes[0].String(), flushLine)...))
	if err != nil || !strings.Contains(w.Body.String(), "ready\n") {
		t.Errorf("%v %.200q", err, w.Body)
	}
	if most := 10 * len(hashes); repo.read > most {
		t.Errorf("%d commits were read, want at most %d", repo.read, most)
	}
}

// counting counts how often a commit is read.
type counting struct {
	*gitrepo.Repo
	read int
}

func (c *counting) ReadCommit(ctx context.Context, h Hash) (gitrepo.Commit, error) {
	c.read++
	return c.Repo.ReadCommit(ctx, h)
}
