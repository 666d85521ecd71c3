package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/termsafe"
)

// safe makes a string from outside showable on one line.
func safe(s string) string { return termsafe.Line(s).String() }

// emit writes one message or one line of a report.
func emit(w io.Writer, format string, args ...any) error {
	if _, err := fmt.Fprintf(w, format, args...); err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	return nil
}

// note writes a message to stderr. That it could not be written is no reason
// to fail: there is no place left to say so.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.Stderr, "%s\n", safe(fmt.Sprintf(format, args...))) //nolint:errcheck // see above
}

// told is an error as --json tells it, on stderr.
type told struct {
	Error string `json:"error"`
	Code  string `json:"code"`
	Exit  int    `json:"exit"`
	Fix   string `json:"fix,omitempty"`
}

// tell says what failed, why, and what to do, and with --json the exit code.
// A fault of the configuration takes one line.
func (a *app) tell(err error, exit int) {
	fix := advice(err)
	if a.json {
		if a.printJSON(a.Stderr, told{err.Error(), codeName(err), exit, fix}) == nil {
			return
		}
	}
	var f *Fault
	if !errors.As(err, &f) {
		f = &Fault{What: err.Error()}
	}
	if errors.Is(err, ErrConfig) {
		a.note("caiatop: %s", join(f.Error(), fix))
		return
	}
	a.note("caiatop: %s", f.What)
	if why := f.reason(); why != "" {
		for line := range strings.SplitSeq(why, "\n") {
			a.note("  why: %s", line)
		}
	}
	if fix != "" {
		a.note("  try: %s", fix)
	}
}

// join adds to a sentence what to do, if anybody knows.
func join(s, fix string) string {
	if fix == "" {
		return s
	}
	return s + "; " + fix
}

func codeName(err error) string {
	if errors.Is(err, errUsage) {
		return "usage"
	}
	if errors.Is(err, ErrConfig) {
		return "config"
	}
	var e *httpapi.Error
	if errors.As(httpapi.NewError(err, ""), &e) {
		return e.Code
	}
	return "internal"
}

// printJSON writes v, indented. Characters that a terminal would act on or
// hide are escaped, which changes nothing for a program.
func (a *app) printJSON(w io.Writer, v any) error {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("encoding the output: %w", err)
	}
	return emit(w, "%s", escapeHidden(out.String()))
}

// escapeHidden escapes what stands in the strings of JSON text and is no
// visible character. Below U+007F the encoder has done it.
func escapeHidden(text string) string {
	var out strings.Builder
	out.Grow(len(text))
	for _, r := range text {
		switch {
		case r < 0x7f || (unicode.IsGraphic(r) && !unicode.Is(unicode.Variation_Selector, r)):
			out.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		}
	}
	return out.String()
}

// table writes rows in aligned columns, the first row being the head. Rows are
// of equal length.
func table(w io.Writer, rows [][]string) error {
	const gap = "  "
	cells := make([][]termsafe.Text, len(rows))
	var widths []int
	for i, row := range rows {
		for j, s := range row {
			text := termsafe.Line(s)
			cells[i] = append(cells[i], text)
			if j == len(widths) {
				widths = append(widths, 0)
			}
			widths[j] = max(widths[j], text.Width())
		}
	}
	var out strings.Builder
	for _, row := range cells {
		for j, text := range row {
			out.WriteString(text.String())
			if j < len(row)-1 {
				out.WriteString(strings.Repeat(" ", widths[j]-text.Width()) + gap)
			}
		}
		out.WriteString("\n")
	}
	return emit(w, "%s", out.String())
}
