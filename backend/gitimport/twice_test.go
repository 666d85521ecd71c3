package gitimport

import (
	"slices"
	"testing"
)

const march, april = "documents/text/2026/03/x", "documents/text/2026/04/x"

// TestAnImportDeletesADocumentThatTheSourceStillHas: a document lay in two
// months, and the commit that removed one of them removed it here.
func TestAnImportDeletesADocumentThatTheSourceStillHas(t *testing.T) {
	for name, resumed := range map[string]bool{"at once": false, "resumed": true} {
		t.Run(name, func(t *testing.T) {
			s := newSource(t)
			into, dir := target(t)
			step := func() (r Report) {
				if resumed {
					r = must(t, s.dir, into, options())
				}
				return r
			}
			s.write("2026/03", "x", "march")
			s.write("2026/04", "x", "april")
			s.commit("Both at once")
			if step(); resumed {
				wantText(t, into, "x", "april")
			}
			s.write("2026/03", "x", "march again")
			s.commit("The newest leads")
			if r := step(); resumed {
				wantText(t, into, "x", "march again")
				if r.Elsewhere != 1 || !slices.Equal(r.ElsewhereNames, []string{april}) {
					t.Errorf("%+v", r)
				}
			}
			s.write("2026/04", "x", "april again")
			s.commit("And April")
			step()
			s.run("rm", "-rq", april)
			s.commit("Drop April")
			r := must(t, s.dir, into, options())
			wantText(t, into, "x", "march again")
			if r.Documents != 1 || r.Deletes != 0 || r.Elsewhere != 0 {
				t.Errorf("%+v", r)
			}
			s.run("mv", march, "documents/text/2026/x")
			s.file("documents/text/2026/05/keep", "")
			s.run("mv", "documents/text/2026/x", "documents/text/2026/05/x")
			s.commit("Move")
			step()
			s.run("rm", "-rq", "documents/text/2026/05/x")
			s.commit("Drop all")
			if r := must(t, s.dir, into, options()); r.Documents != 0 || r.Deletes != 1 {
				t.Errorf("%+v", r)
			}
			wantText(t, into, "x", "")
			gitIn(t, dir, "fsck", "--strict", "--full")
		})
	}
}

// The folder that leads goes, and the other one cannot be read: what was
// imported stays until that goes, too.
func TestTheOtherFolderCannotBeRead(t *testing.T) {
	for name, resumed := range map[string]bool{"at once": false, "resumed": true} {
		t.Run(name, func(t *testing.T) {
			s := newSource(t)
			into, _ := target(t)
			step := func() {
				if resumed {
					must(t, s.dir, into, options())
				}
			}
			s.file(march+"/metadata.json", "no json")
			s.write("2026/04", "x", "april")
			s.commit("Both")
			step()
			s.file(april+"/metadata.json", "no json")
			s.commit("Spoil April")
			step()
			s.run("rm", "-rq", april)
			s.commit("Drop April")
			if r := must(t, s.dir, into, options()); r.Documents != 1 || r.Deletes != 0 {
				t.Errorf("%+v", r)
			}
			wantText(t, into, "x", "april")
			s.run("rm", "-rq", march)
			s.commit("Drop March")
			if r := must(t, s.dir, into, options()); r.Documents != 0 || r.Deletes != 1 {
				t.Errorf("%+v", r)
			}
			wantText(t, into, "x", "")
		})
	}
}
