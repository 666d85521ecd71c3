package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/probe/httpapi"
)

const (
	// completeTime bounds what somebody waits for after pressing tab.
	completeTime = 500 * time.Millisecond
	maxComplete  = 200
)

// completeIDs offers the ids that begin with what was typed, as the running
// engine knows them. Without one it offers nothing: a key must not take the
// state folder.
func (a *app) completeIDs(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 && cmd.Name() != "rm" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), completeTime)
	defer cancel()
	session, err := a.Running(ctx, flagsOf(cmd), a.caller(cmd))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	page, err := session.List(ctx, httpapi.ListQuery{Contains: typed, Limit: httpapi.MaxList})
	if closeErr := session.Close(ctx); err != nil || closeErr != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var ids []string
	for _, row := range page.Rows {
		if strings.HasPrefix(row.ID, typed) && len(ids) < maxComplete {
			ids = append(ids, row.ID)
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
