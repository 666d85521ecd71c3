package govc_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
)

// acked is a put that was acknowledged.
type acked struct {
	doc    document.Document
	commit string
	by     store.Author
}

// TestCrowdGetsWhatItWasTold: 64 clients write at once, documents of their own
// and now and then one that all fight over. Every acknowledged put has one commit
// of its own in the log, with its author, upon the one before, which changes its
// document and nothing else.
func TestCrowdGetsWhatItWasTold(t *testing.T) {
	for name, data := range map[string]string{"memory": "", "disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) { testCrowd(t, govcd.Options{Data: data}) })
	}
}

// eachPuts is how many documents a client of the crowd puts; make soak wants more.
func eachPuts(t *testing.T) int {
	text := os.Getenv("CAIATOP_SOAK_ROUNDS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("CAIATOP_SOAK_ROUNDS=%q is no number of rounds", text)
	}
	return max(n/10, 3)
}

func testCrowd(t *testing.T, o govcd.Options) {
	const clients = 64
	each := eachPuts(t)
	_, at := startService(t, o)
	first := openClient(t, govc.Options{URL: at})
	start, err := first.Apply(t.Context(), put(newDoc(t, "start", "text")))
	if err != nil {
		t.Fatal(err)
	}
	told := make([][]acked, clients)
	var group sync.WaitGroup
	for n := range clients {
		c := newClient(t, govc.Options{URL: at})
		group.Go(func() {
			by := store.Author{Name: fmt.Sprint("writer ", n), Email: fmt.Sprintf("w%d@x.y", n)}
			for i := range each {
				d := newDoc(t, fmt.Sprintf("doc-%d-%d", n, i), fmt.Sprint("text of ", n))
				if i == each/2 {
					d = newDoc(t, "contended", fmt.Sprint("text of ", n))
				}
				b := put(d)
				b.Author = by
				receipt, err := c.Apply(t.Context(), b)
				if err != nil || receipt.Commit == "" {
					t.Errorf("Apply = %+v, %v", receipt, err)
					return
				}
				told[n] = append(told[n], acked{d, receipt.Commit, by})
			}
		})
	}
	group.Wait()
	wantCrowd(t, first, at, start.Commit, told)
}

// wantCrowd looks at every commit since start.
func wantCrowd(t *testing.T, c *govc.Client, at, start string, told [][]acked) {
	t.Helper()
	log := asked(t, http.MethodGet, at+"/api/v2/repos/docs/commits?limit=10000&since="+start, "")
	commits := map[string]map[string]any{}
	tip := start
	list := log["commits"].([]any)
	for i := len(list) - 1; i >= 0; i-- { // the oldest first
		m := list[i].(map[string]any)
		if m["parent"] != tip {
			t.Errorf("commit %v is upon %v, not upon %v", m["hash"], m["parent"], tip)
		}
		tip = m["hash"].(string)
		commits[tip] = m
	}
	for _, one := range told {
		for _, a := range one {
			m := commits[a.commit]
			delete(commits, a.commit) // so that it is nobody else's
			if m == nil || m["author"] != a.by.Name || m["email"] != a.by.Email || !strings.Contains(fmt.Sprint(m["message"]), a.doc.ID.String()) {
				t.Errorf("the put of %q by %s was acknowledged as %s, which is %v", a.doc.ID, a.by.Name, a.commit, m)
				continue
			}
			query := url.Values{"from": {fmt.Sprint(m["parent"])}, "to": {a.commit}}.Encode()
			diff := asked(t, http.MethodGet, at+"/api/v2/repos/docs/diff?"+query, "")
			for _, f := range diff["files"].([]any) {
				if path := f.(map[string]any)["path"].(string); !strings.HasPrefix(path, keyOf(a.doc).Folder.String()+"/") {
					t.Errorf("the commit of %q changes %s", a.doc.ID, path)
				}
			}
			if n := diff["total"].(float64); n < 1 || n > 2 {
				t.Errorf("the commit of %q changes %v files", a.doc.ID, n)
			}
			if got, err := c.Get(t.Context(), keyOf(a.doc)); err != nil || (a.doc.ID.String() != "contended" && got.Content.Text != a.doc.Content.Text) {
				t.Errorf("Get(%q) = %q, %v", a.doc.ID, got.Content.Text, err)
			}
		}
	}
	if len(commits) > 0 {
		t.Errorf("nobody was told of %d commits", len(commits))
	}
}
