package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

const (
	defaultList   = 100
	defaultSearch = 20
)

func (a *app) listCommand() *cobra.Command {
	query := httpapi.ListQuery{}
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "list documents in the order of their ids",
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLimit(query.Limit); err != nil {
				return err
			}
			if query.Offset < 0 {
				return usage(fmt.Sprintf("--offset %d is negative", query.Offset), "give 0 or more")
			}
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				page, err := session.List(ctx, query)
				if err != nil {
					return fault("the documents cannot be listed", err)
				}
				return a.printPage(page)
			})
		},
	}
	cmd.Flags().StringVar(&query.Type, "type", "", "only documents of this `TYPE`")
	cmd.Flags().StringVar(&query.Contains, "contains", "", "only documents whose id contains this `TEXT`")
	cmd.Flags().IntVar(&query.Limit, "limit", defaultList, "at most so many, 1 to "+ui.Count(httpapi.MaxList))
	cmd.Flags().IntVar(&query.Offset, "offset", 0, "leave out so many at the beginning")
	a.jsonFlag(cmd)
	return cmd
}

func checkLimit(limit int) error {
	if limit < 1 || limit > httpapi.MaxList {
		return usage(fmt.Sprintf("--limit %d is out of range", limit), "give 1 to "+ui.Count(httpapi.MaxList))
	}
	return nil
}

func (a *app) printPage(page httpapi.Page) error {
	if a.json {
		if page.Rows == nil {
			page.Rows = []httpapi.Row{}
		}
		return a.printJSON(a.Stdout, page)
	}
	if len(page.Rows) > 0 {
		rows := [][]string{{"ID", "TYPE", "SIZE", "UPDATED", "GOVC", "GIT"}}
		for _, r := range page.Rows {
			rows = append(rows, []string{r.ID, r.Type, size(r.Size), stamp(r.UpdatedAt), r.Govc, r.Git})
		}
		if err := table(a.Stdout, rows); err != nil {
			return err
		}
	}
	if int64(len(page.Rows)) < page.Total {
		a.note("%s of %s; the rest with --offset and --limit", ui.Count(int64(len(page.Rows))), count(page.Total, "document"))
	} else {
		a.note("%s", count(len(page.Rows), "document"))
	}
	return nil
}

// stamp shows a time in UTC, "-" if it is unknown.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ui.Unknown
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func (a *app) searchCommand() *cobra.Command {
	limit := defaultSearch
	cmd := &cobra.Command{
		Use:   "search QUERY...",
		Short: "find documents by the words of their text, best first",
		Long: "Finds documents by the words of their text and metadata, best first. It waits until the\n" +
			"text index has every write that was acknowledged before, for at most a few seconds, and\n" +
			"says by how many operations the index is behind if that was not enough; the exit code is\n" +
			"75 if nothing was found until then.",
		Args: args(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkLimit(limit); err != nil {
				return err
			}
			query := strings.Join(args, " ")
			if strings.TrimSpace(query) == "" {
				return usage("the query is empty", "give a word")
			}
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				hits, err := session.Search(ctx, query, limit)
				if err != nil {
					return fault("the search failed", err)
				}
				return a.printHits(hits)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "at most so many, 1 to "+ui.Count(httpapi.MaxList))
	a.jsonFlag(cmd)
	return cmd
}

// marks turns the words found into something that every terminal shows.
var marks = strings.NewReplacer("\x02", "*", "\x03", "*", "\n", " ", "\r", " ", "\t", " ")

func (a *app) printHits(found httpapi.Hits) error {
	if a.json {
		if found.Hits == nil {
			found.Hits = []httpapi.Hit{}
		}
		err := a.printJSON(a.Stdout, found)
		if err == nil && found.Behind > 0 && len(found.Hits) == 0 {
			err = ExitCode(ExitTempFail)
		}
		return err
	}
	for _, h := range found.Hits {
		if err := emit(a.Stdout, "%s  %s\n    %s\n", safe(h.ID), safe(h.Type), safe(strings.TrimSpace(marks.Replace(h.Snippet)))); err != nil {
			return err
		}
	}
	if found.Behind > 0 {
		a.note("%s so far: the text index is behind by %s; search again in a moment", count(len(found.Hits), "hit"), count(found.Behind, "operation"))
		if len(found.Hits) == 0 {
			return ExitCode(ExitTempFail)
		}
		return nil
	}
	a.note("%s", count(len(found.Hits), "hit"))
	return nil
}
