package govcd

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/audit"
	"github.com/caiatech/caiatop/backend/govcd/access"
)

// runGit runs git with no configuration but its arguments, and with nobody to
// ask for a password.
func runGit(t testing.TB, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{ // of the caller's only the path: it may name certificates, proxies and programs that ask
		"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "HOME=" + cmd.Dir, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestGitClonesWhatItMayRead over TLS, with each credential that git can send.
func TestGitClonesWhatItMayRead(t *testing.T) {
	h, c, log, bearer := managed(t)
	admin := bearer("*:admin")
	for _, id := range []string{"docs", "closed"} {
		want(t, send(t, h, "POST", "/api/v2/repos", `{"id":"`+id+`"}`, "Authorization", admin), 201, "")
		want(t, send(t, h, "POST", "/api/v2/repos/"+id+"/batch", batchOf(put("a/b", "of "+id)), "Authorization", admin), 201, "")
	}
	scopes, err := access.ParseScopes("docs:read gone:read")
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := c.Register().CreateKey(t.Context(), access.KeyRequest{Name: "ci", Scopes: scopes})
	if err == nil {
		err = c.Reload()
	}
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true // as the service does
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(bearer("docs:read"), " ")
	at := func(user, repo string) string {
		return strings.Replace(server.URL, "://", "://"+user, 1) + "/" + repo + ".git"
	}
	key := "anybody:" + secret.Reveal() + "@"
	for _, c := range []struct {
		name, url, option, want string
	}{
		{"an API key", at(key, "docs"), "", ""},
		{"a token as password", at("x:"+token+"@", "docs"), "", ""},
		{"a token in a header", at("", "docs"), "http.extraHeader=Authorization: Bearer " + token, ""},
		{"nothing", at("", "docs"), "", "could not read Username"},
		{"a wrong key", at("x:wrong@", "docs"), "", "Authentication failed"},
		{"another repository", at(key, "closed"), "", "FORBIDDEN: Insufficient permissions"},
		{"one that is not there", at(key, "gone"), "", "repository not found: gone"},
		{"one that is not there and may not be seen", at(key, "nowhere"), "", "FORBIDDEN: Insufficient permissions"},
		{"a certificate of somebody", at(key, "docs"), "http.sslCAInfo=/dev/null", "certificate"},
	} {
		if c.option == "" {
			c.option = "core.abbrev=40"
		}
		dir := filepath.Join(t.TempDir(), "c")
		out, err := runGit(t, "-c", "http.sslCAInfo="+ca, "-c", c.option, "clone", "-q", c.url, dir)
		if (err != nil) != (c.want != "") || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v %s; want %q", c.name, err, out, c.want)
		}
		if data, _ := os.ReadFile(filepath.Join(dir, "a/b")); c.want == "" && string(data) != "of docs" {
			t.Errorf("%s: the file is %q", c.name, data)
		}
	}
	metrics := send(t, h, "GET", "/metrics", "", "Authorization", admin)
	want(t, metrics, 200, `path="/{id}.git/git-upload-pack",status="200"`)
	want(t, metrics, 200, `path="/{id}.git/info/refs",status="401"`)
	want(t, ask(t, h, "GET", "/version", ""), 200, `"git.http"`)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	var refusals []string
	_, err = audit.Scan(c.Register().Volume, c.Register().Dir+"/"+access.AuditDir, "", func(e audit.Entry) error {
		if strings.Contains(e.What, ".git/") {
			refusals = append(refusals, fmt.Sprint(e.Who, " ", e.What, " ", e.Repo, " ", e.Result))
		}
		return nil
	})
	const story = ` GET /{id}.git/info/refs docs UNAUTHORIZED
ci GET /{id}.git/info/refs closed FORBIDDEN
ci GET /{id}.git/info/refs nowhere FORBIDDEN`
	if got := strings.Join(refusals, "\n"); err != nil || got != story {
		t.Errorf("%v\n%s\nwant\n%s", err, got, story)
	}
}

// TestGitIsAskedForAPassword, and other callers for what they can send.
func TestGitIsAskedForAPassword(t *testing.T) {
	h, _, _, _ := managed(t)
	for path, scheme := range map[string]string{"/docs.git/info/refs?service=git-upload-pack": "Basic ", "/api/v2/repos": "Bearer "} {
		w := ask(t, h, "GET", path, "")
		want(t, w, 401, "UNAUTHORIZED")
		if got := w.Header().Get("Www-Authenticate"); !strings.HasPrefix(got, scheme) {
			t.Errorf("%s: %q", path, got)
		}
	}
	want(t, send(t, h, "GET", "/api/v2/repos", "", "Authorization", "Basic eDp5"), 401, "not understood")
}

// TestGitsOtherWays are answered in words.
func TestGitsOtherWays(t *testing.T) {
	h := withRepo(t, Options{})
	want(t, ask(t, h, "GET", "/docs.git/info/refs", ""), 400, "UNSUPPORTED: this service speaks the smart protocol only")
	want(t, ask(t, h, "GET", "/docs.git/info/refs?service=git-receive-pack", ""), 403, "PUSH_NOT_OFFERED: push is not offered")
	want(t, ask(t, h, "POST", "/docs.git/git-receive-pack", ""), 403, "PUSH_NOT_OFFERED")
	want(t, ask(t, h, "POST", "/docs.git/git-upload-pack", "{}"), 415, "UNSUPPORTED_CONTENT_TYPE")
	want(t, ask(t, h, "GET", "/.git/info/refs", ""), 404, "ENDPOINT_NOT_FOUND")
	want(t, ask(t, h, "GET", "/docs.git/HEAD", ""), 404, "ENDPOINT_NOT_FOUND")
	want(t, ask(t, h, "GET", "/none.git/info/refs?service=git-upload-pack", ""), 404, "REPO_NOT_FOUND: repository not found: none\n")
}

// TestATransferEndsWithItsRepository: who deletes one does not wait for those
// who clone it.
func TestATransferEndsWithItsRepository(t *testing.T) {
	s := newService(t, Options{})
	h := s.Handler()
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "")
	w := ask(t, h, "POST", docs+"/batch", batchOf(put("a", strings.Repeat("x", 1000))))
	want(t, w, 201, "")
	commit := w.Body.String()[len(`{"hash":"`):][:40]
	body := "0011command=fetch0001" + "0032want " + commit + "\n" + "0009done\n" + "0000"
	r := httptest.NewRequest("POST", "/docs.git/git-upload-pack", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	r.Header.Set("Git-Protocol", "version=2")
	out := &deleting{ResponseRecorder: httptest.NewRecorder(), drop: func() error { return s.drop(t.Context(), "docs") }}
	h.ServeHTTP(out, r)
	if got := out.Body.String(); out.err != nil || !strings.HasSuffix(got, "\x03repository not found: docs\n") {
		t.Errorf("%v %q", out.err, got)
	}
}

// deleting deletes the repository as the answer begins.
type deleting struct {
	*httptest.ResponseRecorder
	drop func() error
	err  error
}

func (d *deleting) Write(b []byte) (int, error) {
	if d.drop != nil {
		d.err = d.drop()
		d.drop = nil
	}
	return d.ResponseRecorder.Write(b)
}

var _ http.ResponseWriter = &deleting{}

// TestAFetchGoesOnAfterARestart: a service with its repositories on disk is the
// same to git after it, and the fetch is sent what is new only.
func TestAFetchGoesOnAfterARestart(t *testing.T) {
	data, clone := t.TempDir(), filepath.Join(t.TempDir(), "c")
	for run, write := range []string{"first", "second"} {
		s := newService(t, Options{Data: data})
		url, err := s.Start("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if run == 0 {
			want(t, ask(t, s.Handler(), "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "")
		}
		want(t, ask(t, s.Handler(), "POST", docs+"/batch", batchOf(put("folder/"+write, write))), 201, "")
		args := []string{"clone", "-q", "--mirror", url + "/docs.git", clone}
		if run > 0 {
			args = []string{"-C", clone, "fetch", "--progress", url + "/docs.git", "+refs/*:refs/*"}
		}
		out, err := runGit(t, args...)
		if err != nil || run > 0 && !strings.Contains(out, "Total 4 objects") {
			t.Errorf("git %v: %v %s", args, err, out)
		}
		if out, err = runGit(t, "-C", clone, "show", "main:folder/"+write); err != nil || out != write {
			t.Errorf("%v %s", err, out)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if out, err := runGit(t, "-C", clone, "fsck", "--strict", "--full"); err != nil {
		t.Errorf("%v %s", err, out)
	}
}
