package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// maxLines bounds what get shows on a terminal; it says how many are left out.
const maxLines = 100_000

// stored is what put answers with --json.
type stored struct {
	ID    string `json:"id"`
	Type  string `json:"type"`
	Bytes int    `json:"bytes"`
	httpapi.Ack
}

func (a *app) putCommand() *cobra.Command {
	var id, kind, url string
	var meta []string
	cmd := &cobra.Command{
		Use:   "put --id ID [--type TYPE] [--meta NAME=VALUE]... [--url URL] FILE|-",
		Short: "store one document, new or changed",
		Long: "Stores a file, or what is read from stdin (-), as the document ID, in place of the\n" +
			"whole document of that ID, type and metadata included (undo takes it back, edit\n" +
			"changes the text alone). What is UTF-8\n" +
			"without NUL becomes its text, anything else its raw bytes. /dev/null as stdin, which\n" +
			"a closed one is too, is refused, so that it empties no document; to store an empty\n" +
			"one, name an empty FILE or write: : | caiatop put --id ID -",
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if id == "" {
				return usage("the id of the document is missing", "use it as: "+cmd.UseLine())
			}
			doc, err := a.readDocument(args[0], id, kind, url, meta)
			if err != nil {
				return err
			}
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				ack, err := session.Put(ctx, []httpapi.Document{doc})
				if err != nil {
					return fault(fmt.Sprintf("%q was not stored", id), err)
				}
				n := len(doc.Text) + len(doc.Raw)
				return a.acknowledged(ack, stored{doc.ID, doc.Type, n, ack}, "stored %s (%s, %s): %s\n", safe(doc.ID), safe(doc.Type), size(int64(n)), safe(ack.Durability))
			})
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "the `ID` of the document")
	cmd.Flags().StringVar(&kind, "type", "", "the `TYPE` of the document (default: the extension of FILE, else text or binary)")
	cmd.Flags().StringVar(&url, "url", "", "the `URL` it came from")
	cmd.Flags().StringArrayVar(&meta, "meta", nil, "`NAME=VALUE` of its metadata, any number of times")
	a.jsonFlag(cmd)
	return cmd
}

// readDocument makes a document of a file or stdin and checks it.
func (a *app) readDocument(file, id, kind, url string, meta []string) (httpapi.Document, error) {
	what := fmt.Sprintf("%q was not stored", id)
	if err := checkIDs(what, id); err != nil {
		return httpapi.Document{}, err
	}
	doc := httpapi.Document{ID: id, SourceURL: url}
	for _, pair := range meta {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return httpapi.Document{}, usage(fmt.Sprintf("--meta %q is not NAME=VALUE", pair), "write it like --meta author=me")
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			return httpapi.Document{}, fault(what, err)
		}
		if doc.Metadata == nil {
			doc.Metadata = map[string]json.RawMessage{}
		}
		doc.Metadata[name] = encoded
	}
	content, err := a.readFile(file)
	if err != nil {
		return httpapi.Document{}, fault(what, err)
	}
	name := ""
	if file != "-" {
		name = filepath.Base(file)
		doc.SourcePath = strings.ToValidUTF8(name, "\ufffd")
	}
	fill(&doc, content, name, kind)
	if _, err := document.ParseType(doc.Type); err != nil {
		return httpapi.Document{}, &Fault{What: what, Why: coded{err, httpapi.ErrInvalid}, Fix: "give another --type"}
	}
	return doc, nil
}

// checkIDs returns what is wrong with the first of ids that is none.
func checkIDs(what string, ids ...string) error {
	for _, id := range ids {
		if _, err := document.ParseID(id); err != nil {
			if len(ids) > 1 {
				err = fmt.Errorf("%q: %w", id, err)
			}
			return &Fault{
				What: what, Why: coded{err, httpapi.ErrInvalid},
				Fix: fmt.Sprintf("an id has 1 to %d bytes without a slash; list them with: caiatop ls", document.MaxID),
			}
		}
	}
	return nil
}

func (a *app) readFile(name string) (data []byte, err error) {
	in := a.Stdin
	if name == "-" {
		if err := checkInput(in); err != nil {
			return nil, err
		}
	}
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() {
			if closeErr := file.Close(); err == nil {
				err = closeErr
			}
		}()
		in = file
	}
	return readContent(in)
}

// checkInput refuses the null device as stdin. The runtime opens it in the place
// of a stdin that was closed, and nobody who has lost his input means to store
// an empty document.
func checkInput(in io.Reader) error {
	file, ok := in.(*os.File)
	if !ok {
		return nil
	}
	given, err := file.Stat()
	if err != nil {
		return err
	}
	null, err := os.Stat(os.DevNull)
	if err != nil {
		return err
	}
	if given.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	a, known := given.Sys().(*syscall.Stat_t)
	b, alsoKnown := null.Sys().(*syscall.Stat_t)
	if known && alsoKnown && a.Rdev == b.Rdev {
		return httpapi.NewError(coded{errNoInput, httpapi.ErrInvalid}, "pipe the content in; for an empty document name an empty FILE, or: : | caiatop put --id ID -")
	}
	return nil
}

// errNoInput: there is nothing to read a document from.
var errNoInput = errors.New("standard input is " + os.DevNull + ", or was closed")

// readContent reads at most document.MaxContent bytes.
func readContent(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, document.MaxContent+1))
	if err != nil {
		return nil, err
	}
	if len(data) > document.MaxContent {
		return nil, fmt.Errorf("%w: a document holds at most %s", httpapi.ErrTooLarge, size(document.MaxContent))
	}
	return data, nil
}

// fill gives doc its content, as text or as raw bytes, and its type: kind, or
// the extension of name, or what the content is.
func fill(doc *httpapi.Document, content []byte, name, kind string) {
	doc.Type = kind
	if kind == "" {
		doc.Type = extension(name)
	}
	if utf8.Valid(content) && !strings.Contains(string(content), "\x00") {
		doc.Text = string(content)
		if doc.Type == "" {
			doc.Type = "text"
		}
		return
	}
	doc.Raw = content
	if doc.Type == "" {
		doc.Type = "binary"
	}
}

// extension returns the lower-case extension of a file name if it is 1 to 12
// ASCII letters and digits, else "". A leading dot starts no extension.
func extension(name string) string {
	const longest = 12
	ext := strings.ToLower(path.Ext(strings.TrimLeft(path.Base(name), ".")))
	ext = strings.TrimPrefix(ext, ".")
	for i := range len(ext) {
		if c := ext[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return ""
		}
	}
	if len(ext) > longest {
		return ""
	}
	return ext
}

func (a *app) getCommand() *cobra.Command {
	raw, at := false, ""
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "print the content of a document",
		Long: "Prints the text of a document, or its raw bytes if it has no text. Into a file or a\n" +
			"pipe every byte is written as it is. On a terminal control characters are shown in a\n" +
			"visible form, unless --raw is given. With --at it is the version of a commit that\n" +
			"caiatop history lists.",
		Args: args(1, 1), ValidArgsFunction: a.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			what := fmt.Sprintf("%q cannot be read", args[0])
			if err := checkIDs(what, args[0]); err != nil {
				return err
			}
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				doc, err := a.read(ctx, session, what, args[0], at)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(a.Stdout, doc)
				}
				return a.printContent(doc, raw)
			})
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "as of this `COMMIT` of its history")
	cmd.Flags().BoolVar(&raw, "raw", false, "write every byte as it is, on a terminal too")
	a.jsonFlag(cmd)
	return cmd
}

// read is Get, or GetAt of a commit that is given, with the words for what is
// not there.
func (a *app) read(ctx context.Context, session Session, what, id, at string) (httpapi.Document, error) {
	if at != "" {
		doc, _, err := readAt(ctx, session, what, id, at)
		return doc, err
	}
	doc, err := session.Get(ctx, id)
	if errors.Is(err, httpapi.ErrNotFound) {
		return doc, absent(what, id, err)
	}
	return doc, fault(what, err)
}

func (a *app) printContent(doc httpapi.Document, raw bool) error {
	exact := raw || !a.IsTerminal(a.Stdout)
	switch {
	case exact && doc.Text == "":
		if _, err := a.Stdout.Write(doc.Raw); err != nil {
			return fmt.Errorf("%w: %w", errOutput, err)
		}
		return nil
	case exact:
		return emit(a.Stdout, "%s", doc.Text)
	case doc.Text == "" && len(doc.Raw) > 0:
		return &Fault{
			What: fmt.Sprintf("%q is not shown", doc.ID),
			Why:  fmt.Errorf("%w on a terminal: it has no text, but %s of raw bytes", httpapi.ErrInvalid, size(int64(len(doc.Raw)))),
			Fix:  "write it into a file, or give --raw",
		}
	}
	for _, line := range termsafe.Lines(doc.Text, maxLines) {
		if err := emit(a.Stdout, "%s\n", line); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) removeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rm ID...",
		Short: "delete documents, all or none",
		Long:  "Deletes documents, all or none. The history of the git repository keeps them.",
		Args:  args(1, -1), ValidArgsFunction: a.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > httpapi.MaxBatch {
				return usage(ui.Count(int64(len(args)))+" ids were given", "give at most "+ui.Count(httpapi.MaxBatch)+" at once")
			}
			ids := slices.Compact(slices.Sorted(slices.Values(args)))
			if err := checkIDs(undeleted, ids...); err != nil {
				return err
			}
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				ack, err := session.Delete(ctx, ids)
				if errors.Is(err, httpapi.ErrNotFound) {
					return missing(ids, err)
				}
				if errors.Is(err, httpapi.ErrGone) {
					return fault("it is not known what was deleted", err)
				}
				if err != nil {
					return fault(undeleted, err)
				}
				return a.acknowledged(ack, ack, "deleted %s: %s\n", count(len(ids), "document"), safe(ack.Durability))
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

const undeleted = "nothing was deleted"

// missing says which of the documents to be deleted is not there: the one that
// the engine names.
func missing(ids []string, err error) error {
	for _, id := range ids {
		if len(ids) == 1 || strings.Contains(err.Error(), strconv.Quote(id)) {
			return absent(undeleted, id, err)
		}
	}
	return fault(undeleted, err)
}

// count says "1 document" and "1,204 documents".
func count[N int | int64](n N, what string) string {
	if n != 1 {
		what += "s"
	}
	return ui.Count(int64(n)) + " " + what
}
