package govcd

import (
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/govcd/access"
)

// TestACommitWithoutAnAuthorIsItsCallers: it was shown as one of whoever had
// committed before, which is govc's rule where nobody knows who calls.
func TestACommitWithoutAnAuthorIsItsCallers(t *testing.T) {
	_, c, _, _ := managed(t)
	h := newService(t, Options{Access: c}).Handler()
	by := func(subject string) string {
		s, err := access.ParseScopes("docs:admin")
		if err != nil {
			t.Fatal(err)
		}
		token, err := c.Mint(access.TokenRequest{Subject: subject, TTL: time.Hour, Scopes: s})
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + token.Value.Reveal()
	}
	ann, bob, mail := by("ann"), by("bob"), by("carl@example.org")
	put := func(who, path, says string) {
		t.Helper()
		want(t, send(t, h, "POST", docs+"/files", `{"path":"`+path+`","content":"x"}`, "Authorization", who), 201, "")
		if says == "" {
			return
		}
		want(t, send(t, h, "POST", docs+"/commits", `{"message":"m"`+says+`}`, "Authorization", who), 201, "")
	}
	newest := func(who, part string) {
		t.Helper()
		want(t, send(t, h, "GET", docs+"/commits?limit=1", "", "Authorization", who), 200, part)
	}
	want(t, send(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`, "Authorization", ann), 201, "")
	put(ann, "a", `,"author":"Ann Other","email":"other@example.net"`)
	newest(ann, `"author":"Ann Other","email":"other@example.net"`)
	put(bob, "b", `,"author":"  "`)
	newest(ann, `"author":"bob","email":"unknown@example.com"`)
	put(mail, "c", " ")
	newest(ann, `"author":"carl@example.org","email":"carl@example.org"`)
	put(bob, "d", `,"author":"B"`)
	newest(ann, `"author":"B","email":"unknown@example.com"`)
	want(t, send(t, h, "POST", docs+"/batch", `{"message":"m","items":[{"op":"put","path":"e","content":"x"}]}`, "Authorization", ann, headerKey, "k"), 201, "")
	newest(ann, `"author":"ann","email":"unknown@example.com"`)

	// Who sends the key of another again is told whose commit it is.
	put(ann, "f", "")
	want(t, send(t, h, "POST", docs+"/commits", `{"message":"m"}`, "Authorization", ann, headerKey, "l"), 201, `"author":"ann"`)
	want(t, send(t, h, "POST", docs+"/commits", `{"message":"m"}`, "Authorization", bob, headerKey, "l"), 201, `"author":"ann"`)

	// A merge and a tag, too.
	want(t, send(t, h, "POST", docs+"/branches", `{"name":"side"}`, "Authorization", ann), 201, "")
	want(t, send(t, h, "POST", docs+"/batch?branch=side", `{"message":"m","items":[{"op":"put","path":"g","content":"x"}]}`, "Authorization", ann), 201, "")
	put(ann, "h", `,"author":"Ann Other","email":"other@example.net"`)
	want(t, send(t, h, "POST", docs+"/merge", `{"from":"side"}`, "Authorization", bob), 200, "")
	newest(ann, `"author":"bob","email":"unknown@example.com"`)
}

// TestWithoutCredentialsTheLastAuthorHolds, as at govc.
func TestWithoutCredentialsTheLastAuthorHolds(t *testing.T) {
	h := withRepo(t, Options{})
	add(t, h, "a", "x")
	want(t, ask(t, h, "POST", docs+"/commits", `{"message":"m","author":"Ann","email":"ann@example.org"}`), 201, "")
	add(t, h, "b", "x")
	want(t, ask(t, h, "POST", docs+"/commits", `{"message":"m"}`), 201, `"author":"Ann","email":"ann@example.org"`)
}
