package drafts

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
)

// saveForever saves versions of one draft and says after each that it is kept.
func saveForever(dir string) {
	s, err := Open(dir)
	for i := 0; err == nil; i++ {
		var d Draft
		if d.ID, err = document.ParseID("a"); err != nil {
			break
		}
		kind, _ := document.ParseType("text")
		d.Document = document.Document{ID: d.ID, Source: document.Source{Type: kind}, Content: document.Content{Text: strconv.Itoa(i) + strings.Repeat(" x", 20_000)}}
		d.At = at.Add(time.Duration(i))
		if err = s.Save(context.Background(), d); err == nil {
			_, err = fmt.Println(i)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestAKilledWriterLosesNoDraft(t *testing.T) {
	for round := range 5 {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		kept := -1
		for range 3 + 5*round {
			if !lines.Scan() {
				break
			}
			kept, err = strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what was said before the kill
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				kept = n
			}
		}
		_ = cmd.Wait() // it was killed
		s := open(t, dir)
		got := list(t, s)
		if len(got) != 1 {
			t.Fatalf("%d drafts", len(got))
		}
		if n, _, _ := strings.Cut(got[0].Document.Content.Text, " "); n < "0" || atoi(t, n) < kept {
			t.Fatalf("%s is kept, %d was acknowledged", n, kept)
		}
	}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
