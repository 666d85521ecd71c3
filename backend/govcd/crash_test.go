package govcd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crashVariable names the folder of a service that is to be killed.
const crashVariable = "CAIATOP_TEST_SERVICE"

const (
	crashRounds  = 5
	crashClients = 8
	crashAcks    = 60 // of one round, before the process is killed
)

// soakRounds is how many rounds a long run wants, 0 for none.
func soakRounds(t *testing.T) (rounds int) {
	t.Helper()
	if n := os.Getenv("CAIATOP_SOAK_ROUNDS"); n != "" {
		if _, err := fmt.Sscan(n, &rounds); err != nil {
			t.Fatalf("CAIATOP_SOAK_ROUNDS=%q: %v", n, err)
		}
	}
	return rounds
}

// crashChild serves a folder until it is killed, and says where.
func crashChild(dir string) error {
	s := New(Options{Data: dir})
	// Whoever held a lock of git there is dead. The test knows, and does not wait
	// until the lock is old enough to tell.
	s.disk.clock = func() time.Time { return time.Now().Add(2 * time.Second) }
	url, err := s.Start("127.0.0.1:0")
	if err == nil {
		_, err = fmt.Println(url)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, os.Stdin) // ends with the test, if that dies first
	}
	return err
}

// victim is such a process.
type victim struct {
	*exec.Cmd
	url  string
	kill func()
}

func startVictim(t *testing.T, dir string) *victim {
	t.Helper()
	v := &victim{Cmd: exec.Command(os.Args[0])}
	v.Env = append(os.Environ(), crashVariable+"="+dir)
	var stderr bytes.Buffer
	v.Stderr = &stderr
	stdin, err := v.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := v.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the service did not start: %v, %v\n%s", err, v.Wait(), &stderr)
	}
	v.url = strings.TrimSpace(line)
	v.kill = sync.OnceFunc(func() {
		if err := v.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = v.Wait() // it was killed, and says so
		_ = stdin.Close()
	})
	t.Cleanup(v.kill)
	return v
}

// crashClient makes commits one after the other, and goes on with the one that
// it has no answer for when the service is there again.
type crashClient struct {
	id     int
	next   int
	acked  []string // hashes, in the order of the answers
	http   *http.Client
	notify func()
}

// post sends a request; an error is a service that died.
func (c *crashClient) post(ctx context.Context, url, body string, key bool) (status int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if key {
		r.Header.Set(headerKey, fmt.Sprintf("%d-%d", c.id, c.next))
	}
	if c.id%2 == 1 {
		r.Header.Set(headerStage, fmt.Sprint(c.id))
	}
	w, err := c.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(w.Body)
	return w.StatusCode, answer, errors.Join(err, w.Body.Close())
}

// one makes one commit: half of the clients by batch, half by staging, which a
// service that died has forgotten.
func (c *crashClient) one(ctx context.Context, base string) (status int, answer []byte, err error) {
	path := fmt.Sprintf("c%d/%d", c.id, c.next)
	head := fmt.Sprintf(`"message":%q,"author":"client %d"`, path, c.id)
	if c.id%2 == 0 {
		return c.post(ctx, base+"/batch", "{"+head+`,"items":[`+put(path, path)+"]}", true)
	}
	for range 2 {
		status, answer, err = c.post(ctx, base+"/commits", "{"+head+"}", true)
		if err != nil || status != http.StatusBadRequest {
			return status, answer, err
		}
		if status, answer, err = c.post(ctx, base+"/files", fmt.Sprintf(`{"path":%q,"content":%q}`, path, path), false); err != nil || status != http.StatusCreated {
			return status, answer, err
		}
	}
	return status, answer, err
}

func (c *crashClient) run(t *testing.T, base string) {
	for {
		status, answer, err := c.one(t.Context(), base)
		if err != nil {
			return // killed
		}
		var made struct{ Hash string }
		if err := json.Unmarshal(answer, &made); err != nil || status != http.StatusCreated || made.Hash == "" {
			t.Errorf("client %d, commit %d: %d %s", c.id, c.next, status, answer)
			return
		}
		c.acked = append(c.acked, made.Hash)
		c.next++
		c.notify()
	}
}

// TestAKilledServiceLosesNothing that it acknowledged, makes nothing twice, and
// keeps the order of each client, while eight clients commit.
func TestAKilledServiceLosesNothing(t *testing.T) {
	rounds := crashRounds
	if n := soakRounds(t); n > 0 {
		rounds = n
	}
	dir := t.TempDir()
	clients := make([]*crashClient, crashClients)
	for i := range clients {
		clients[i] = &crashClient{id: i}
	}
	for round := range rounds {
		v := startVictim(t, dir)
		if round == 0 {
			created, err := http.Post(v.url+"/api/v2/repos", "application/json", strings.NewReader(`{"id":"docs"}`))
			if err != nil {
				t.Fatal(err)
			}
			_ = created.Body.Close()
			http.DefaultClient.CloseIdleConnections()
		}
		var acks atomic.Int64
		var group sync.WaitGroup
		for _, c := range clients {
			c.http = &http.Client{Transport: &http.Transport{}}
			c.notify = func() {
				if acks.Add(1) == crashAcks {
					v.kill()
				}
			}
			group.Go(func() { c.run(t, v.url+docs) })
		}
		group.Wait()
		v.kill()
		for _, c := range clients {
			c.http.CloseIdleConnections()
		}
		if t.Failed() {
			return
		}
	}
	wantAll(t, dir, clients)
}

// wantAll compares what is in the folder with what the clients know.
func wantAll(t *testing.T, dir string, clients []*crashClient) {
	t.Helper()
	path := filepath.Join(dir, "repositories", "docs"+repoSuffix)
	fsck(t, path) // before anybody is at work there
	s := onDisk(t, dir)
	at := map[string]int{}       // commit -> place, the oldest first
	messages := map[string]int{} // how often
	for i, line := range strings.Split(git(t, path, "log", "--reverse", "--format=%H %an|%s", "main"), "\n") {
		hash, rest, _ := strings.Cut(line, " ")
		author, message, _ := strings.Cut(rest, "|")
		at[hash] = i
		messages[message]++
		var id, n int
		if _, err := fmt.Sscanf(message, "c%d/%d", &id, &n); err != nil || author != fmt.Sprintf("client %d", id) {
			t.Errorf("commit %s by %q says %q", hash, author, message)
		}
	}
	total := 0
	for _, c := range clients {
		last := -1
		for n, hash := range c.acked {
			place, ok := at[hash]
			if !ok || place <= last {
				t.Errorf("client %d: commit %d, %s, is at %d (there: %t), the one before at %d", c.id, n, hash, place, ok, last)
			}
			last = place
			name := fmt.Sprintf("c%d/%d", c.id, n)
			if messages[name] != 1 {
				t.Errorf("%s was committed %d times", name, messages[name])
			}
			want(t, ask(t, s.Handler(), "GET", docs+"/files?path="+name, ""), 200, name)
		}
		total += len(c.acked)
		// What was under way when the service died may be there, once.
		if n := messages[fmt.Sprintf("c%d/%d", c.id, c.next)]; n > 1 {
			t.Errorf("client %d: the last commit was made %d times", c.id, n)
		}
	}
	if len(at) < total || len(at) > total+len(clients) {
		t.Errorf("%d commits, %d were acknowledged", len(at), total)
	}
}
