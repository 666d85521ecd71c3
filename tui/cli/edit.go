package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/probe/httpapi"
)

func (a *app) editCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edit ID",
		Short: "change the text of a document with $VISUAL or $EDITOR",
		Long: "Opens the text of a document in $VISUAL, else $EDITOR, and stores what was saved as a\n" +
			"new version. If somebody else changed the document meanwhile nothing is stored, and the file\n" +
			"with your text is kept and named; so it is whenever your text could not be stored.",
		Args: args(1, 1), ValidArgsFunction: a.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			what := fmt.Sprintf("%q cannot be edited", args[0])
			if err := checkIDs(what, args[0]); err != nil {
				return err
			}
			var doc httpapi.Document
			// The engine is not kept while somebody thinks.
			err := a.with(cmd, a.Open, func(ctx context.Context, session Session) (err error) {
				doc, err = a.read(ctx, session, what, args[0], "")
				return err
			})
			if err != nil {
				return err
			}
			if doc.Text == "" && len(doc.Raw) > 0 {
				return &Fault{
					What: what, Why: fmt.Errorf("%w: it has no text, but %s of raw bytes", httpapi.ErrInvalid, size(int64(len(doc.Raw)))),
					Fix: "get it into a file, change that, and put it",
				}
			}
			return a.edit(cmd, what, doc)
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// edit lets the user change the text of doc and stores it over the version that
// doc is.
func (a *app) edit(cmd *cobra.Command, what string, doc httpapi.Document) (err error) {
	dir, err := os.MkdirTemp("", "caiatop-edit-")
	if err != nil {
		return fault(what, err)
	}
	keep := false
	defer func() {
		if !keep {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	file := filepath.Join(dir, editName(doc))
	if err := os.WriteFile(file, []byte(doc.Text), 0o600); err != nil {
		return fault(what, err)
	}
	editErr := a.Edit(cmd.Context(), file)
	text, err := readBack(file)
	if editErr != nil {
		editErr = coded{editErr, errEditor}
	}
	switch {
	case err == nil && text == doc.Text && editErr != nil:
		return &Fault{What: what, Why: editErr, Fix: editFix(editErr)}
	case err == nil && text == doc.Text:
		return a.edited(doc, nil)
	case errors.Is(err, fs.ErrNotExist) && os.Remove(dir) == nil: // nothing else is there
		return &Fault{
			What: fmt.Sprintf("%q was not changed", doc.ID), Why: coded{errors.Join(editErr, errors.New("the editor removed the file")), errEditor},
			Fix: "save the text under the name that the editor was given",
		}
	}
	// From here on there is something to lose.
	keep = true
	kept := "your text is kept in " + file
	if errors.Is(err, fs.ErrNotExist) {
		kept = "what the editor left lies in " + dir
	}
	if err = errors.Join(editErr, err, cmd.Context().Err()); err != nil {
		return &Fault{What: fmt.Sprintf("%q was not changed", doc.ID), Why: err, Fix: kept}
	}
	changed := doc
	changed.Text = text
	err = a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
		ack, err := session.Replace(ctx, changed, doc.Hash)
		if err != nil {
			return &Fault{What: fmt.Sprintf("%q was not changed", doc.ID), Why: err, Fix: kept + afterConflict(err, doc.ID)}
		}
		keep = false
		return a.edited(changed, &ack)
	})
	if f, ok := errors.AsType[*Fault](err); keep && (!ok || !strings.Contains(f.Fix, kept)) {
		a.note("%s", kept)
	}
	return err
}

// afterConflict is what else to do where somebody was faster.
func afterConflict(err error, id string) string {
	if !errors.Is(err, httpapi.ErrConflict) {
		return ""
	}
	return fmt.Sprintf("; look at the other change with: caiatop history %s --diff; then edit again and take your text over", shellWord(id))
}

// shellWord is a word as it can be pasted into a shell.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-/~:@%+,=", r)
	}) && s[0] != '~' && s[0] != '-' {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func readBack(file string) (text string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := readContent(f)
	return string(data), err
}

func (a *app) edited(doc httpapi.Document, ack *httpapi.Ack) error {
	reply := stored{ID: doc.ID, Type: doc.Type, Bytes: len(doc.Text) + len(doc.Raw)}
	if ack == nil {
		return a.acknowledged(reply.Ack, reply, "%s was left as it is\n", safe(doc.ID))
	}
	reply.Ack = *ack
	return a.acknowledged(*ack, reply, "changed %s (%s, %s): %s\n", safe(doc.ID), safe(doc.Type), size(int64(reply.Bytes)), safe(ack.Durability))
}

// editName names the file after the document, so that an editor knows what it
// is: in letters that every file system and editor takes.
func editName(doc httpapi.Document) string {
	const longest = 60
	clean := func(s string) string {
		s = strings.Map(func(r rune) rune {
			if r < 0x7f && (r == '.' || r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
				return r
			}
			return '_'
		}, s)
		return strings.TrimLeft(s[max(0, len(s)-longest):], ".-")
	}
	name := clean(doc.ID)
	if name == "" {
		name = "document"
	}
	if filepath.Ext(name) == "" {
		name += "." + clean(doc.Type)
	}
	return name
}

func editFix(err error) string {
	if errors.Is(err, ErrNoEditor) {
		return "set one, like: EDITOR=nano caiatop edit ID"
	}
	return "look at what the editor says"
}

// edit runs the editor of the environment on this process's terminal. It is not
// ended with ctx: what is typed in it is not ours to throw away.
func (w wiring) edit(_ context.Context, file string) error {
	editor := ""
	for _, name := range []string{"VISUAL", "EDITOR"} {
		if value, _ := w.env(name); editor == "" {
			editor = value
		}
	}
	if strings.TrimSpace(editor) == "" {
		return ErrNoEditor
	}
	// By the shell, so that EDITOR="code --wait" works.
	cmd := exec.Command("/bin/sh", "-c", editor+` "$@"`, editor, file)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", editor, err)
	}
	return nil
}
