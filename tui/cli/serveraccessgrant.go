package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/backend/govcd/access"
)

// shownGrant is a right of a subject with --json.
type shownGrant struct {
	Subject string `json:"subject"`
	Repo    string `json:"repo"`
	Right   string `json:"right"`
}

func shownGrants(grants []access.Grant) []shownGrant {
	out := make([]shownGrant, len(grants))
	for i, g := range grants {
		out[i] = shownGrant{g.Subject, g.Scope.Repo(), g.Scope.Need().String()}
	}
	return out
}

// tellGrants says what was done with grants of one subject.
func (a *app) tellGrants(done, subject string, grants []access.Grant) error {
	if a.json {
		return a.printJSON(a.Stdout, shownGrants(grants))
	}
	words := make([]string, len(grants))
	for i, g := range grants {
		words[i] = g.Scope.String()
	}
	return emit(a.Stdout, "%s %s: %s\n", done, safe(subject), safe(strings.Join(words, " ")))
}

func (a *app) serverGrantCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "grant", Short: "say who may do what at the service", Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return usage("say what to do with grants", "use it as: caiatop server grant add, or: list, remove")
		},
	}
	cmd.AddCommand(a.grantAddCommand(), a.grantListCommand(), a.grantRemoveCommand())
	return cmd
}

func (a *app) grantAddCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "add SUBJECT RIGHT...", Short: "give somebody rights", Args: args(2, -1),
		Long: "Gives a subject, which is the name in a token or of an API key, rights at repositories: docs:read,\n" +
			"team-*:write, *:admin. Of read, write and admin each includes those before; admin creates and\n" +
			"deletes repositories, and * is the service itself, too. At a repository or pattern where the\n" +
			"subject has another right, the new one takes its place. A running service knows within a second.",
		Example: "  caiatop server grant add ann docs:write team-*:read --data /srv/caiatop",
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return rightsFor(typed)
		}
		return subjectsOf(dataOf(cmd), typed)
	}
	return a.onRegister(cmd, a.changed, func(ctx context.Context, r access.Register, args []string) error {
		scopes, err := parseRights(args[1:])
		if err != nil {
			return err
		}
		if err := r.Grant(ctx, args[0], scopes...); err != nil {
			return accessFault("nothing was granted", err)
		}
		grants := make([]access.Grant, len(scopes))
		for i, s := range scopes {
			grants[i] = access.Grant{Subject: args[0], Scope: s}
		}
		return a.tellGrants("granted", args[0], grants)
	})
}

func (a *app) grantListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list [SUBJECT]", Short: "list who may do what", Args: args(0, 1),
		Long: "Lists the grants, of all or of one subject. What tokens and API keys carry themselves is not\n" +
			"among them.",
		ValidArgsFunction: completeSubject,
	}
	return a.onRegister(cmd, a.found, func(_ context.Context, r access.Register, args []string) error {
		grants, err := r.Grants()
		if err != nil {
			return accessFault("the grants cannot be listed", err)
		}
		if len(args) > 0 {
			grants = slices.DeleteFunc(grants, func(g access.Grant) bool { return g.Subject != args[0] })
		}
		if a.json {
			return a.printJSON(a.Stdout, shownGrants(grants))
		}
		rows := [][]string{{"SUBJECT", "REPOSITORY", "RIGHT"}}
		for _, g := range shownGrants(grants) {
			rows = append(rows, []string{g.Subject, g.Repo, g.Right})
		}
		return table(a.Stdout, rows)
	})
}

func (a *app) grantRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "remove SUBJECT [REPOSITORY|RIGHT...]", Short: "take rights away", Args: args(1, -1),
		Long: "Takes the rights of a subject at repositories away, all of them if none is named. A repository or\n" +
			"pattern is named alone (docs), whichever right the subject has there, or with the right that it\n" +
			"has (docs:read), as it was given: with another one nothing is taken. What its tokens and API keys\n" +
			"carry themselves stays. A running service knows within a second.",
		Example: "  caiatop server grant remove ann docs:write team-* --data /srv/caiatop",
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return grantsOf(dataOf(cmd), args[0], typed)
		}
		return subjectsOf(dataOf(cmd), typed)
	}
	return a.onRegister(cmd, a.changedThere, func(ctx context.Context, r access.Register, args []string) error {
		taken, err := r.Withdraw(ctx, args[0], args[1:]...)
		if err != nil {
			return accessFault("nothing was taken away", err)
		}
		return a.tellGrants("took from", args[0], taken)
	})
}

func completeSubject(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return subjectsOf(dataOf(cmd), typed)
}

// grantsOf completes a right with those that a subject has.
func grantsOf(data, subject, typed string) ([]string, cobra.ShellCompDirective) {
	var out []string
	if grants, err := (access.Register{Dir: data}).Grants(); err == nil && data != "" {
		for _, g := range grants {
			if word := g.Scope.String(); g.Subject == subject && strings.HasPrefix(word, typed) {
				out = append(out, word)
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// subjectsOf completes a subject with those that have keys or grants.
func subjectsOf(data, typed string) ([]string, cobra.ShellCompDirective) {
	if data == "" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	r := access.Register{Dir: data}
	if grants, err := r.Grants(); err == nil {
		for _, g := range grants {
			out = append(out, g.Subject)
		}
	}
	if keys, err := r.Keys(); err == nil {
		for _, k := range keys {
			out = append(out, k.Name)
		}
	}
	slices.Sort(out)
	out = slices.DeleteFunc(slices.Compact(out), func(s string) bool { return !strings.HasPrefix(s, typed) })
	return out, cobra.ShellCompDirectiveNoFileComp
}
